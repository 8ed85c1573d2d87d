#include <contract/checks.hpp>
#include <contract/gradients.hpp>
#include <support/allocation.hpp>

namespace stepscan::testing {

namespace {

/// A sequence inside a larger buffer full of a mark, with room between and around its tokens.
template <class S>
class Embedded {
 public:
  /// The tokens of a batch member apart by `time_stride`, or, `time_major`, the members of a time step.
  Embedded(Index batch, Index time, Index features, Index offset, bool time_major) {
    const Index token = features + 3;
    buffer_.assign(static_cast<std::size_t>(offset + batch * time * token + 7), mark);
    view = SequenceView<S>(buffer_.data() + offset, batch, time, features);
    view.time_stride = time_major ? batch * token : token;
    view.batch_stride = time_major ? token : time * token + 1;
    if (!time_major) buffer_.resize(buffer_.size() + static_cast<std::size_t>(batch), mark);
    view.data = buffer_.data() + offset;
  }

  void assign(const Sequence<S>& values) {
    for (Index b = 0; b < view.batch; ++b) {
      for (Index t = 0; t < view.time; ++t) std::copy_n(&values(b, t, 0), Index{view.features}, view.token(b, t));
    }
  }
  /// The tokens, which it then overwrites by the mark.
  Sequence<S> take() {
    Sequence<S> values(view.batch, view.time, view.features);
    for (Index b = 0; b < view.batch; ++b) {
      for (Index t = 0; t < view.time; ++t) {
        std::copy_n(view.token(b, t), Index{view.features}, &values(b, t, 0));
        std::fill_n(view.token(b, t), Index{view.features}, mark);
      }
    }
    return values;
  }
  [[nodiscard]] bool is_all_mark() const {
    return std::all_of(buffer_.begin(), buffer_.end(), [](S v) { return v == mark; });
  }

  SequenceView<S> view;

 private:
  static constexpr S mark = S(1.0e20);
  std::vector<S> buffer_;
};

}  // namespace

template <class S>
void check_views(Probe<S>& probe) {
  constexpr Index batch = 3, time = 2 * tested_chunk + 3;
  TrainableModel<S>& model = probe.model;
  const Index out_time = model.output_time(time);
  const auto x = probe.random_inputs(batch, time), dy = probe.random_outputs(batch, time);
  const AnyState<S> start = probe.random_state(batch), dend = probe.random_state(batch);
  for (std::size_t f = 0; f < model.forms.size(); ++f) {
    for (const Index offset : {1, 3}) {
      const bool time_major = offset == 3;
      CAPTURE(model.name, model.forms[f].name, offset);
      Embedded<S> in(batch, time, model.inputs, offset, time_major),
          out(batch, out_time, model.outputs, offset, !time_major);
      Embedded<S> cotangent(batch, out_time, model.outputs, offset, time_major);
      Embedded<S> d_in(batch, time, model.inputs, offset, !time_major);
      in.assign(x);
      cotangent.assign(dy);

      for (const Model<S>* any :
           {static_cast<const Model<S>*>(&model), static_cast<const Model<S>*>(probe.plan.get())}) {
        const Outcome<S> expected = run<S>(*any, f, start, x);
        AnyState<S> end = start;
        Workspace workspace;
        any->scan(f, end, in.view, out.view, workspace);
        CHECK(same_bits(Outcome<S>{out.take(), end}, expected));
        CHECK(out.is_all_mark());
      }

      const Gradient<S> expected = gradient<S>(model, f, start, x, dy, dend);
      Gradient<S> found = expected;
      for (const auto& tensor : model.gradient()) std::fill(tensor.numbers.begin(), tensor.numbers.end(), S(0));
      found.outcome.end = start;
      model.forward(f, found.outcome.end, in.view, out.view);
      model.backward(cotangent.view, dend, d_in.view, found.dstart);
      found.outcome.y = out.take();
      found.dx = d_in.take();
      const auto parameters = model.gradient();
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        found.parameters[i].values.assign(parameters[i].numbers.begin(), parameters[i].numbers.end());
      }
      const Difference worst = difference(found, expected);
      CAPTURE(worst.where);
      CHECK(worst.error <= exact_tolerance<S>);
      CHECK(out.is_all_mark());
      CHECK(d_in.is_all_mark());
    }
  }
}

template <class S>
void check_allocations(Probe<S>& probe) {
  constexpr Index batch = 3, time = 3 * tested_chunk + 5;
  const auto x = probe.random_inputs(batch, time);
  const SequenceView<const S> in(x);
  for (const Model<S>* model :
       {static_cast<const Model<S>*>(&probe.model), static_cast<const Model<S>*>(probe.plan.get())}) {
    Sequence<S> y(batch, model->output_time(time), model->outputs);
    const SequenceView<S> out(y);
    AnyState<S> state = probe.random_state(batch);
    CAPTURE(model->name);
    if (model->causal) {
      const long before = allocation_count();
      for (Index t = 0; t < time; ++t) model->step(state, in.frame(t), out.frame(t));
      const long allocations = allocation_count() - before;
      CHECK(allocations == 0);
    }
    for (std::size_t f = 0; f < model->forms.size(); ++f) {
      Workspace workspace;
      model->scan(f, state, in, out, workspace);
      const long before = allocation_count();
      model->scan(f, state, in, out, workspace);
      const long allocations = allocation_count() - before;
      CAPTURE(model->forms[f].name);
      CHECK(allocations == 0);
    }
  }
}

template <class S>
void check_state_values(Probe<S>& probe) {
  const auto x = probe.random_inputs(2, tested_chunk + 1), more = probe.random_inputs(2, tested_chunk + 2);
  const AnyState<S> middle = run<S>(probe.model, 0, probe.random_state(2), x).end;
  AnyState<S> copied = probe.random_state(2), restored = probe.random_state(2);
  copied = middle;
  middle.held().restore_into(restored.held());
  CHECK(bytes(copied.tensors()) == bytes(middle.tensors()));
  CHECK(bytes(restored.tensors()) == bytes(middle.tensors()));
  const Outcome<S> expected = run<S>(probe.model, 0, middle, more);
  CHECK(same_bits(run<S>(probe.model, 0, copied, more), expected));
  CHECK(same_bits(run<S>(*probe.plan, 0, restored, more), run<S>(*probe.plan, 0, middle, more)));
}

template void check_views(Probe<float>&);
template void check_views(Probe<double>&);
template void check_allocations(Probe<float>&);
template void check_allocations(Probe<double>&);
template void check_state_values(Probe<float>&);
template void check_state_values(Probe<double>&);

}  // namespace stepscan::testing
