#pragma once

#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/pointer_attention_backward.hpp>
#include <stepscan/models/pointer_network.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Cotangents of what a lesson found; log_probs may be a view of nothing, and is not read where a slot is not allowed.
template <Scalar S>
struct PointerLessonCotangents {
  SequenceView<const S> log_probs;
  S loss{0};
  typename PointerNetwork<S>::State encoder;
  typename PointerNetwork<S>::State decoder;
};

/// Training of a PointerNetwork: the tapes of its LSTMs, and a view of x. The choice of slots carries no gradient.
template <Scalar S>
struct Training<PointerNetwork<S>> {
  using Network = PointerNetwork<S>;
  using State = typename Network::State;

  struct Tape {
    stepscan::Tape<typename Network::Recurrence> encoder;
    stepscan::Tape<typename Network::Recurrence> decoder;
    SequenceView<const S> x;
    Workspace workspace;
  };

  /// PointerNetwork::teach that keeps what `backward` needs. x and the lesson must stay where they are until then.
  template <class Form = OwnForm>
  static void forward(const Network& network, const State& start, SequenceView<const S> x,
                      const PointerTargets& targets, PointerLesson<S>& lesson, Tape& tape, const Form& form = {}) {
    tape.x = x;
    network.teach_by(start, x, targets, lesson, tape.workspace,
                     [&](const auto& lstm, State& state, SequenceView<const S> in, SequenceView<S> out) {
                       lstm.forward(state, in, out, &lstm == &network.encoder ? tape.encoder : tape.decoder, form);
                     });
  }

  /// Adds the gradient of the parameters to `gradient`; writes the cotangents of x, 0 in its padding, and of the
  /// encoder's start state. Throws ShapeError when sizes do not fit.
  static void backward(const Network& network, Tape& tape, const PointerLesson<S>& lesson,
                       const PointerLessonCotangents<S>& d, Network& gradient, SequenceView<S> dx, State& dstart) {
    const SequenceView<const S>& x = tape.x;
    Workspace& workspace = tape.workspace;
    const Workspace::Scope scope(workspace);
    const SequenceView<const S> queries = lesson.queries, memory = lesson.items.memory;
    const SequenceView<S> dqueries = workspace.template sequence<S>(queries, queries.features),
                          dmemory = workspace.template sequence<S>(memory, memory.features),
                          dinputs = workspace.template sequence<S>(queries, x.features);
    const SequenceView<const S> dlog_probs = cotangent_of_log_probs(lesson, d, workspace);
    pointer_backward<S>(network.pointer, lesson.items.projected, memory, queries, lesson.mask(),
                        {lesson.log_probs, lesson.probs, {}, dlog_probs, {}, {}, {}, {}, {}, nullptr}, gradient.pointer,
                        dmemory, dqueries, workspace);

    State dstate = d.decoder;
    network.decoder.backward(tape.decoder, dqueries, d.decoder, gradient.decoder, dinputs, dstate);
    for_each_tensor(
        [](const Path&, auto& sum, const auto& own) {
          for (Index i = 0; i < sum.size(); ++i) sum[i] += own[i];
        },
        dstate, d.encoder);
    network.encoder.backward(tape.encoder, dmemory.slice(0, x.time), dstate, gradient.encoder, dx, dstart);

    for (Index b = 0; b < x.batch; ++b) {
      if (network.terminal()) add_scaled<S>(1, dmemory.token(b, x.time), gradient.end.data(), network.hidden());
      for (Index i = 0; i < lesson.lengths[static_cast<std::size_t>(b)]; ++i) {
        const auto before = static_cast<std::size_t>(b * queries.time + i - 1);
        S* const to = i == 0 ? gradient.go.data() : dx.token(b, lesson.targets[before]);
        add_scaled<S>(1, dinputs.token(b, i), to, x.features);
      }
    }
  }

 private:
  /// What is given, and what comes through the loss: -dloss / count at every target.
  static SequenceView<const S> cotangent_of_log_probs(const PointerLesson<S>& lesson,
                                                      const PointerLessonCotangents<S>& d, Workspace& workspace) {
    const SequenceView<const S> like = lesson.log_probs;
    if (d.log_probs.data != nullptr &&
        (d.log_probs.batch != like.batch || d.log_probs.time != like.time || d.log_probs.features != like.features)) {
      fail<ShapeError>(std::string(Network::name) + ": expected the cotangent of log_probs of shape " +
                       shape_text(lesson.log_probs.shape()) + ", found " +
                       shape_text({d.log_probs.batch, d.log_probs.time, d.log_probs.features}));
    }
    const SequenceView<S> sum = workspace.template sequence<S>(like, like.features);
    for (Index b = 0; b < like.batch; ++b) {
      for (Index i = 0; i < like.time; ++i) {
        S* const to = sum.token(b, i);
        for (Index j = 0; j < like.features; ++j)
          to[j] = d.log_probs.data == nullptr ? S{0} : d.log_probs.token(b, i)[j];
        if (i >= lesson.lengths[static_cast<std::size_t>(b)]) continue;
        to[lesson.targets[static_cast<std::size_t>(b * like.time + i)]] -= d.loss / static_cast<S>(lesson.count);
      }
    }
    return sum;
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
