#pragma once

#include <stepscan/kernels/fft.hpp>
#include <stepscan/ops/linear_system_scan.hpp>

/// Linear time-invariant systems by their impulse response K and Fourier transforms, block after block of B tokens:
///   y_t = sum_(j <= t) K[t - j] u_j + c A^(t + 1) h        t and j within the block, h the state that enters it
/// What lies further back than the block is in the state, so the first B taps are all that is ever needed, one set of
/// spectra serves sequences of any length, and memory does not grow with the sequence. The states come from the chunk
/// operators (ops/linear_system.hpp), without any output of a chunk's inputs.
namespace stepscan::inline STEPSCAN_ISA {

/// B
inline constexpr Index convolution_block = 1024;
/// Complex numbers of a tap row's spectrum.
inline constexpr Index convolution_bins = convolution_length(convolution_block) / 2 + 1;

/// Writes the spectra [features * channels, convolution_bins] of the impulse responses kernel [features * channels,
/// convolution_block], which are without the skips; these follow from the operators.
template <Scalar S>
void fill_convolution_spectra(const ChunkSystem<const S>& system, MatrixView<const S> kernel, std::complex<S>* spectra,
                              Workspace& workspace) {
  constexpr Index length = convolution_length(convolution_block);
  const Workspace::Scope scope(workspace);
  const SystemShape& shape = system.shape;
  const Index rows = shape.features * shape.channels, workers = worker_count(rows, rows * length);
  S* rooms = workspace.take<S>(workers * length);
  detail::for_each_share(rows, workers, [&](Index i, Index worker) {
    S* taps = rooms + worker * length;
    std::copy_n(kernel.row(i), convolution_block, taps);
    std::fill(taps + convolution_block, taps + length, S{0});
    const S* response = system.operators(i / shape.channels).response;
    taps[0] = response[i % shape.channels * shape.response_size() + shape.chunk - 1];  // with the skip
    real_fft(taps, length, spectra + i * convolution_bins);
  });
}

namespace detail {

/// The outputs of a group by the spectra of its inputs and of the impulse responses.
template <Scalar S>
struct SpectralResponse {
  static constexpr Index length = convolution_length(convolution_block);

  const std::complex<S>* spectra;  ///< [features * channels, bins]
  std::complex<S>* transformed;    ///< [workers, 2, bins]: of the inputs, and of the outputs
  S* padded;                       ///< [workers, length]

  SpectralResponse(const std::complex<S>* kernels, Index workers, Workspace& workspace)
      : spectra(kernels),
        transformed(workspace.take<std::complex<S>>(workers * 2 * convolution_bins)),
        padded(workspace.take<S>(workers * length)) {}

  /// As ChunkResponse.
  void operator()(const SystemGroup<S>& group, const ChunkOperators<const S>& ops, const ScanJob& job, Index feature,
                  const S* u, S* h, const SystemRoom<S>& room, S* y) const noexcept {
    const Index channels = group.shape.channels, tokens = job.tokens.size();
    std::complex<S>* input = transformed + job.worker * 2 * convolution_bins;
    std::complex<S>* product = input + convolution_bins;
    S* numbers = padded + job.worker * length;
    std::copy_n(u, tokens, numbers);
    std::fill(numbers + tokens, numbers + length, S{0});
    real_fft(numbers, length, input);
    for (Index m = 0; m < channels; ++m) {
      const std::complex<S>* spectrum = spectra + (feature * channels + m) * convolution_bins;
      for (Index k = 0; k < convolution_bins; ++k) {
        const S a = spectrum[k].real(), b = spectrum[k].imag(), c = input[k].real(), d = input[k].imag();
        product[k] = {a * c - b * d, a * d + b * c};
      }
      inverse_real_fft(product, length, numbers);
      std::copy_n(numbers, tokens, y + m * room.stride);
      std::fill_n(y + m * room.stride + tokens, group.padding(), S{0});
    }
    const MatrixView<S> enter(room.enter, group.rows(), group.shape.states);
    add_entering(group, ops, h, enter, room, y);
    group.move_state(ops, u, h, enter, room.states);
  }

 private:
  /// y += what the state h that enters the group leaves in it.
  static void add_entering(const SystemGroup<S>& group, const ChunkOperators<const S>& ops, const S* h,
                           MatrixView<S> enter, const SystemRoom<S>& room, S* y) noexcept {
    const Index C = group.shape.chunk, M = group.shape.states;
    if (std::all_of(h, h + M, [](S value) { return value == S{0}; })) return;
    std::copy_n(h, M, enter.row(0));
    for (Index r = 1; r < enter.rows; ++r) {
      std::copy_n(enter.row(r - 1), M, enter.row(r));
      apply_transition(group.shape, ops.carry, enter.row(r), room.states);
    }
    for (Index m = 0; m < group.shape.channels; ++m) {
      small_multiply_add<S>(factor(MatrixView<const S>(enter)), {ops.read + m * M * C, M, C},
                            {y + m * room.stride, Index{enter.rows}, C});
    }
  }
};

}  // namespace detail

/// Sequences x [batch, time, features] to y [batch, time, features * channels], from the states and into them, with the
/// spectra of fill_convolution_spectra. Blocks of features are spread over threads.
template <Scalar S>
void linear_system_convolution(const ChunkSystem<const S>& system, const std::complex<S>* spectra,
                               SequenceView<const S> x, const SystemStates<S>& h, SequenceView<S> y,
                               Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  detail::scan_linear_system<S>(system, x, h, y, {}, convolution_block, workspace, [&](Index workers) {
    return detail::SpectralResponse<S>(spectra, workers, workspace);
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
