#pragma once

#include <algorithm>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/pointer_attention.hpp>
#include <utility>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// What a pointer network is taught to point at: slots [batch, steps], of which the first lengths[b] are real; null:
/// all are.
struct PointerTargets {
  const Index* slots = nullptr;
  Index steps = 0;
  const Index* lengths = nullptr;

  [[nodiscard]] Index slot(Index b, Index i) const noexcept { return slots[b * steps + i]; }
  [[nodiscard]] Index length(Index b) const noexcept { return lengths == nullptr ? steps : lengths[b]; }
};

/// What can be pointed at: memory [batch, slots, hidden], 0 behind a member's items, and its projections [batch,
/// attention_features, slots].
template <Scalar S>
struct EncodedItems {
  Tensor<S, Dynamic, Dynamic, Dynamic> memory;
  Tensor<S, Dynamic, Dynamic, Dynamic> projected;
};

/// One run of a pointer network along its targets. What it found: `log_probs` and `probs` [batch, steps, slots], 0
/// where a slot is not allowed and behind a member's targets; the final states; and
///   loss = -(sum of log_probs at the targets) / (number of targets of the whole batch),   0 without targets.
/// The rest is what the backward pass reads once more.
template <Scalar S>
struct PointerLesson {
  using State = typename Lstm<S, Dynamic, Dynamic>::State;
  using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

  Sequence log_probs;
  Sequence probs;
  S loss{0};
  State encoder;
  State decoder;

  EncodedItems<S> items;
  Sequence inputs;                    ///< the decoder's, [batch, steps, features]
  Sequence queries;                   ///< the decoder's outputs, [batch, steps, hidden]
  std::vector<std::uint8_t> allowed;  ///< [batch, steps, slots]
  std::vector<Index> targets;         ///< [batch, steps]
  std::vector<Index> lengths;         ///< [batch], how many targets each member has
  Index count = 0;                    ///< how many there are in all

  [[nodiscard]] PointerMask mask() const noexcept { return {allowed.data(), queries.extent(1), log_probs.extent(2)}; }
};

/// Pointer network (arXiv 1506.03134, section 2.3): an encoder LSTM reads items x [batch, items, features]; a decoder
/// LSTM starts from its final state and at each step points at one of them, which is its next input,
///   memory_j = encoder output j,   memory_items = end where there is a terminal slot,
///   d_i = decoder(input_i),   input_0 = go,   input_(i+1) = x at the slot of step i,
///   log_probs_i = log softmax over the allowed slots of PointerAttention(memory, d_i).
/// Allowed are a member's real items, without those pointed at before where mask_visited is set, and the terminal slot,
/// which ends a sequence. Both LSTMs run in the form asked for; scores of all steps are worked out together.
/// Greedy and beam search: models/pointer_decoding.hpp. Training: models/pointer_network_backward.hpp.
template <Scalar S>
class PointerNetwork {
 public:
  using scalar_type = S;
  using Recurrence = Lstm<S, Dynamic, Dynamic>;
  using State = typename Recurrence::State;
  static constexpr const char* name = "PointerNetwork";

  Recurrence encoder;
  Recurrence decoder;
  Tensor<S, Dynamic> go;   ///< [features]
  Tensor<S, Dynamic> end;  ///< [hidden], or nothing: no terminal slot
  PointerAttention<S> pointer;
  bool mask_visited = true;

  static constexpr auto fields() {
    return std::tuple{Field{"encoder", &PointerNetwork::encoder}, Field{"decoder", &PointerNetwork::decoder},
                      Field{"go", &PointerNetwork::go}, Field{"end", &PointerNetwork::end},
                      Field{"pointer", &PointerNetwork::pointer}};
  }

  PointerNetwork() = default;
  PointerNetwork(Index features, Index hidden, Index attention_features, bool terminal)
      : encoder(features, hidden),
        decoder(features, hidden),
        go(features),
        end(terminal ? hidden : 0),
        pointer(hidden, hidden, attention_features) {}

  /// Uniform in +-0.08, as in the paper.
  void initialize(Random& random) {
    for_each_tensor(
        [&](const Path&, auto& tensor) {
          for (S& value : tensor) value = static_cast<S>(random.uniform(-0.08, 0.08));
        },
        *this);
  }

  [[nodiscard]] bool terminal() const noexcept { return end.size() > 0; }
  [[nodiscard]] Index slots(Index items) const noexcept { return items + (terminal() ? 1 : 0); }
  [[nodiscard]] Index hidden() const noexcept { return encoder.output_size(); }
  /// The encoder's, all zero.
  [[nodiscard]] State initial_state(Index batch) const { return encoder.initial_state(batch); }

  /// Reads the items, from the state and into it. Throws ShapeError when sizes do not fit.
  template <class Form = OwnForm>
  [[nodiscard]] EncodedItems<S> encode(State& state, SequenceView<const S> x, Workspace& workspace,
                                       const Form& form = {}) const {
    return encode_by(x, [&](SequenceView<S> y) { encoder.scan(state, x, y, workspace, form); });
  }

  /// The slots member b may point at first, [slots].
  void allow_all(SequenceView<const S> x, Index b, std::uint8_t* allowed) const noexcept {
    for (Index j = 0; j < slots(x.time); ++j) allowed[j] = j < x.length(b) || j == x.time;
  }
  /// What remains after pointing at a slot.
  void visit(Index items, Index slot, std::uint8_t* allowed) const noexcept {
    if (mask_visited && slot < items) allowed[slot] = 0;
  }

  /// Follows the targets (teacher forcing) from the encoder's start state. Throws ShapeError when sizes do not fit and
  /// ArgumentError when a target is not allowed or follows the terminal slot.
  template <class Form = OwnForm>
  void teach(const State& start, SequenceView<const S> x, const PointerTargets& targets, PointerLesson<S>& lesson,
             Workspace& workspace, const Form& form = {}) const {
    teach_by(start, x, targets, lesson, workspace,
             [&](const Recurrence& lstm, State& state, SequenceView<const S> in, SequenceView<S> out) {
               lstm.scan(state, in, out, workspace, form);
             });
  }

  /// The same with run(lstm, state, inputs, outputs) for the encoder and then the decoder.
  template <class Run>
  void teach_by(const State& start, SequenceView<const S> x, const PointerTargets& targets, PointerLesson<S>& lesson,
                Workspace& workspace, Run&& run) const {
    lesson.encoder = start;
    lesson.items = encode_by(x, [&](SequenceView<S> y) { run(encoder, lesson.encoder, x, y); });
    follow(x, targets, lesson);
    lesson.decoder = lesson.encoder;
    SequenceView<const S> inputs = std::as_const(lesson.inputs);
    run(decoder, lesson.decoder, inputs.ragged(lesson.lengths), SequenceView<S>(lesson.queries));
    const Workspace::Scope scope(workspace);
    const PointerMemory<S> memory{std::as_const(lesson.items.projected), std::as_const(lesson.items.memory)};
    pointer_attention<S>(pointer.scores(), memory, pointer.project(std::as_const(lesson.queries), workspace),
                         lesson.mask(), {lesson.log_probs, lesson.probs, {}, nullptr}, workspace);
    double sum = 0;
    for (Index b = 0; b < x.batch; ++b) {
      for (Index i = 0; i < targets.length(b); ++i) {
        sum += static_cast<double>(lesson.log_probs(b, i, targets.slot(b, i)));
      }
    }
    lesson.loss = lesson.count == 0 ? S{0} : static_cast<S>(-sum / static_cast<double>(lesson.count));
  }

 private:
  template <class Run>
  [[nodiscard]] EncodedItems<S> encode_by(SequenceView<const S> x, Run&& run) const {
    EncodedItems<S> items;
    items.memory = Tensor<S, Dynamic, Dynamic, Dynamic>(x.batch, slots(x.time), hidden());
    run(SequenceView<S>(items.memory).slice(0, x.time));
    for (Index b = 0; b < x.batch && terminal(); ++b) std::copy(end.begin(), end.end(), &items.memory(b, x.time, 0));
    items.projected = pointer.remember(std::as_const(items.memory));
    return items;
  }

  /// What the targets alone decide: the decoder's inputs and what each step may point at.
  void follow(SequenceView<const S> x, const PointerTargets& targets, PointerLesson<S>& lesson) const {
    const Index steps = targets.steps, count = slots(x.time);
    lesson.inputs = typename PointerLesson<S>::Sequence(x.batch, steps, x.features);
    lesson.queries = typename PointerLesson<S>::Sequence(x.batch, steps, hidden());
    lesson.log_probs = lesson.probs = typename PointerLesson<S>::Sequence(x.batch, steps, count);
    lesson.allowed.assign(static_cast<std::size_t>(x.batch * steps * count), 0);
    lesson.targets.assign(targets.slots, targets.slots + x.batch * steps);
    lesson.lengths.clear();
    lesson.count = 0;
    std::vector<std::uint8_t> allowed(static_cast<std::size_t>(count));
    for (Index b = 0; b < x.batch; ++b) {
      const Index length = targets.length(b);
      if (length < 0 || length > steps) {
        fail<ShapeError>(std::string(name) + ": expected target lengths in [0, " + std::to_string(steps) + "], found " +
                         std::to_string(length));
      }
      lesson.lengths.push_back(length);
      lesson.count += length;
      allow_all(x, b, allowed.data());
      for (Index i = 0; i < length; ++i) {
        const Index before = i == 0 ? -1 : targets.slot(b, i - 1), slot = targets.slot(b, i);
        if (before == x.time || slot < 0 || slot >= count || allowed[static_cast<std::size_t>(slot)] == 0) {
          fail<ArgumentError>(std::string(name) + ": target " + std::to_string(slot) + " of step " + std::to_string(i) +
                              " of member " + std::to_string(b) + " may not be pointed at");
        }
        std::copy(allowed.begin(), allowed.end(), lesson.allowed.begin() + (b * steps + i) * count);
        std::copy_n(i == 0 ? go.data() : x.token(b, before), Index{x.features}, &lesson.inputs(b, i, 0));
        visit(x.time, slot, allowed.data());
      }
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
