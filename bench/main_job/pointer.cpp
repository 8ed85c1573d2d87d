#include <stepscan/layers/pointer_attention.hpp>
#include <stepscan/models/pointer_network.hpp>

#include "job.hpp"

// What points has two inputs and is no layer; here it gets the face of one, over sets of 32 consecutive tokens.

namespace {

using namespace stepscan;

using Numbers = Tensor<float, Dynamic, Dynamic, Dynamic>;

/// The tokens of contiguous sequences as sets of items; what is left of the last set is not read.
SequenceView<const float> sets_of(const SequenceView<const float>& x) {
  const Index items = std::min<Index>(x.time, 32);
  return {x.data, x.batch * x.time / items, items, x.features};
}

/// Every item is also a query at its set, one after another or all at once; y is what they find there.
class PointingItems : public main_job::Face {
 public:
  explicit PointingItems(Index width) : pointer_(width, width, width) { initialize(pointer_, 1); }

  [[nodiscard]] Index input_size() const { return pointer_.w1.extent(1); }
  [[nodiscard]] Index output_size() const { return input_size(); }

  template <class Form>
  void scan(NoState&, SequenceView<const float> x, SequenceView<float> y, Workspace& workspace, const Form&) const {
    const SequenceView<const float> sets = sets_of(x);
    const SequenceView<float> found(y.data, sets.batch, sets.time, y.features);
    const auto remembered = pointer_.remember(sets);
    const Index together = std::same_as<Form, Recurrent> ? 1 : sets.time;
    Numbers log_probs(sets.batch, together, sets.time), probs(log_probs.shape());
    for (Index first = 0; first < sets.time; first += together) {
      pointer_.point(remembered, sets, sets.slice(first, together), {},
                     {log_probs, probs, found.slice(first, together), nullptr}, workspace);
    }
  }

 private:
  PointerAttention<float> pointer_;
};

/// A network that is taught to point at the items from the last to the first, its LSTMs in the form asked for; y is how
/// likely it finds each step's target.
class TaughtNetwork : public main_job::Face {
 public:
  explicit TaughtNetwork(Index width) : network_(width, width, width, false) { initialize(network_, 1); }

  [[nodiscard]] Index input_size() const { return network_.go.size(); }
  [[nodiscard]] Index output_size() const { return 1; }

  template <class Form>
  void scan(NoState&, SequenceView<const float> x, SequenceView<float> y, Workspace& workspace,
            const Form& form) const {
    const SequenceView<const float> sets = sets_of(x);
    std::vector<Index> slots;
    for (Index b = 0; b < sets.batch; ++b) {
      for (Index i = sets.time; i-- > 0;) slots.push_back(i);
    }
    PointerLesson<float> lesson;
    network_.teach(network_.initial_state(sets.batch), sets, {slots.data(), sets.time, nullptr}, lesson, workspace,
                   form);
    for (Index b = 0; b < sets.batch; ++b) {
      for (Index i = 0; i < sets.time; ++i) y.data[b * sets.time + i] = lesson.log_probs(b, i, sets.time - 1 - i);
    }
  }

 private:
  PointerNetwork<float> network_;
};

}  // namespace

std::vector<main_job::Entry> main_job::pointers() {
  return {main_job::faced<PointingItems>("pointer_attention"), main_job::faced<TaughtNetwork>("pointer_network")};
}
