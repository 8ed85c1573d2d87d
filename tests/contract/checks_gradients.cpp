#include <contract/checks.hpp>
#include <contract/gradients.hpp>
#include <contract/strengths.hpp>

namespace stepscan::testing {

namespace {

template <class S>
struct Problem {
  Sequence<S> x;
  AnyState<S> start;
  Sequence<S> dy;
  AnyState<S> dend;
};

template <class S>
Problem<S> random_problem(Probe<S>& probe, Index batch, Index time) {
  AnyState<S> dend = probe.model.initial_state(batch);
  for (const auto& tensor : dend.tensors()) fill_uniform(tensor.numbers, probe.random, -1, 1);
  return {probe.random_inputs(batch, time), probe.random_state(batch), probe.random_outputs(batch, time), dend};
}

template <class S>
Gradient<S> gradient(TrainableModel<S>& model, std::size_t form, const Problem<S>& problem) {
  return gradient<S>(model, form, problem.start, problem.x, problem.dy, problem.dend);
}

template <class S>
double loss(const Model<S>& model, const Problem<S>& problem) {
  const Outcome<S> outcome = run<S>(model, 0, problem.start, problem.x);
  double sum = 0;
  for (Index i = 0; i < outcome.y.size(); ++i)
    sum += static_cast<double>(problem.dy[i]) * static_cast<double>(outcome.y[i]);
  const auto end = numbers(outcome.end.tensors()), dend = numbers(problem.dend.tensors());
  for (std::size_t i = 0; i < end.size(); ++i) sum += static_cast<double>(dend[i]) * static_cast<double>(end[i]);
  return sum;
}

/// The derivative of the loss by every number of `values`, by central differences.
template <class S>
std::vector<S> differences(const Model<S>& model, const Problem<S>& problem, std::span<S> values) {
  constexpr double step = 1e-5;
  std::vector<S> slopes;
  for (S& value : values) {
    const S kept = value;
    value = kept + S(step);
    const double above = loss(model, problem);
    value = kept - S(step);
    slopes.push_back(static_cast<S>((above - loss(model, problem)) / (2 * step)));
    value = kept;
  }
  return slopes;
}

template <class S>
void check_gradients_of_all_forms(Probe<S>& probe, const Problem<S>& problem, double least_tolerance = 0) {
  const Gradient<S> reference = gradient(probe.model, 0, problem);
  for (std::size_t f = 0; f < probe.model.forms.size(); ++f) {
    const Form& form = probe.model.forms[f];
    const Gradient<S> found = gradient(probe.model, f, problem);
    const Difference worst = difference(found, reference, floor_of(form));
    const Difference forward =
        difference(found.outcome, run<S>(probe.model, f, problem.start, problem.x), floor_of(form));
    const double allowed = std::max(tolerance<S>(form), least_tolerance);
    CAPTURE(probe.model.name, form.name, problem.x.extent(1), worst.where, forward.where);
    CHECK(worst.error <= allowed);
    CHECK(forward.error <= allowed);
  }
}

}  // namespace

template <class S>
void check_gradients_agree(Probe<S>& probe) {
  constexpr Index c = tested_chunk;
  for (const Index time : {Index{0}, Index{1}, c - 1, c, c + 1, 3 * c + 5}) {
    check_gradients_of_all_forms(probe, random_problem(probe, 3, time));
  }
}

template <class S>
void check_finite_differences(Probe<S>& probe) {
  Problem<S> problem = random_problem(probe, 2, tested_chunk + 2);
  const std::span<S> x = problem.x.span();
  Gradient<S> expected = gradient(probe.model, 0, problem);
  const auto compare = [&](const std::string& name, std::span<S> values, std::span<const S> found) {
    const std::vector<S> slopes = differences<S>(probe.model, problem, values);
    CAPTURE(probe.model.name, name);
    CHECK(distance<S>(found, slopes, 1.0) <= 1e-7);
  };
  const auto parameters = probe.model.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    compare(parameters[i].name, parameters[i].numbers, expected.parameters[i].values);
  }
  compare("x", x, expected.dx.span());
  const auto start = problem.start.tensors(), dstart = expected.dstart.tensors();
  for (std::size_t i = 0; i < start.size(); ++i) compare("state." + start[i].name, start[i].numbers, dstart[i].numbers);
}

template <class S>
void check_gradient_accumulates(Probe<S>& probe) {
  const Problem<S> problem = random_problem(probe, 2, 2 * tested_chunk + 1);
  const Problem<S> other = random_problem(probe, 3, 3 * tested_chunk + 2);
  for (std::size_t f = 0; f < probe.model.forms.size(); ++f) {
    const Gradient<S> once = gradient(probe.model, f, problem);
    static_cast<void>(gradient(probe.model, f, other));
    const Gradient<S> again = gradient(probe.model, f, problem);
    CAPTURE(probe.model.forms[f].name);
    CHECK(same_bits(once, again));

    Gradient<S> twice = gradient<S>(probe.model, f, problem.start, problem.x, problem.dy, problem.dend, false);
    for (auto& parameter : twice.parameters) {
      for (S& value : parameter.values) value /= S(2);
    }
    CHECK(difference(twice, once).error <= exact_tolerance<S>);
  }
}

template <class S>
void check_gradient_strengths(Probe<S>& probe) {
  for_each_strength(probe, [&](const Strength& strength) {
    Problem<S> problem = random_problem(probe, 2, strength.time);
    for (S& value : problem.x) value *= static_cast<S>(strength.inputs);
    CAPTURE(strength.name);
    check_gradients_of_all_forms(probe, problem, strength.strong ? probe.options.strong_tolerance : 0);
  });
}

template void check_gradients_agree(Probe<float>&);
template void check_gradient_accumulates(Probe<float>&);
template void check_gradient_strengths(Probe<float>&);
template void check_gradients_agree(Probe<double>&);
template void check_gradient_accumulates(Probe<double>&);
template void check_gradient_strengths(Probe<double>&);
template void check_finite_differences(Probe<double>&);

}  // namespace stepscan::testing
