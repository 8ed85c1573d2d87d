#include <cmath>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/layers/selective_scan_backward.hpp>
#include <vector>

#include "subject.hpp"

/// The selective scan of Mamba and its whole block, in each form over time, training, one token, the published sizes,
/// and sequences of up to a million tokens; beside them the same operator one tensor at a time.
///
/// Floor: one exponential per token, channel and state; ten multiply-adds a register with its update, so 9.7 ms on AVX2
/// for 2048 x 1536 x 16 beside a matrix product of 512 of 2.75 ms. Measured beside it: 17.5 ms, of which the recurrence
/// is 12, softplus 3, outputs and their gate 2; a token takes as long at 262144 tokens as at 1024, to 4 %.
/// The block's products are as many as its scan takes time; it reaches 86 %, backward 30 %, a token 66 %.
namespace {

using namespace bench;

using Scan = SelectiveScan<float, Dynamic, Dynamic>;
using Block = Mamba<float, Dynamic, Dynamic, 16, 4, Dynamic>;

/// Softplus of the step size, SiLU of the gate.
Cost cost(Index features, Index states) {
  const double channels = static_cast<double>(features), numbers = channels * static_cast<double>(states);
  return {.flops = 6 * numbers, .exps = numbers + 2 * channels, .weights = 4 * numbers, .state = 4 * numbers};
}

auto scan_of(Index features, Index states) {
  return subject({"selective_scan", {features, states}, cost(features, states)}, fresh<Scan>(features, states));
}

auto block_of(Index width) {
  constexpr Index states = 16, taps = 4;
  const Index inner = 2 * width, rank = width / 16;
  const double weights = static_cast<double>(3 * width * inner + inner * (2 * rank + 2 * states));
  Cost all = cost(inner, states);
  all.flops += 2 * weights + 8 * static_cast<double>(inner);
  all.exps += static_cast<double>(inner);
  all.weights += 4 * weights;
  return subject({"mamba", {width, states}, all}, fresh<Block>(width, inner, states, taps, rank));
}

/// As a library of tensors would: step sizes, decays and inputs of the whole sequence, then the recurrence, then the
/// outputs, each a loop over memory.
void add_tensor_at_a_time(Index time, Index features, Index states) {
  const auto subject = scan_of(features, states);
  const std::size_t size = static_cast<std::size_t>(time * features * states);
  subject.beside(
      "tensor at a time", time,
      [=, decay = std::vector<float>(size), input = std::vector<float>(size)](const Sequences& x,
                                                                              Sequences& y) mutable {
        const Scan& layer = subject.layer();
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
        for_all([&](Index t, Index d, Index n, std::size_t at) { decay[at] = std::exp(dt(0, t, d) * layer.A(d, n)); });
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
      });
}

}  // namespace

void bench::add_benchmarks() {
  scan_of(512, 16).all();
  block_of(256).all();
  if (quick) return;
  add_tensor_at_a_time(256, 768, 16);
  const auto published = scan_of(1536, 16);
  published.step();
  for (const int threads : {1, 2}) {
    scan_of(768, 16).scan<Chunked<>>(1, 256, threads);
    published.scan<Chunked<>>(1, 2048, threads);
    published.training(1, 2048, threads);
    // Channels of one block: only tokens are left to share.
    scan_of(16, 16).scan<Chunked<>>(1, 8192, threads);
    scan_of(16, 16).scan<Parallel<>>(1, 8192, threads);
  }
  for (Index time = 4096; time <= 1048576; time *= 16) scan_of(64, 16).scan<Chunked<>>(1, time, 1);
}
