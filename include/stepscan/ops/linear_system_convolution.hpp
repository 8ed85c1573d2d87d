#pragma once

#include <stepscan/kernels/fft.hpp>
#include <stepscan/ops/linear_system_scan.hpp>

/// Linear time-invariant systems by their whole impulse response: y = K * u by Fourier transforms, and c A^(t+1) h_0 of
/// the first state h_0. That, and the last state, come from the chunk operators, without any output of a chunk's
/// inputs.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// One worker's memory, for members of up to `time` tokens.
template <Scalar S>
struct ConvolutionRoom {
  std::complex<S>* spectra;  ///< of the kernels, [block * channels, bins]
  std::complex<S>* input;    ///< [bins]
  std::complex<S>* product;  ///< [bins]
  S* padded;                 ///< [length of a transform]
  S* inputs;                 ///< [block, stride]
  S* outputs;                ///< [block * channels, stride]
  S* enter;                  ///< [chunks, M]
  S* states;                 ///< [block, M]
  S* scratch;                ///< [M] and room of a transition
  Index stride;

  ConvolutionRoom(const SystemShape& shape, Index time, Workspace& workspace) {
    const Index length = convolution_length(time), bins = length / 2 + 1, chunks = chunk_count(time, shape.chunk);
    constexpr Index block = system_block<S>;
    stride = SystemRoom<S>::row_stride(chunks * shape.chunk);
    spectra = workspace.take<std::complex<S>>(block * shape.channels * bins);
    input = workspace.take<std::complex<S>>(bins);
    product = workspace.take<std::complex<S>>(bins);
    padded = workspace.take<S>(length);
    inputs = workspace.take<S>(block * stride);
    outputs = workspace.take<S>(block * shape.channels * stride);
    enter = workspace.take<S>(chunks * shape.states);
    states = workspace.take<S>(block * shape.states);
    scratch = workspace.take<S>(shape.states + transition_room(shape));
  }
};

template <Scalar S>
struct LinearSystemConvolution {
  ChunkSystem<const S> system;
  MatrixView<const S> kernel;  ///< [features * channels, time], without the skip
  SequenceView<const S> x;
  SystemStates<S> h;
  SequenceView<S> y;

  void run_block(Index block, const ConvolutionRoom<S>& room) const {
    const SystemShape& shape = system.shape;
    const Index first = block * system_block<S>, count = std::min(system_block<S>, shape.features - first);
    Index transformed = 0;
    for (Index member = 0; member < x.batch; ++member) {
      const TokenRange tokens{0, x.length(member)};
      if (tokens.size() == 0) continue;
      if (tokens.size() != transformed) transform_kernels(first, count, tokens.size(), room);
      transformed = tokens.size();
      const SystemGroup<S> whole(shape, tokens.size());
      gather_features(x, member, tokens, first, count, whole.padding(), room.inputs, room.stride);
      for_each_state(shape, h, member, block, [&](const S& number, Index at) { room.states[at] = number; });
      for (Index f = 0; f < count; ++f) {
        convolve(f, tokens.size(), room);
        add_states(whole, system.operators(first + f), f, room);
      }
      for_each_state(shape, h, member, block, [&](S& number, Index at) { number = room.states[at]; });
      scatter_features(room.outputs, room.stride, y, member, tokens, first * shape.channels, count * shape.channels);
    }
  }

 private:
  void transform_kernels(Index first, Index count, Index time, const ConvolutionRoom<S>& room) const {
    const Index channels = system.shape.channels, length = convolution_length(time), bins = length / 2 + 1;
    for (Index i = 0; i < count * channels; ++i) {
      std::copy_n(kernel.row(first * channels + i), time, room.padded);
      std::fill(room.padded + time, room.padded + length, S{0});
      const S* response = system.operators(first + i / channels).response;
      room.padded[0] = response[i % channels * system.shape.response_size() + system.shape.chunk - 1];  // with the skip
      real_fft(room.padded, length, room.spectra + i * bins);
    }
  }

  void convolve(Index f, Index time, const ConvolutionRoom<S>& room) const {
    const Index channels = system.shape.channels, length = convolution_length(time), bins = length / 2 + 1;
    std::copy_n(room.inputs + f * room.stride, time, room.padded);
    std::fill(room.padded + time, room.padded + length, S{0});
    real_fft(room.padded, length, room.input);
    for (Index m = 0; m < channels; ++m) {
      const std::complex<S>* spectrum = room.spectra + (f * channels + m) * bins;
      for (Index k = 0; k < bins; ++k) {
        const S a = spectrum[k].real(), b = spectrum[k].imag(), c = room.input[k].real(), d = room.input[k].imag();
        room.product[k] = {a * c - b * d, a * d + b * c};
      }
      inverse_real_fft(room.product, length, room.padded);
      S* out = room.outputs + (f * channels + m) * room.stride;
      std::copy_n(room.padded, time, out);
      std::fill(out + time, out + room.stride, S{0});
    }
  }

  /// Adds what the first state leaves in the outputs, and brings it to the end.
  void add_states(const SystemGroup<S>& whole, const ChunkOperators<const S>& ops, Index f,
                  const ConvolutionRoom<S>& room) const noexcept {
    const SystemShape& shape = system.shape;
    const Index C = shape.chunk, M = shape.states;
    S* state = room.states + f * M;
    const MatrixView<S> enter(room.enter, whole.rows(), M);
    if (std::any_of(state, state + M, [](S value) { return value != S{0}; })) {
      std::copy_n(state, M, enter.row(0));
      for (Index r = 1; r < whole.rows(); ++r) {
        std::copy_n(enter.row(r - 1), M, enter.row(r));
        apply_transition(shape, ops.carry, enter.row(r), room.scratch);
      }
      for (Index m = 0; m < shape.channels; ++m) {
        small_multiply_add<S>(factor(MatrixView<const S>(enter)), {ops.read + m * M * C, M, C},
                              {room.outputs + (f * shape.channels + m) * room.stride, whole.rows(), C});
      }
    }
    whole.move_state(ops, room.inputs + f * room.stride, state, enter, room.scratch);
  }
};

}  // namespace detail

/// Sequences x [batch, time, features] to y [batch, time, features * channels], from the states and into them, with the
/// impulse responses kernel [features * channels, time] without the skips. Blocks of features are spread over threads.
template <Scalar S>
void linear_system_convolution(const ChunkSystem<const S>& system, MatrixView<const S> kernel, SequenceView<const S> x,
                               const SystemStates<S>& h, SequenceView<S> y, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const SystemShape& shape = system.shape;
  const Index blocks = (shape.features + detail::system_block<S> - 1) / detail::system_block<S>;
  const Index workers = worker_count(blocks, detail::system_work(shape, x.batch * x.time));
  using Room = detail::ConvolutionRoom<S>;
  auto* rooms = reinterpret_cast<Room*>(workspace.take<std::byte>(workers * static_cast<Index>(sizeof(Room))));
  for (Index i = 0; i < workers; ++i) std::construct_at(rooms + i, shape, x.time, workspace);
  const detail::LinearSystemConvolution<S> op{system, kernel, x, h, y};
  detail::for_each_share(blocks, workers, [&](Index block, Index worker) { op.run_block(block, rooms[worker]); });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
