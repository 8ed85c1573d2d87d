#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/lru_backward.hpp>
#include <stepscan/layers/s5.hpp>
#include <stepscan/layers/s5_backward.hpp>
#include <stepscan/layers/s5_initialize.hpp>

#include "subject.hpp"

/// State spaces of many inputs and outputs, in each form over time, one token, and training. Floor: the two products, 4
/// P H multiply-adds a token; the scan between them takes 4 P.
/// Measured, 1,024 tokens: chunks of S5 and LRU 98 %, token by token 48 %, backward 81 and 77 %, steps 87 %.
namespace {

using namespace bench;

template <class L>
auto mimo(const std::string& name, Index features, Index states) {
  const double product = 4 * static_cast<double>(features * states);
  const Cost cost{.flops = 2 * product + 8 * static_cast<double>(states),
                  .weights = 4 * product,
                  .state = 8 * static_cast<double>(states)};
  return subject({name, {features, states}, cost}, fresh<L>(features, states));
}

}  // namespace

void bench::add_benchmarks() {
  using DynamicLru = Lru<float, Dynamic, Dynamic>;
  mimo<S5<float, Dynamic, Dynamic>>("s5", 256, 128).all();
  mimo<DynamicLru>("lru", 128, 256).all();
  if (quick) return;
  for (const int threads : {1, 2}) {
    mimo<S5<float, Dynamic, Dynamic>>("s5", 256, 128).scan<Chunked<>>(1, 2048, threads);
    mimo<DynamicLru>("lru", 128, 256).scan<Chunked<>>(4, 1024, threads);
  }
  mimo<DynamicLru>("lru", 64, 64).step();
}
