#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/lru_backward.hpp>
#include <stepscan/layers/s5.hpp>
#include <stepscan/layers/s5_backward.hpp>
#include <stepscan/layers/s5_initialize.hpp>

#include "support.hpp"

/// State spaces of many inputs and outputs. Floor: the two products, 4 P H multiply-adds a token; the scan between them
/// takes 4 P.
namespace {

using namespace bench;

double flops_of(Index features, Index states) {
  return 8.0 * static_cast<double>(features * states) + 8.0 * static_cast<double>(states);
}

template <class L>
L make(Index features, Index states) {
  L layer(features, states);
  initialize(layer, 1);
  return layer;
}

template <class Form, class L>
void add_form(const std::string& name, const std::string& form, Index batch, Index time, const L& layer, int threads) {
  const Index features = layer.input_size(), states = layer.state_size();
  add_scan<Form>(name_of(name, form, "scan", {batch, time, features, states}, threads), prepare(layer), batch, time,
                 flops_of(features, states), threads);
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  const auto s5 = make<S5<float, Dynamic, Dynamic>>(256, 128);
  const auto lru = make<Lru<float, Dynamic, Dynamic>>(128, 256);
  for (const int threads : {1, 2}) {
    add_form<Recurrent>("s5", "Recurrent", 1, 2048, s5, threads);
    add_form<Chunked<>>("s5", "Chunked", 1, 2048, s5, threads);
    add_form<Parallel<>>("s5", "Parallel", 1, 2048, s5, threads);
    add_form<Chunked<>>("lru", "Chunked", 4, 1024, lru, threads);
    add_training(name_of("s5", "Chunked", "forward_backward", {1, 2048, 256, 128}, threads), s5, 1, 2048,
                 3 * flops_of(256, 128), threads);
  }
  add_step("s5", prepare(s5), 1, flops_of(256, 128));
  add_step("lru", prepare(make<Lru<float, Dynamic, Dynamic>>(64, 64)), 1, flops_of(64, 64));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
