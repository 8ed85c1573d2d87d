#pragma once

#include <functional>
#include <support/catch.hpp>
#include <support/sequences.hpp>

/// What the tests of the recurrent layers share: a layer of every kind of sizes and scalars against a plain loop.
namespace stepscan::testing {

[[nodiscard]] inline double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// One token of one stream: x and the state's tensors, each [hidden] and h first, to the next state.
using ReferenceStep = std::function<void(const double* x, std::vector<std::vector<double>>& state)>;

/// row r of a matrix of `cols` columns, times x
[[nodiscard]] inline double row_times(const double* matrix, Index row, Index cols, const double* x) {
  double sum = 0;
  for (Index i = 0; i < cols; ++i) sum += matrix[row * cols + i] * x[i];
  return sum;
}

/// The outputs of the plain loop, from `start` on; `end` is its final state.
template <class State>
[[nodiscard]] Sequence<double> run_reference(const ReferenceStep& step, const State& start, const Sequence<double>& x,
                                             Index hidden, State& end) {
  Sequence<double> y(x.extent(0), x.extent(1), hidden);
  end = start;
  for (Index b = 0; b < x.extent(0); ++b) {
    std::vector<std::vector<double>> state;
    for_each_tensor(
        [&](const Path&, const auto& tensor) {
          state.emplace_back(tensor.data() + b * hidden, tensor.data() + (b + 1) * hidden);
        },
        start);
    for (Index t = 0; t < x.extent(1); ++t) {
      step(&x(b, t, 0), state);
      std::copy_n(state[0].data(), hidden, &y(b, t, 0));
    }
    std::size_t i = 0;
    for_each_tensor(
        [&](const Path&, auto& tensor) { std::copy_n(state[i++].data(), hidden, tensor.data() + b * hidden); }, end);
  }
  return y;
}

/// A layer in double against the plain loop that `reference(layer)` gives, from a state that is not zero: every form,
/// the plan, the dynamic layer.
template <class L, class D, class Reference>
void check_recurrence(L layer, D dynamic, Reference reference) {
  STATIC_REQUIRE(SequenceLayer<L>);
  STATIC_REQUIRE(ParameterisedLayer<L>);
  randomize(layer, 1);
  copy_parameters(layer, dynamic);
  const ReferenceStep step = reference(layer);
  for (const Index time : {0, 1, 2, 37}) {
    for (const Index batch : {0, 1, 3}) {
      const auto x = random_sequence<double>(batch, time, layer.input_size(), 2);
      auto start = layer.initial_state(batch), end = start;
      randomize(start, 3, 0.1, 0.9);
      const auto expected = run_reference(step, start, x, layer.output_size(), end);
      const auto check_one = [&](const auto& model, const auto& form) {
        Sequence<double> y(batch, time, model.output_size());
        auto state = model.initial_state(batch);
        copy_parameters(start, state);
        model.scan(state, x, y, form);
        CHECK(distance(y, expected) < 1e-12);
        CHECK(distance(numbers(state), numbers(end)) < 1e-12);
      };
      check_one(layer, Recurrent{});
      check_one(layer, Chunked<8>{});
      check_one(prepare(layer), Recurrent{});
      check_one(prepare(layer), OwnForm{});
      check_one(dynamic, Recurrent{});
      check_one(prepare(dynamic), Chunked<5>{});
    }
  }
}

/// The same layer in float stays within `tolerance` of double, its plan with weights of 16 bits within the other two.
template <class F, class L>
void check_precision(F layer, L precise, double tolerance, double half_tolerance, double bfloat_tolerance) {
  randomize(layer, 1);
  copy_parameters(layer, precise);
  const auto x = random_sequence<float>(2, 64, layer.input_size(), 2);
  Sequence<double> same(x.shape());
  std::copy(x.begin(), x.end(), same.begin());
  const auto expected = scanned(precise, same);
  CHECK(distance(scanned(layer, x, Recurrent{}), expected) < tolerance);
  CHECK(distance(scanned(prepare(layer), x), expected) < tolerance);
  const double half = distance(scanned(prepare<Half>(layer), x), expected);
  const double bfloat = distance(scanned(prepare<BFloat16>(layer), x), expected);
  CAPTURE(half, bfloat);
  CHECK(half < half_tolerance);
  CHECK(half > tolerance / 100);
  CHECK(bfloat < bfloat_tolerance);
}

/// Views and states of another size are refused by a message that names both sizes.
template <class D>
void check_refusals(const D& layer) {
  const Index in = layer.input_size(), out = layer.output_size();
  const auto x = random_sequence<double>(2, 3, in, 1), wide = random_sequence<double>(2, 3, in + 1, 1);
  Sequence<double> y(2, 3, out), narrow(2, 3, out + 1), longer(2, 4, out), fewer(1, 3, out);
  auto state = layer.initial_state(2), small = layer.initial_state(1);
  const auto says = [](const char* what, Index expected, Index found) {
    return ContainsSubstring("expected " + std::string(what) + " " + std::to_string(expected) + ", found " +
                             std::to_string(found));
  };
  CHECK_THROWS_AS(layer.scan(state, wide, y), ShapeError);
  CHECK_THROWS_WITH(layer.scan(state, wide, y), ContainsSubstring(D::name) && says("input features", in, in + 1));
  CHECK_THROWS_WITH(layer.scan(state, x, narrow), says("output features", out, out + 1));
  CHECK_THROWS_WITH(layer.scan(state, x, longer), says("output tokens", 3, 4));
  CHECK_THROWS_WITH(layer.scan(state, x, fewer), says("an output batch of", 2, 1));
  CHECK_THROWS_WITH(layer.scan(small, x, y), says("a state for a batch of", 2, 1));
}

}  // namespace stepscan::testing
