#include <stepscan/layers/dss_backward.hpp>
#include <stepscan/layers/dss_initialize.hpp>
#include <stepscan/layers/s4_backward.hpp>
#include <stepscan/layers/s4_initialize.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/s4_block.hpp>

#include "support.hpp"

/// State-space layers of time-invariant systems with 256 features and 64 numbers of state each: impulse responses,
/// whole sequences in every form, with the making of the operators from the parameters and prepared, and one token.
///
/// Floors in float on AVX2, a product of 512 (134 M multiply-adds) as the yardstick: a kernel of S4D takes 2 N
/// multiply-adds a tap and feature (67 M at 4,096 taps), Chunked<32> 16 + 2 * 64 a token and feature (151 M at 4,096
/// tokens), Recurrent 6 a mode (201 M), Convolution 2 * 64 and two transforms of 2,048 numbers a block of 1,024. A step
/// reads 64 KiB of state and writes it, and reads 128 KiB of weights: see the floors of a step.
namespace {

using namespace bench;

constexpr Index features = 256, state_size = 64;

template <class L>
L make() {
  L layer(features, state_size);
  initialize(layer, 1);
  return layer;
}

template <class L>
void add_kernel(const std::string& name, const L& layer, Index length) {
  add(name_of(name, "Convolution", "kernel", {length, features, state_size}, 1), 1, static_cast<double>(length),
      2.0 * static_cast<double>(length * features * state_size), [=] {
        Tensor<float, Dynamic, Dynamic> response(features, length);
        return [=, workspace = Workspace()]() mutable {
          layer.kernel(MatrixView<float>(response), workspace);
          benchmark::DoNotOptimize(response.data());
        };
      });
}

/// A layer works out its operators in every call, its plan has them.
template <class Form, class L>
void add_form(const std::string& name, const std::string& form, const L& layer, Index batch, Index time,
              int threads = 1) {
  add_scan<Form>(name_of(name, form, "scan", {batch, time, features, state_size}, threads), layer, batch, time,
                 6.0 * features * state_size, threads);
}

/// Reading and writing the state of a step once, and reading as many weights as it has, `planes` numbers each of the
/// state's size.
void add_step_floor(Index planes) {
  add(name_of("floor", "planes", "step", {planes, features, state_size}, 1), 1, 1, 0, [=] {
    Tensor<float, Dynamic> h(features * state_size), weights(planes * h.size());
    h.fill(1);
    weights.fill(0.5F);
    return [=]() mutable {
      for (Index i = 0; i < h.size(); i += simd_width<float>) {
        Simd<float> value = load(h.data() + i) * Simd<float>(0.999F);
        for (Index k = 0; k < planes; ++k) value = value + load(weights.data() + k * h.size() + i);
        store(h.data() + i, value);
      }
      benchmark::DoNotOptimize(h.data());
    };
  });
}

template <class L>
void add_layer(const std::string& name, const L& layer) {
  const auto plan = prepare(layer);
  add_step(name, plan, 1, 6.0 * features * state_size);
  for (const Index time : {4096, 16384}) {
    add_kernel(name, layer, time);
    add_form<OwnForm>(name, "own", layer, 1, time);
    add_form<OwnForm>(name + "_plan", "own", plan, 1, time);
    add_form<Chunked<>>(name, "Chunked", layer, 1, time);
    add_form<Chunked<>>(name + "_plan", "Chunked", plan, 1, time);
    add_form<Recurrent>(name + "_plan", "Recurrent", plan, 1, time);
    add_form<Convolution>(name + "_plan", "Convolution", plan, 1, time);
    add_form<Parallel<>>(name + "_plan", "Parallel", plan, 1, time, 2);
  }
  // where which form pays
  for (Index time = 16; time <= 1024; time *= 4) {
    add_form<Chunked<>>(name + "_plan", "Chunked", plan, 1, time);
    add_form<Recurrent>(name + "_plan", "Recurrent", plan, 1, time);
    add_form<Convolution>(name + "_plan", "Convolution", plan, 1, time);
  }
  add_training(name_of(name, "Chunked", "forward_backward", {1, 4096, features, state_size}, 1), layer, 1, 4096,
               18.0 * features * state_size, 1);
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  add_step_floor(0);
  add_step_floor(2);
  add_layer("s4d", make<S4d<float, Dynamic, Dynamic>>());
  add_layer("dss", make<Dss<float, Dynamic, Dynamic>>());
  add_layer("s4", make<S4<float, Dynamic, Dynamic>>());
  add_form<Chunked<>>("s4d_plan", "Chunked", prepare(make<S4d<float, Dynamic, Dynamic>>()), 1, 1048576);
  auto block = s4_block(S4d<float, Dynamic, Dynamic>(features, state_size));
  initialize(block, 1);
  add_scan("s4_block", "own", prepare(block), 1, 4096, 0, 1);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
