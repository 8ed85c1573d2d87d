#include <contract/checks.hpp>
#include <contract/gradients.hpp>

namespace stepscan::testing {

template <class S>
void check_empty(Probe<S>& probe) {
  TrainableModel<S>& model = probe.model;
  for (std::size_t f = 0; f < model.forms.size(); ++f) {
    CAPTURE(model.name, model.forms[f].name);
    for (const Index batch : {0, 2}) {
      const Index time = batch == 0 ? 5 : 0;
      if (batch != 0 && model.output_time(0) != 0) continue;
      const auto x = probe.random_inputs(batch, time), dy = probe.random_outputs(batch, time);
      const AnyState<S> start = probe.random_state(batch), dend = probe.random_state(batch);
      CHECK(bytes(run<S>(model, f, start, x).end.tensors()) == bytes(start.tensors()));
      CHECK(bytes(run<S>(*probe.plan, f, start, x).end.tensors()) == bytes(start.tensors()));
      const Gradient<S> found = gradient<S>(model, f, start, x, dy, dend);
      CHECK(numbers(found.dstart.tensors()) == numbers(dend.tensors()));
      for (const auto& parameter : found.parameters) {
        CHECK(std::all_of(parameter.values.begin(), parameter.values.end(), [](S v) { return v == S(0); }));
      }
    }
    const auto x = probe.random_inputs(1, 1);
    const AnyState<S> start = probe.random_state(1);
    const Difference worst =
        difference(run<S>(model, f, start, x), run<S>(model, 0, start, x), floor_of(model.forms[f]));
    CAPTURE(worst.where);
    CHECK(worst.error <= tolerance<S>(model.forms[f]));
  }
}

template <class S>
void check_wrong_shapes(Probe<S>& probe) {
  const Model<S>& model = probe.model;
  const Index out_time = model.output_time(6);
  const AnyState<S> start = probe.random_state(2);
  const auto refuses = [&](Index batch, Index extra_inputs, Index out_batch, Index extra_time, Index extra_outputs) {
    const Sequence<S> x(batch, 6, model.inputs + extra_inputs);
    Sequence<S> y(out_batch, out_time + extra_time, model.outputs + extra_outputs);
    for (const Model<S>* any : {&model, static_cast<const Model<S>*>(probe.plan.get())}) {
      for (std::size_t f = 0; f < any->forms.size(); ++f) {
        AnyState<S> state = start;
        Workspace workspace;
        CAPTURE(any->name, any->forms[f].name);
        CHECK_THROWS_AS(any->scan(f, state, x, y, workspace), ShapeError);
        CHECK(bytes(state.tensors()) == bytes(start.tensors()));
      }
    }
  };
  refuses(2, 1, 2, 0, 0);
  refuses(2, -1, 2, 0, 0);
  refuses(2, 0, 2, 0, 1);
  refuses(2, 0, 1, 0, 0);
  refuses(2, 0, 2, 1, 0);
  if (!start.tensors().empty()) refuses(3, 0, 3, 0, 0);
}

template void check_empty(Probe<float>&);
template void check_empty(Probe<double>&);
template void check_wrong_shapes(Probe<float>&);
template void check_wrong_shapes(Probe<double>&);

}  // namespace stepscan::testing
