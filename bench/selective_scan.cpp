#include <cmath>
#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/layers/selective_scan_backward.hpp>
#include <vector>

#include "support.hpp"

/// The selective scan of Mamba at its published sizes, whole sequences, training, one token, and sequences of up to a
/// million tokens; beside it the same operator one tensor at a time.
///
/// Floor: one exponential per token, channel and state, about 0.3 ns on AVX2, so 15 ms for 2048 x 1536 x 16.
namespace {

using namespace bench;

using Scan = SelectiveScan<float, Dynamic, Dynamic>;
using Sequences = Tensor<float, Dynamic, Dynamic, Dynamic>;

/// Multiply-adds of a token, an exponential counted as eight.
double flops_of(Index features, Index states) { return 22.0 * static_cast<double>(features * states); }

Scan make(Index features, Index states) {
  Scan layer(features, states);
  initialize(layer, 1);
  return layer;
}

template <class Form, class Math = Exact>
void add_form(const std::string& form, Index batch, Index time, Index features, Index states, int threads) {
  add_scan<Form>(name_of("selective_scan", form, "scan", {batch, time, features, states}, threads),
                 prepare<float, Math>(make(features, states)), batch, time, flops_of(features, states), threads);
}

/// As a library of tensors would: step sizes, decays and inputs of the whole sequence, then the recurrence, then the
/// outputs, each a loop over memory.
void add_plain(Index time, Index features, Index states) {
  add(name_of("selective_scan", "plain", "scan", {1, time, features, states}, 1), 1, static_cast<double>(time),
      flops_of(features, states) * static_cast<double>(time), [=] {
        const Scan layer = make(features, states);
        Sequences x(1, time, layer.input_size()), y(1, time, features);
        fill_uniform(x, 1);
        const std::size_t size = static_cast<std::size_t>(time * features * states);
        return [=, decay = std::vector<float>(size), input = std::vector<float>(size)]() mutable {
          const auto in = layer.shape().slice(SequenceView<const float>(x));
          Sequences dt(1, time, features);
          for (Index t = 0; t < time; ++t) {
            for (Index d = 0; d < features; ++d)
              dt(0, t, d) = std::log1p(std::exp(in.delta.token(0, t)[d] + layer.delta_bias[d]));
          }
          const auto for_all = [&](const auto& f) {
            for (Index t = 0; t < time; ++t) {
              for (Index d = 0; d < features; ++d) {
                const Index at = (t * features + d) * states;
                for (Index n = 0; n < states; ++n) f(t, d, n, static_cast<std::size_t>(at + n));
              }
            }
          };
          for_all(
              [&](Index t, Index d, Index n, std::size_t at) { decay[at] = std::exp(dt(0, t, d) * layer.A(d, n)); });
          for_all([&](Index t, Index d, Index n, std::size_t at) {
            input[at] = dt(0, t, d) * in.u.token(0, t)[d] * in.B.token(0, t)[n];
          });
          const auto row = static_cast<std::size_t>(features * states);
          for (std::size_t at = row; at < size; ++at) input[at] += decay[at] * input[at - row];
          y.fill(0);
          for_all([&](Index t, Index d, Index n, std::size_t at) { y(0, t, d) += input[at] * in.C.token(0, t)[n]; });
          for (Index t = 0; t < time; ++t) {
            for (Index d = 0; d < features; ++d) {
              const float z = in.z.token(0, t)[d];
              y(0, t, d) = (y(0, t, d) + layer.D[d] * in.u.token(0, t)[d]) * z / (1 + std::exp(-z));
            }
          }
          benchmark::DoNotOptimize(y.data());
        };
      });
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  add_plain(256, 768, 16);
  for (const int threads : {1, 2}) {
    add_form<Chunked<>>("Chunked", 1, 256, 768, 16, threads);
    add_form<Chunked<>>("Chunked", 1, 2048, 1536, 16, threads);
    add_form<Chunked<>, Fast>("Chunked_fast", 1, 2048, 1536, 16, threads);
    add_training(name_of("selective_scan", "Chunked", "forward_backward", {1, 2048, 1536, 16}, threads), make(1536, 16),
                 1, 2048, 3 * flops_of(1536, 16), threads);
    // Channels of one block: only tokens are left to share.
    add_form<Chunked<>>("Chunked", 1, 8192, 16, 16, threads);
    add_form<Parallel<>>("Parallel", 1, 8192, 16, 16, threads);
  }
  add_step("selective_scan", prepare(make(1536, 16)), 1, flops_of(1536, 16));
  for (Index time = 4096; time <= 1048576; time *= 16) add_form<Chunked<>>("Chunked", 1, time, 64, 16, 1);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
