#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/linear_system.hpp>
#include <stepscan/scan/affine_slots.hpp>

/// Whole sequences through linear time-invariant systems by their chunk operators (ops/linear_system.hpp). Features run
/// in blocks of one cache line: the tokens of some chunks are transposed to [feature, token], where every chunk is a
/// row of the three products.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Tokens that a block of features takes at a time: what is transposed, twice, stays in the second cache level.
inline constexpr Index system_group_tokens = 1024;

/// Runs of whole chunks; the last run of a sequence may end within a chunk.
[[nodiscard]] constexpr Index group_tokens(Index chunk, Index wanted = system_group_tokens) noexcept {
  return std::max<Index>(wanted / chunk, 1) * chunk;
}

/// The work between a group's chunks and their states, for one feature.
template <Scalar S>
struct SystemGroup {
  SystemShape shape;
  Index full = 0;  ///< whole chunks
  Index rest = 0;  ///< tokens behind them

  SystemGroup(const SystemShape& s, Index tokens) noexcept : shape(s), full(tokens / s.chunk), rest(tokens % s.chunk) {}

  [[nodiscard]] Index rows() const noexcept { return full + (rest > 0 ? 1 : 0); }
  [[nodiscard]] Index padding() const noexcept { return rows() * shape.chunk - full * shape.chunk - rest; }

  /// enter [rows, M] = the states that enter the chunks; h moves from before the group to behind it. u [rows, C].
  void move_state(const ChunkOperators<const S>& ops, const S* u, S* h, MatrixView<S> enter, S* room) const noexcept {
    const Index C = shape.chunk, M = shape.states;
    const MatrixView<const S> write(ops.write, C, M);
    small_multiply<S>(factor(MatrixView<const S>(u, full, C)), write, enter.middle_rows(0, full));
    for (Index r = 0; r < full; ++r) {
      for (Index s = 0; s < M; ++s) std::swap(h[s], enter(r, s));
      // h holds what the chunk adds, enter what enters it
      add_moved(ops.carry, enter.row(r), h, room);
    }
    if (rest == 0) return;
    S* last = enter.row(full);
    std::copy_n(h, M, last);
    for (Index t = 0; t < rest; ++t) apply_transition(shape, ops.advance, h, room);
    small_multiply_add<S>(factor(MatrixView<const S>(u + full * C, 1, rest)), write.middle_rows(C - rest, rest),
                          MatrixView<S>(h, 1, M));
  }

  /// y [rows, C] of one channel from the inputs and the states that enter.
  void respond(const ChunkOperators<const S>& ops, Index channel, const S* u, MatrixView<const S> enter,
               S* y) const noexcept {
    constexpr Index panel = panel_rows<S>;
    const Index C = shape.chunk, M = shape.states;
    const S* response = ops.response + channel * shape.response_size();
    const MatrixView<const S> read(ops.read + channel * M * C, M, C), inputs(u, rows(), C);
    const MatrixView<S> out(y, rows(), C);
    for (Index first = 0; first < C; first += panel) {
      const Index columns = std::min(panel, C - first), depth = first + columns;
      small_multiply<S>(factor<S>(inputs.middle_cols(0, depth)), toeplitz(shape, response, depth, first, columns),
                        out.middle_cols(first, columns));
      small_multiply_add<S>(factor(enter), read.middle_cols(first, columns), out.middle_cols(first, columns));
    }
  }

 private:
  /// h += A^C from
  void add_moved(const S* carry, const S* from, S* h, S* room) const noexcept {
    std::copy_n(from, shape.states, room);
    apply_transition(shape, carry, room, room + shape.states);
    for_each_lanes<S>(shape.states,
                      [&](Index s, auto lanes) { lanes.store(h + s, lanes.load(h + s) + lanes.load(room + s)); });
  }
};

/// How a block's numbers lie in one worker's memory.
template <Scalar S>
struct SystemRoom {
  S* inputs;   ///< [block, stride]
  S* outputs;  ///< [block * channels, stride]
  S* enter;    ///< [chunks, M]
  S* states;   ///< [M] and [M]
  Index stride;

  [[nodiscard]] static Index row_stride(Index tokens) noexcept { return tokens + system_block<S>; }  // not a power of 2
  [[nodiscard]] static Index size(const SystemShape& shape, Index tokens) noexcept {
    return (1 + shape.channels) * system_block<S> * row_stride(tokens) + tokens / shape.chunk * shape.states +
           shape.states + transition_room(shape);
  }
  SystemRoom(const SystemShape& shape, Index tokens, S* memory) noexcept
      : inputs(memory),
        outputs(inputs + system_block<S> * row_stride(tokens)),
        enter(outputs + shape.channels * system_block<S> * row_stride(tokens)),
        states(enter + tokens / shape.chunk * shape.states),
        stride(row_stride(tokens)) {}
};

/// A group of a block of features on its way through the systems.
template <Scalar S>
struct SystemBlock {
  ChunkSystem<const S> system;
  SystemGroup<S> group;
  SystemRoom<S> room;       ///< the inputs stand there, [count, rows * C]
  SequenceView<const S> x;  ///< the same: [tokens, features] of one member
  Index worker;
  Index first;  ///< feature
  Index count;
  S* states;  ///< [count, M], from before the group to behind it

  [[nodiscard]] ChunkOperators<const S> operators(Index f) const noexcept { return system.operators(first + f); }
  [[nodiscard]] const S* inputs(Index f) const noexcept { return room.inputs + f * room.stride; }
  /// [channels, room.stride]
  [[nodiscard]] S* outputs(Index f) const noexcept { return room.outputs + f * system.shape.channels * room.stride; }
  [[nodiscard]] S* state(Index f) const noexcept { return states + f * system.shape.states; }
  /// [rows, M]
  [[nodiscard]] MatrixView<S> enter() const noexcept { return {room.enter, group.rows(), system.shape.states}; }

  /// The states that enter the chunks of feature f stand in enter() then.
  void move_state(Index f) const noexcept { group.move_state(operators(f), inputs(f), state(f), enter(), room.states); }
};

/// The outputs of a block, and its states behind the group, by the products of its chunks.
template <Scalar S>
struct ChunkResponse {
  void operator()(const SystemBlock<S>& block) const noexcept {
    for (Index f = 0; f < block.count; ++f) {
      block.move_state(f);
      for (Index m = 0; m < block.system.shape.channels; ++m) {
        block.group.respond(block.operators(f), m, block.inputs(f), block.enter(),
                            block.outputs(f) + m * block.room.stride);
      }
    }
  }
};

/// A^C applied as often as a group has chunks, and what the group adds.
template <Scalar S>
struct SystemElement {
  Index sequence = 0;
  Index block = 0;
  S* added = nullptr;  ///< [features of the block, M]
};

template <Scalar S>
struct SystemAction {
  ChunkSystem<const S> system;
  Index chunks = 0;
  S* room = nullptr;  ///< [sequences, transition_room]

  void act(const SystemElement<S>& element, const S* from, S* to) const noexcept {
    const SystemShape& shape = system.shape;
    const Index first = element.block * system_block<S>, count = std::min(system_block<S>, shape.features - first);
    std::copy_n(from, count * shape.states, to);
    for (Index f = 0; f < count; ++f) {
      S* h = to + f * shape.states;
      for (Index i = 0; i < chunks; ++i) {
        apply_transition(shape, system.operators(first + f).carry, h, room + element.sequence * transition_room(shape));
      }
      for (Index s = 0; s < shape.states; ++s) h[s] += element.added[f * shape.states + s];
    }
  }
};

/// A sequence of the executors is one block of features of one batch member, a chunk of theirs a group of chunks.
template <Scalar S, class Response>
struct LinearSystemScan {
  static constexpr bool keeps_local = false;

  ChunkSystem<const S> system;
  SequenceView<const S> x;
  SequenceView<S> y;
  Response response;
  ScanGrid grid;
  Index blocks = 0;
  AffineSlots<S, 1> slots;
  S* rooms = nullptr;
  S* act_room = nullptr;

  [[nodiscard]] Index length(Index s) const noexcept { return x.length(s / blocks); }
  [[nodiscard]] SystemAction<S> monoid() const noexcept { return {system, grid.chunk / system.shape.chunk, act_room}; }
  [[nodiscard]] SystemElement<S> element(Index s, Index i) const noexcept {
    struct Slot {
      Planes<S*, 1> a, b;
    };
    return {s, s % blocks, slots.template element<Slot>(s, i).b[0]};
  }
  [[nodiscard]] S* state(Index s, Index i) const noexcept { return slots.state(s, i)[0]; }
  void finish(Index s, Index i) const noexcept { slots.finish(s, i); }

  void summarise(const ScanJob& job, const SystemElement<S>& element) const noexcept {
    std::fill_n(element.added, system_block<S> * system.shape.states, S{0});
    run(job, element.added, false);
  }
  void emit(const ScanJob& job, S* state) const noexcept { run(job, state, true); }

 private:
  void run(const ScanJob& job, S* states, bool respond) const noexcept {
    const SystemShape& shape = system.shape;
    const Index member = job.sequence / blocks, first = job.sequence % blocks * system_block<S>;
    const Index count = std::min(system_block<S>, shape.features - first);
    const SystemRoom<S> room(shape, grid.chunk, rooms + job.worker * SystemRoom<S>::size(shape, grid.chunk));
    const SystemBlock<S> block{system,     {shape, job.tokens.size()},
                               room,       x.members(member, 1).slice(job.tokens.begin, job.tokens.size()),
                               job.worker, first,
                               count,      states};
    gather_features(x, member, job.tokens, first, count, block.group.padding(), room.inputs, room.stride);
    if (respond) {
      response(block);
      scatter_features(room.outputs, room.stride, y, member, job.tokens, first * shape.channels,
                       count * shape.channels);
    } else {
      for (Index f = 0; f < count; ++f) block.move_state(f);
    }
  }
};

[[nodiscard]] inline Index system_work(const SystemShape& shape, Index tokens) noexcept {
  return tokens * shape.features * (shape.chunk + 2 * shape.states);
}

/// The scan with make_response(workers) for its outputs, by groups of about `wanted` tokens.
template <Scalar S, class MakeResponse>
void scan_linear_system(const ChunkSystem<const S>& system, SequenceView<const S> x, const SystemStates<S>& h,
                        SequenceView<S> y, const ScanSchedule& schedule, Index wanted, Workspace& workspace,
                        const MakeResponse& make_response) {
  const Workspace::Scope scope(workspace);
  const SystemShape& shape = system.shape;
  const Index blocks = (shape.features + system_block<S> - 1) / system_block<S>;
  const Index sequences = x.batch * blocks, size = system_block<S> * shape.states;
  const Index group = group_tokens(shape.chunk, wanted), groups = chunk_count(x.time, group);
  const ScanGrid grid{
      sequences, x.time, group,
      worker_count(schedule.parallel ? sequences * groups : sequences, system_work(shape, x.batch * x.time)),
      Direction::forward};
  const MatrixView<S> states = workspace.matrix<S, Dynamic>(sequences, size);
  using Response = decltype(make_response(grid.workers));
  LinearSystemScan<S, Response> op{system, x, y, make_response(grid.workers), grid, blocks, {}, nullptr, nullptr};
  op.slots = AffineSlots<S, 1>(workspace, sequences, schedule.parallel ? groups : 1, 0, size, {states});
  op.rooms = workspace.take<S>(grid.workers * SystemRoom<S>::size(shape, group));
  op.act_room = workspace.take<S>(sequences * transition_room(shape));
  const auto for_each = [&](auto&& f) {
    for (Index s = 0; s < sequences; ++s) {
      for_each_state(shape, h, s / blocks, s % blocks, [&](S& number, Index at) { f(number, states.row(s)[at]); });
    }
  };
  for_each([](S& number, S& packed) { packed = number; });
  run_scan(op, grid, schedule);
  for_each([](S& number, S& packed) { number = packed; });
  clear_padding(x, y);
}

}  // namespace detail

/// Sequences x [batch, time, features] to y [batch, time, features * channels], from the states and into them. The
/// chunk of a parallel schedule is how many tokens a group has, a multiple of C; 0: the op chooses. Blocks of features
/// are spread over threads, in a parallel schedule groups of chunks as well.
template <Scalar S>
void linear_system_scan(const ChunkSystem<const S>& system, SequenceView<const S> x, const SystemStates<S>& h,
                        SequenceView<S> y, const ScanSchedule& schedule, Workspace& workspace) {
  const Index wanted = schedule.parallel && schedule.chunk > 0 ? schedule.chunk : detail::system_group_tokens;
  detail::scan_linear_system<S>(system, x, h, y, schedule, wanted, workspace,
                                [](Index) { return detail::ChunkResponse<S>(); });
}

}  // namespace stepscan::inline STEPSCAN_ISA
