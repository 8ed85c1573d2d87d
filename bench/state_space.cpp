#include <stepscan/layers/dss_backward.hpp>
#include <stepscan/layers/dss_initialize.hpp>
#include <stepscan/layers/lssl_backward.hpp>
#include <stepscan/layers/s4_backward.hpp>
#include <stepscan/layers/s4_initialize.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/s4_block.hpp>

#include "subject.hpp"

/// State-space layers of time-invariant systems with 256 features and 64 numbers of state each (LSSL: 64 features, 16
/// numbers): whole sequences in every form over time, training, one token, impulse responses, and the making of the
/// operators from the parameters.
///
/// Floors in float on AVX2, a product of 512 (134 M multiply-adds) as the yardstick: a kernel of S4D takes 2 N
/// multiply-adds a tap and feature (67 M at 4,096 taps), Chunked<32> 16 + 2 * 64 a token and feature (151 M at 4,096
/// tokens), Recurrent 6 a mode (201 M), Convolution 2 * 64 and two transforms of 2,048 numbers a block of 1,024. A step
/// reads 64 KiB of state and writes it, and reads 128 KiB of weights.
/// Measured: S4D's scan 63 %, backward 26 %, step 77 %; DSS and S4, held to the same floor, 30 to 33 % and 11 to 16 %;
/// LSSL 18 and 9 %.
namespace {

using namespace bench;

constexpr Index features = 256, state_size = 64;

/// In chunks of 32 tokens; `planes` arrays of weights as large as the state.
Cost cost(Index width, Index states, double planes) {
  const double state = 4 * static_cast<double>(width * states);
  return {.flops = 2 * static_cast<double>(width * (16 + 2 * states)), .weights = planes * state, .state = state};
}

template <class L>
auto diagonal(const std::string& name) {
  return subject({name, {features, state_size}, cost(features, state_size, 2)}, fresh<L>(features, state_size));
}

template <class L>
void add_response(const Subject<L>& subject, const std::string& name, Index length) {
  const double taps = static_cast<double>(length);
  add(name_of(name, "Convolution", "kernel", {1, length, features, state_size}, 1), 1, taps,
      2.0 * features * state_size * taps, [=] {
        Tensor<float, Dynamic, Dynamic> response(features, length);
        return [=, workspace = Workspace()]() mutable {
          subject.layer().kernel(MatrixView<float>(response), workspace);
          benchmark::DoNotOptimize(response.data());
        };
      });
}

/// Impulse responses, and sequences from the parameters.
template <class L>
void add_layer(const std::string& name, const Subject<L>& subject) {
  subject.all();
  if (quick) return;
  for (const Index time : {4096, 16384}) {
    add_response(subject, name, time);
    subject.scan_from_parameters(1, time, 1);
  }
}

}  // namespace

void bench::add_benchmarks() {
  using DynamicS4d = S4d<float, Dynamic, Dynamic>;
  const auto s4d = diagonal<DynamicS4d>("s4d");
  add_layer("s4d", s4d);
  add_layer("dss", diagonal<Dss<float, Dynamic, Dynamic>>("dss"));
  add_layer("s4", diagonal<S4<float, Dynamic, Dynamic>>("s4"));
  subject({"lssl", {64, 16}, cost(64, 16, 1)}, fresh<Lssl<float, Dynamic, Dynamic>>(64, 16)).all();
  if (quick) return;
  s4d.scan<Chunked<>>(1, 1048576, 1);
  auto block = s4_block(DynamicS4d(features, state_size));
  initialize(block, 1);
  Cost with_products = cost(features, state_size, 2);
  with_products.flops += 4.0 * features * features;
  subject({"s4_block", {features, state_size}, with_products}, block).scan(1, 4096, 1);
}
