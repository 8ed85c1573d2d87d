#pragma once

#include <stepscan/kernels/lane_convolution.hpp>
#include <stepscan/ops/linear_system_scan.hpp>

/// Linear time-invariant systems by their impulse response K and Fourier transforms, block after block of B tokens:
///   y_t = sum_(j <= t) K[t - j] u_j + c A^(t + 1) h        t and j within the block, h the state that enters it
/// What lies further back than the block is in the state, so the first B taps are all that is ever needed, one set of
/// spectra serves sequences of any length, and memory does not grow with the sequence. The states come from the chunk
/// operators (ops/linear_system.hpp), without any output of a chunk's inputs.
namespace stepscan::inline STEPSCAN_ISA {

/// B
inline constexpr Index convolution_block = 1024;

namespace detail {

/// The spectra of the taps: for every register of features and every channel.
template <Scalar S>
using TapTransform = LaneConvolution<S, convolution_block>;

/// Calls f(register number, first feature, features, lanes) for the registers of features [begin, end).
template <Scalar S, class F>
void for_each_feature_register(Index begin, Index end, F&& f) {
  constexpr Index width = simd_width<S>;
  for (Index first = begin; first < end; first += width) {
    if (first + width <= end) {
      f(first / width, first, width, FullLanes<S>());
    } else {
      f(first / width, first, end - first, PartialLanes<S>{end - first});
    }
  }
}

}  // namespace detail

/// Numbers of all spectra.
template <Scalar S>
[[nodiscard]] Index convolution_spectra_size(Index features, Index channels) noexcept {
  return chunk_count(features, simd_width<S>) * channels * detail::TapTransform<S>::spectrum_size;
}

/// Writes the spectra of the impulse responses kernel [features * channels, convolution_block], which are without the
/// skips; these follow from the operators.
template <Scalar S>
void fill_convolution_spectra(const ChunkSystem<const S>& system, MatrixView<const S> kernel, S* spectra,
                              Workspace& workspace) {
  using Transform = detail::TapTransform<S>;
  constexpr Index taps_size = convolution_block * simd_width<S>;
  const Workspace::Scope scope(workspace);
  const SystemShape& shape = system.shape;
  const Index channels = shape.channels, registers = chunk_count(shape.features, simd_width<S>);
  const Index workers = worker_count(registers, registers * channels * Transform::spectrum_size);
  S* rooms = workspace.take<S>(workers * taps_size);
  detail::for_each_share(registers, workers, [&](Index number, Index worker) {
    S* taps = rooms + worker * taps_size;  // [convolution_block, simd_width]
    const Index begin = number * simd_width<S>, end = std::min(begin + simd_width<S>, shape.features);
    detail::for_each_feature_register<S>(begin, end, [&](Index, Index first, Index count, auto lanes) {
      for (Index m = 0; m < channels; ++m) {
        transpose<S>({kernel.row(first * channels + m), count, convolution_block, channels * kernel.stride},
                     {taps, convolution_block, count, simd_width<S>});
        for (Index i = 0; i < count; ++i) {
          taps[i] = system.operators(first + i).response[m * shape.response_size() + shape.chunk - 1];  // with the skip
        }
        Transform::tables().transform(lanes, taps, simd_width<S>, convolution_block,
                                      spectra + (number * channels + m) * Transform::spectrum_size);
      }
    });
  });
}

namespace detail {

/// The outputs of a block by the spectra of its inputs and of the taps.
template <Scalar S>
struct SpectralResponse {
  using Transform = TapTransform<S>;

  const S* spectra;
  S* rooms;  ///< [workers, 2, spectrum_size]: of the inputs, and of the outputs

  SpectralResponse(const S* taps, Index workers, Workspace& workspace)
      : spectra(taps), rooms(workspace.take<S>(workers * 2 * Transform::spectrum_size)) {}

  void operator()(const SystemBlock<S>& block) const noexcept {
    convolve(block);
    for (Index f = 0; f < block.count; ++f) {
      add_entering(block, f);
      block.move_state(f);
    }
  }

 private:
  void convolve(const SystemBlock<S>& block) const noexcept {
    const Index channels = block.system.shape.channels, tokens = block.x.time, stride = block.room.stride;
    S* input = rooms + block.worker * 2 * Transform::spectrum_size;
    S* output = input + Transform::spectrum_size;
    for_each_feature_register<S>(
        block.first, block.first + block.count, [&](Index number, Index first, Index count, auto lanes) {
          Transform::tables().transform(lanes, block.x.token(0, 0) + first, block.x.time_stride, tokens, input);
          for (Index m = 0; m < channels; ++m) {
            Transform::multiply(spectra + (number * channels + m) * Transform::spectrum_size, input, output);
            Transform::tables().finish(output, tokens, output);
            S* to = block.outputs(first - block.first) + m * stride;
            transpose<S>({output, tokens, count, simd_width<S>}, {to, count, tokens, channels * stride});
            for (Index i = 0; i < count; ++i)
              std::fill_n(to + i * channels * stride + tokens, block.group.padding(), S{0});
          }
        });
  }

  /// Adds what the state that enters the group leaves in the outputs of feature f.
  static void add_entering(const SystemBlock<S>& block, Index f) noexcept {
    const SystemShape& shape = block.system.shape;
    const Index C = shape.chunk, M = shape.states;
    const S* h = block.state(f);
    if (std::all_of(h, h + M, [](S value) { return value == S{0}; })) return;
    const ChunkOperators<const S> ops = block.operators(f);
    const MatrixView<S> enter = block.enter();
    std::copy_n(h, M, enter.row(0));
    for (Index r = 1; r < enter.rows; ++r) {
      std::copy_n(enter.row(r - 1), M, enter.row(r));
      apply_transition(shape, ops.carry, enter.row(r), block.room.states);
    }
    for (Index m = 0; m < shape.channels; ++m) {
      small_multiply_add<S>(factor(MatrixView<const S>(enter)), {ops.read + m * M * C, M, C},
                            {block.outputs(f) + m * block.room.stride, Index{enter.rows}, C});
    }
  }
};

}  // namespace detail

/// Sequences x [batch, time, features] to y [batch, time, features * channels], from the states and into them, with the
/// spectra of fill_convolution_spectra. Blocks of features are spread over threads.
template <Scalar S>
void linear_system_convolution(const ChunkSystem<const S>& system, const S* spectra, SequenceView<const S> x,
                               const SystemStates<S>& h, SequenceView<S> y, Workspace& workspace) {
  detail::scan_linear_system<S>(system, x, h, y, {}, convolution_block, workspace, [&](Index workers) {
    return detail::SpectralResponse<S>(spectra, workers, workspace);
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
