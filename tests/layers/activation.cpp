#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/activation_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

template <class L>
void check_activation(const L& layer, double (*expected)(double)) {
  const auto plan = prepare(layer);
  const auto x = random_sequence<double>(2, 5, layer.input_size(), 2, 4.0);
  const auto y = scanned(layer, x), planned = scanned(plan, x);
  for (Index i = 0; i < x.size(); ++i) CHECK(y[i] == Approx(expected(x[i])).epsilon(1e-14).margin(1e-300));
  CHECK(distance(y, planned) == 0);
  CHECK(distance(scanned(layer, x, Chunked<4>{}), y) == 0);
  CHECK(scanned(layer, random_sequence<double>(2, 0, layer.input_size(), 2)).empty());
  NoState state;
  Tensor<double, Dynamic, Dynamic> frame(2, layer.output_size());
  layer.step(state, SequenceView<const double>(x).frame(3), frame);
  for (Index i = 0; i < layer.output_size(); ++i) CHECK(frame(1, i) == y(1, 3, i));
  CHECK(gradient_error(layer, 2, 3) < 1e-8);
  CHECK(gradient_error(layer, 3, 4, {4, 0, 2}) < 1e-8);
  CHECK(gradient_error(layer, 0, 3) < 1e-8);
}

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

TEST_CASE("activations are their functions, forwards and backwards", "[layers]") {
  check_activation(Relu<double, 5>(), [](double x) { return std::max(x, 0.0); });
  check_activation(Tanh<double, 5>(), [](double x) { return std::tanh(x); });
  check_activation(Sigmoid<double, 3>(), sigmoid_of);
  check_activation(Silu<double, Dynamic>(7), [](double x) { return x * sigmoid_of(x); });
  check_activation(Gelu<double, Dynamic>(9), [](double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); });
  check_activation(Softplus<double, 8>(), [](double x) { return std::log1p(std::exp(x)); });
}

TEST_CASE("the slope of gelu at zero is one half", "[layers]") {
  const Gelu<double, 3> layer;
  Tape<Gelu<double, 3>> tape;
  const Sequence<double> x(1, 2, 3);
  Sequence<double> y(1, 2, 3), dy(1, 2, 3), dx(1, 2, 3);
  dy.fill(1);
  NoState state, end;
  Gelu<double, 3> gradient;
  layer.forward(state, x, y, tape);
  layer.backward(tape, SequenceView<const double>(std::as_const(dy)), end, gradient, dx, state);
  for (const double value : dx) CHECK(value == 0.5);
}

TEST_CASE("an activation writes zeros to padding", "[layers]") {
  const Sigmoid<double, 2> layer;
  auto x = random_sequence<double>(2, 3, 2, 1);
  const std::vector<Index> lengths{1, 3};
  spoil_padding(x, lengths);
  Sequence<double> y(2, 3, 2);
  y.fill(7);
  NoState state;
  layer.scan(state, SequenceView<const double, 2>(std::as_const(x)).ragged(lengths), y);
  CHECK(y(0, 0, 1) == Approx(sigmoid_of(x(0, 0, 1))));
  CHECK(y(0, 1, 1) == 0);
  CHECK(y(0, 2, 0) == 0);
}

TEST_CASE("a plan with fast mathematics stays close", "[layers]") {
  const Tanh<float, 16> layer;
  const auto x = random_sequence<float>(1, 20, 16, 1, 5);
  CHECK(distance(scanned(prepare<float, Fast>(layer), x), scanned(layer, x)) < 1e-5);
}
