#pragma once

#include <stepscan/ops/linear_system_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// What the backward pass of one block of features needs of its operators, and the cotangents it sums up.
template <Scalar S>
struct SystemPullback {
  SystemShape shape;
  S* response;   ///< [block, channels, 2 C - 1]: K from its last number to its first, then C - 1 zeros
  S* read;       ///< [block, channels, C, M]
  S* write;      ///< [block, M, C]
  S* toeplitz;   ///< cotangents of the Toeplitz matrices [block, channels, C, C], lower halves
  S* operators;  ///< cotangents of the rest [block, operators_size]

  [[nodiscard]] static Index size(const SystemShape& shape) noexcept {
    const Index C = shape.chunk, M = shape.states;
    return system_block<S> *
           (shape.channels * (shape.response_size() + C * M + C * C) + M * C + shape.operators_size());
  }
  SystemPullback(const SystemShape& s, S* memory) noexcept
      : shape(s),
        response(memory),
        read(response + system_block<S> * s.channels * s.response_size()),
        write(read + system_block<S> * s.channels * s.chunk * s.states),
        toeplitz(write + system_block<S> * s.chunk * s.states),
        operators(toeplitz + system_block<S> * s.channels * s.chunk * s.chunk) {}

  [[nodiscard]] ChunkOperators<S> gradient(Index f) const noexcept {
    return {shape, operators + f * shape.operators_size()};
  }
  [[nodiscard]] S* toeplitz_gradient(Index f, Index m) const noexcept {
    return toeplitz + (f * shape.channels + m) * shape.chunk * shape.chunk;
  }

  void start(const ChunkSystem<const S>& system, Index first, Index count) const noexcept {
    const Index C = shape.chunk, M = shape.states;
    std::fill_n(toeplitz, system_block<S> * shape.channels * C * C, S{0});
    std::fill_n(operators, system_block<S> * shape.operators_size(), S{0});
    for (Index f = 0; f < count; ++f) {
      const ChunkOperators<const S> ops = system.operators(first + f);
      for (Index m = 0; m < shape.channels; ++m) {
        const Index at = f * shape.channels + m, K = shape.response_size();
        std::reverse_copy(ops.response + m * K, ops.response + (m + 1) * K, response + at * K);
        transpose<S>({ops.read + m * M * C, M, C}, {read + at * C * M, C, M});
      }
      transpose<S>({ops.write, C, M}, {write + f * M * C, M, C});
    }
  }

  /// The cotangent of K from those of the Toeplitz matrix: dK[l] = sum_i dT[i, i - l].
  void finish(Index count) const noexcept {
    const Index C = shape.chunk;
    for (Index f = 0; f < count; ++f) {
      for (Index m = 0; m < shape.channels; ++m) {
        const S* dt = toeplitz_gradient(f, m);
        S* dk = gradient(f).response + m * shape.response_size() + C - 1;
        for (Index i = 0; i < C; ++i) {
          for (Index l = 0; l <= i; ++l) dk[l] += dt[i * C + i - l];
        }
      }
    }
  }
};

/// One worker's memory beside SystemRoom and SystemPullback.
template <Scalar S>
struct SystemBackwardRoom {
  S* dinputs;   ///< [block, stride]
  S* pulled;    ///< [chunks, M]
  S* tail;      ///< [C, M], the states within an unfinished chunk
  S* carried;   ///< [block, M]
  S* entering;  ///< [groups, block, M], the states that enter the groups

  [[nodiscard]] static Index size(const SystemShape& shape, Index tokens, Index groups) noexcept {
    return system_block<S> * SystemRoom<S>::row_stride(tokens) + (tokens / shape.chunk + shape.chunk) * shape.states +
           (groups + 1) * system_block<S> * shape.states;
  }
  SystemBackwardRoom(const SystemShape& shape, Index tokens, S* memory) noexcept
      : dinputs(memory),
        pulled(dinputs + system_block<S> * SystemRoom<S>::row_stride(tokens)),
        tail(pulled + tokens / shape.chunk * shape.states),
        carried(tail + shape.chunk * shape.states),
        entering(carried + system_block<S> * shape.states) {}
};

/// With g the cotangent of the state behind a chunk, that of the state before it is R^T dy + (A^C)^T g, and
///   du = K^T dy + W^T g,   dK = sum dy u^T by diagonals,   dR = sum dy h^T,   dW = sum u g^T,   dA^C = sum g h^T
/// over all chunks. The states that enter a group's chunks are computed again from the one that enters the group.
template <Scalar S, class PullBack>
struct LinearSystemBackward {
  ChunkSystem<const S> system;
  SequenceView<const S> x;
  SystemStates<const S> start;
  SequenceView<const S> dy;
  SystemStates<S> dh;
  SequenceView<S> dx;
  Index group = 0;  ///< tokens
  const PullBack& pull_back;

  [[nodiscard]] Index groups() const noexcept { return chunk_count(x.time, group); }
  [[nodiscard]] Index room_size() const noexcept {
    return SystemRoom<S>::size(system.shape, group) + SystemPullback<S>::size(system.shape) +
           SystemBackwardRoom<S>::size(system.shape, group, groups());
  }

  /// All members, one after another, and then the cotangents of the operators.
  void run_block(Index block, Index worker, S* memory) const {
    const SystemShape& shape = system.shape;
    const Index first = block * system_block<S>, count = std::min(system_block<S>, shape.features - first);
    const SystemRoom<S> forward(shape, group, memory);
    const SystemPullback<S> pull(shape, memory + SystemRoom<S>::size(shape, group));
    const SystemBackwardRoom<S> room(shape, group,
                                     memory + SystemRoom<S>::size(shape, group) + SystemPullback<S>::size(shape));
    pull.start(system, first, count);
    for (Index member = 0; member < x.batch; ++member) {
      const Index length = x.length(member), size = system_block<S> * shape.states;
      const auto tokens_of = [&](Index g) { return TokenRange{g * group, std::min((g + 1) * group, length)}; };
      for_each_state(shape, start, member, block, [&](const S& number, Index at) { room.carried[at] = number; });
      const Index used = chunk_count(length, group);
      for (Index g = 0; g < used; ++g) {
        std::copy_n(room.carried, size, room.entering + g * size);
        if (g + 1 < used) move_group(member, first, count, tokens_of(g), forward, room.carried);
      }
      for_each_state(shape, dh, member, block, [&](const S& number, Index at) { room.carried[at] = number; });
      for (Index g = used - 1; g >= 0; --g) {
        pull_group(member, first, count, tokens_of(g), forward, pull, room, room.entering + g * size);
      }
      for_each_state(shape, dh, member, block, [&](S& number, Index at) { number = room.carried[at]; });
    }
    pull.finish(count);
    for (Index f = 0; f < count; ++f) pull_back(first + f, ChunkOperators<const S>(pull.gradient(f)), worker);
  }

 private:
  void move_group(Index member, Index first, Index count, const TokenRange& tokens, const SystemRoom<S>& forward,
                  S* states) const noexcept {
    const SystemGroup<S> own(system.shape, tokens.size());
    gather_features(x, member, tokens, first, count, own.padding(), forward.inputs, forward.stride);
    for (Index f = 0; f < count; ++f) {
      own.move_state(system.operators(first + f), forward.inputs + f * forward.stride, states + f * system.shape.states,
                     {forward.enter, own.rows(), system.shape.states}, forward.states);
    }
  }

  void pull_group(Index member, Index first, Index count, const TokenRange& tokens, const SystemRoom<S>& forward,
                  const SystemPullback<S>& pull, const SystemBackwardRoom<S>& room, S* entering) const noexcept {
    const SystemShape& shape = system.shape;
    const SystemGroup<S> own(shape, tokens.size());
    const Index stride = forward.stride, M = shape.states;
    gather_features(x, member, tokens, first, count, own.padding(), forward.inputs, stride);
    gather_features(dy, member, tokens, first * shape.channels, count * shape.channels, own.padding(), forward.outputs,
                    stride);
    for (Index f = 0; f < count; ++f) {
      const ChunkOperators<const S> ops = system.operators(first + f);
      const S* u = forward.inputs + f * stride;
      const MatrixView<S> enter(forward.enter, own.rows(), M), pulled(room.pulled, own.rows(), M);
      own.move_state(ops, u, entering + f * M, enter, forward.states);
      S* du = room.dinputs + f * stride;
      pull_outputs(own, pull, f, u, forward.outputs + f * shape.channels * stride, stride, enter, pulled, du);
      pull_states(own, ops, pull, f, u, enter, pulled, room.carried + f * M, du, room.tail, forward.states);
    }
    scatter_features(room.dinputs, stride, dx, member, tokens, first, count);
  }

  /// du = K^T dy, pulled = R^T dy, and the cotangents of K and R.
  void pull_outputs(const SystemGroup<S>& own, const SystemPullback<S>& pull, Index f, const S* u, const S* dys,
                    Index stride, MatrixView<const S> enter, MatrixView<S> pulled, S* du) const noexcept {
    const SystemShape& shape = system.shape;
    const Index C = shape.chunk, M = shape.states, rows = own.rows();
    const MatrixView<const S> inputs(u, rows, C);
    for (Index m = 0; m < shape.channels; ++m) {
      const Index at = f * shape.channels + m;
      const MatrixView<const S> dy_m(dys + m * stride, rows, C);
      // (i, j) = K[i - j] = reversed[C - 1 - i + j]
      const MatrixView<const S> toeplitz(pull.response + at * shape.response_size() + C - 1, C, C, -1);
      small_multiply<S>(factor(dy_m), toeplitz, {du, rows, C}, {.keeps = m > 0});
      small_multiply<S>(factor(dy_m), {pull.read + at * C * M, C, M}, pulled, {.keeps = m > 0});
      small_multiply_add<S>(transposed_factor(dy_m), inputs, {pull.toeplitz_gradient(f, m), C, C}, Part::all,
                            Part::lower);
      small_multiply_add<S>(transposed_factor(enter), dy_m, {pull.gradient(f).read + m * M * C, M, C});
    }
  }

  /// The states from behind the group to before it; du += W^T g, and the cotangents of W, A^C and A.
  void pull_states(const SystemGroup<S>& own, const ChunkOperators<const S>& ops, const SystemPullback<S>& pull,
                   Index f, const S* u, MatrixView<S> enter, MatrixView<S> pulled, S* g, S* du, S* tail,
                   S* room) const noexcept {
    const SystemShape& shape = system.shape;
    const Index C = shape.chunk, M = shape.states;
    const ChunkOperators<S> d = pull.gradient(f);
    const MatrixView<const S> write(pull.write + f * M * C, M, C);
    if (own.rest > 0) {
      const S* last_u = u + own.full * C;
      small_multiply_add<S>(factor(MatrixView<const S>(g, 1, M)), write.middle_cols(C - own.rest, own.rest),
                            {du + own.full * C, 1, own.rest});
      small_multiply_add<S>(transposed_factor(MatrixView<const S>(last_u, 1, own.rest)), {g, 1, M},
                            {d.write + (C - own.rest) * M, own.rest, M});
      std::copy_n(enter.row(own.full), M, tail);
      for (Index t = 1; t < own.rest; ++t) {
        std::copy_n(tail + (t - 1) * M, M, tail + t * M);
        apply_transition(shape, ops.advance, tail + t * M, room);
      }
      for (Index t = own.rest - 1; t >= 0; --t) pull_transition(shape, ops.advance, tail + t * M, g, d.advance, room);
      for (Index s = 0; s < M; ++s) g[s] += pulled(own.full, s);
    }
    for (Index r = own.full - 1; r >= 0; --r) {
      // pulled keeps what arrives behind the chunk, g becomes what arrives before it
      std::copy_n(g, M, room + M);
      pull_transition(shape, ops.carry, enter.row(r), g, d.carry, room);
      for (Index s = 0; s < M; ++s) g[s] += pulled(r, s);
      std::copy_n(room + M, M, pulled.row(r));
    }
    const MatrixView<const S> behind = pulled.middle_rows(0, own.full);
    small_multiply_add<S>(factor(behind), write, {du, own.full, C});
    small_multiply_add<S>(transposed_factor(MatrixView<const S>(u, own.full, C)), behind, {d.write, C, M});
  }
};

}  // namespace detail

/// The backward pass of linear_system_scan in any schedule, from the inputs and the first states. dh holds the
/// cotangent of the last states and then that of the first ones; dx takes that of x. Calls pull_back(feature,
/// operators, worker) once for every feature with the cotangents of its operators; calls of one worker follow each
/// other. Blocks of features are spread over threads; the members of a batch are summed in their order.
template <Scalar S, class PullBack>
void linear_system_backward(const ChunkSystem<const S>& system, SequenceView<const S> x,
                            const SystemStates<const S>& start, SequenceView<const S> dy, const SystemStates<S>& dh,
                            SequenceView<S> dx, Workspace& workspace, const PullBack& pull_back) {
  const Workspace::Scope scope(workspace);
  const SystemShape& shape = system.shape;
  const Index blocks = (shape.features + detail::system_block<S> - 1) / detail::system_block<S>;
  const detail::LinearSystemBackward<S, PullBack> op{system,   x, start, dy, dh, dx, detail::group_tokens(shape.chunk),
                                                     pull_back};
  const Index workers = worker_count(blocks, detail::system_work(shape, x.batch * x.time));
  S* rooms = workspace.take<S>(workers * op.room_size());
  detail::for_each_share(blocks, workers, [&](Index block, Index worker) {
    op.run_block(block, worker, rooms + worker * op.room_size());
  });
  clear_padding(x, dx);
}

}  // namespace stepscan::inline STEPSCAN_ISA
