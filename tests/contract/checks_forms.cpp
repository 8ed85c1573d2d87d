#include <contract/checks.hpp>
#include <contract/strengths.hpp>

namespace stepscan::testing {

namespace {

/// Compares every form of the layer and of its plan with the layer in Recurrent.
template <class S>
void check_all_forms(Probe<S>& probe, const AnyState<S>& start, SequenceView<const S> x, double least_tolerance = 0) {
  const Outcome<S> reference = run<S>(probe.model, 0, start, x);
  for (const Model<S>* model :
       {static_cast<const Model<S>*>(&probe.model), static_cast<const Model<S>*>(probe.plan.get())}) {
    for (std::size_t f = 0; f < model->forms.size(); ++f) {
      const Form& form = model->forms[f];
      const Difference worst = difference(run<S>(*model, f, start, x), reference, floor_of(form));
      CAPTURE(model->name, form.name, x.time, worst.where);
      CHECK(worst.error <= std::max(tolerance<S>(form), least_tolerance));
    }
  }
}

}  // namespace

template <class S>
void check_forms_agree(Probe<S>& probe) {
  constexpr Index c = tested_chunk;
  for (const Index time : {Index{0}, Index{1}, c - 1, c, c + 1, 3 * c + 5}) {
    const auto x = probe.random_inputs(3, time);
    check_all_forms<S>(probe, probe.random_state(3), x);
    check_all_forms<S>(probe, probe.model.initial_state(3), x);
  }
}

template <class S>
void check_splits(Probe<S>& probe) {
  if (!probe.model.causal) return;
  constexpr Index time = 2 * tested_chunk + 3;
  const auto x = probe.random_inputs(2, time);
  const AnyState<S> start = probe.random_state(2);
  const auto& forms = probe.model.forms;
  const Outcome<S> reference = run<S>(probe.model, 0, start, x);
  Workspace workspace;
  for (std::size_t first = 0; first < forms.size(); ++first) {
    for (std::size_t second = 0; second < forms.size(); ++second) {
      Difference worst;
      bool bits = true;
      for (Index t = 0; t <= time; ++t) {
        Outcome<S> parts{Sequence<S>(2, time, probe.model.outputs), start};
        const SequenceView<const S> in(x);
        const SequenceView<S> out(parts.y);
        probe.model.scan(first, parts.end, in.slice(0, t), out.slice(0, t), workspace);
        probe.plan->scan(second, parts.end, in.slice(t, time - t), out.slice(t, time - t), workspace);
        const Difference at = difference(parts, reference, std::max(floor_of(forms[first]), floor_of(forms[second])));
        worst.include(at.where + " split at " + std::to_string(t), at.error);

        Outcome<S> same{Sequence<S>(2, time, probe.model.outputs), start};
        const SequenceView<S> again(same.y);
        probe.model.scan(first, same.end, in.slice(0, t), again.slice(0, t), workspace);
        probe.model.scan(first, same.end, in.slice(t, time - t), again.slice(t, time - t), workspace);
        bits = bits && same_bits(same, reference);
      }
      CAPTURE(forms[first].name, forms[second].name, worst.where);
      CHECK(worst.error <= std::max(tolerance<S>(forms[first]), tolerance<S>(forms[second])));
      if (first == 0) CHECK(bits);
    }
  }
}

template <class S>
void check_step(Probe<S>& probe) {
  if (!probe.model.causal) return;
  constexpr Index batch = 3, time = 11;
  const auto x = probe.random_inputs(batch, time);
  const AnyState<S> start = probe.random_state(batch);
  for (const Model<S>* model :
       {static_cast<const Model<S>*>(&probe.model), static_cast<const Model<S>*>(probe.plan.get())}) {
    Outcome<S> steps{Sequence<S>(batch, time, model->outputs), start};
    const SequenceView<const S> in(x);
    const SequenceView<S> out(steps.y);
    for (Index t = 0; t < time; ++t) model->step(steps.end, in.frame(t), out.frame(t));
    CAPTURE(model->name);
    CHECK(same_bits(steps, run<S>(*model, 0, start, x)));
  }
}

template <class S>
void check_causality(Probe<S>& probe) {
  constexpr Index time = 2 * tested_chunk + 2;
  const auto x = probe.random_inputs(2, time);
  const AnyState<S> start = probe.random_state(2);
  for (std::size_t f = 0; f < probe.model.forms.size(); ++f) {
    const Form& form = probe.model.forms[f];
    const Outcome<S> before = run<S>(probe.model, f, start, x);
    bool earlier_changed = false, own_changed = true;
    for (Index t = 0; t < time; ++t) {
      Sequence<S> perturbed = x;
      for (Index b = 0; b < 2; ++b) {
        for (Index i = 0; i < probe.model.inputs; ++i) perturbed(b, t, i) = -S(3) * perturbed(b, t, i) + S(0.5);
      }
      probe.make_valid(perturbed);
      const Outcome<S> after = run<S>(probe.model, f, start, perturbed);
      const double allowed = form.iterative || form.spectral ? tolerance<S>(form) : 0;
      bool own = false;
      for (Index b = 0; b < 2; ++b) {
        for (Index s = 0; s <= t && s < after.y.extent(1); ++s) {
          for (Index i = 0; i < probe.model.outputs; ++i) {
            const double change =
                std::abs(static_cast<double>(after.y(b, s, i)) - static_cast<double>(before.y(b, s, i)));
            if (s < t && change > allowed) earlier_changed = true;
            if (s == t && change > 1e-4) own = true;
          }
        }
      }
      own_changed = own_changed && own;
    }
    CAPTURE(form.name);
    if (probe.model.causal) {
      CHECK(!earlier_changed);
      CHECK(own_changed);
    } else {
      CHECK(earlier_changed);
    }
  }
}

template <class S>
void check_strengths(Probe<S>& probe) {
  const AnyState<S> start = probe.random_state(2);
  for_each_strength(probe, [&](const Strength& strength) {
    Sequence<S> x = probe.random_inputs(2, strength.time);
    for (S& value : x) value *= static_cast<S>(strength.inputs);
    CAPTURE(strength.name);
    check_all_forms<S>(probe, start, x, strength.strong ? probe.options.strong_tolerance : 0);
  });
}

template void check_forms_agree(Probe<float>&);
template void check_splits(Probe<float>&);
template void check_step(Probe<float>&);
template void check_causality(Probe<float>&);
template void check_strengths(Probe<float>&);
template void check_forms_agree(Probe<double>&);
template void check_splits(Probe<double>&);
template void check_step(Probe<double>&);
template void check_causality(Probe<double>&);
template void check_strengths(Probe<double>&);

}  // namespace stepscan::testing
