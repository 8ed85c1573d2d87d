#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

template <class L>
Sequence<double> reference(const L& layer, const Sequence<double>& x) {
  Sequence<double> y(x.extent(0), x.extent(1), layer.output_size());
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index t = 0; t < x.extent(1); ++t) {
      for (Index o = 0; o < layer.output_size(); ++o) {
        double sum = 0;
        if constexpr (requires { layer.bias[o]; }) sum = layer.bias[o];
        for (Index i = 0; i < layer.input_size(); ++i) sum += layer.weight(o, i) * x(b, t, i);
        y(b, t, o) = sum;
      }
    }
  }
  return y;
}

template <class L>
void check_linear(L layer) {
  STATIC_REQUIRE(ParameterisedLayer<L>);
  randomize(layer, 1);
  const auto plan = prepare(layer);
  for (const Index time : {0, 1, 3, 130}) {
    for (const Index batch : {0, 1, 5}) {
      const auto x = random_sequence<double>(batch, time, layer.input_size(), 2);
      const auto expected = reference(layer, x);
      CHECK(distance(scanned(layer, x), expected) < 1e-12);
      CHECK(distance(scanned(layer, x, Recurrent{}), expected) < 1e-12);
      CHECK(distance(scanned(layer, x, Parallel<16>{}), expected) < 1e-12);
      CHECK(distance(scanned(plan, x), expected) < 1e-12);
      if (time == 0) continue;
      NoState state;
      Tensor<double, Dynamic, Dynamic> y(batch, layer.output_size());
      const Sequence<double> recurrent = scanned(layer, x, Recurrent{}), packed = scanned(plan, x);
      layer.step(state, SequenceView<const double>(x).frame(time - 1), y);
      for (Index b = 0; b < batch; ++b) {
        for (Index o = 0; o < layer.output_size(); ++o) CHECK(y(b, o) == recurrent(b, time - 1, o));
      }
      plan.step(state, SequenceView<const double>(x).frame(time - 1), y);
      for (Index b = 0; b < batch; ++b) {
        for (Index o = 0; o < layer.output_size(); ++o) CHECK(y(b, o) == packed(b, time - 1, o));
      }
    }
  }
}

}  // namespace

TEST_CASE("Linear is W x + b, in every form, planned or not", "[layers]") {
  check_linear(Linear<double, 3, 5>());
  check_linear(Linear<double, 13, 21, false>());
  check_linear(Linear<double, Dynamic, 7>(6, 7));
  check_linear(Linear<double, Dynamic, Dynamic>(37, 1));
}

TEST_CASE("Linear names its parameters as PyTorch does", "[layers]") {
  std::vector<std::string> names;
  const Linear<float, 2, 3> layer;
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, layer);
  CHECK(names == std::vector<std::string>{"weight", "bias"});
  CHECK(element_count(layer) == 9);
  CHECK(element_count(Linear<float, 2, 3, false>()) == 6);
}

TEST_CASE("Linear starts uniform within 1 / sqrt(inputs)", "[layers]") {
  Linear<double, 25, 40> layer;
  initialize(layer, 5);
  const auto values = numbers(layer);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  CHECK(*low >= -0.2);
  CHECK(*high <= 0.2);
  CHECK(*low < -0.19);
  CHECK(*high > 0.19);
}

TEST_CASE("Linear leaves padding alone and writes zeros there", "[layers]") {
  Linear<double, 3, 4> layer;
  randomize(layer, 1);
  const std::vector<Index> lengths{4, 0, 2};
  const auto clean = random_sequence<double>(3, 4, 3, 2);
  auto x = clean;
  spoil_padding(x, lengths);
  const auto expected = reference(layer, clean);
  const auto plan = prepare(layer);
  const auto check_one = [&](const auto& model, const auto& form) {
    Sequence<double> y(3, 4, 4);
    y.fill(7);
    NoState state;
    model.scan(state, SequenceView<const double, 3>(std::as_const(x)).ragged(lengths), y, form);
    for (Index b = 0; b < 3; ++b) {
      for (Index t = 0; t < 4; ++t) {
        const bool real = t < lengths[static_cast<std::size_t>(b)];
        for (Index o = 0; o < 4; ++o) CHECK(y(b, t, o) == Approx(real ? expected(b, t, o) : 0.0).margin(1e-13));
      }
    }
  };
  check_one(layer, Recurrent{});
  check_one(layer, OwnForm{});
  check_one(plan, OwnForm{});
}

TEST_CASE("Linear's gradients equal finite differences", "[layers]") {
  Linear<double, 3, 4> layer;
  randomize(layer, 1);
  CHECK(gradient_error(layer, 2, 3) < 1e-8);
  CHECK(gradient_error(layer, 3, 1) < 1e-8);
  CHECK(gradient_error(layer, 3, 4, {4, 0, 2}) < 1e-8);
  CHECK(gradient_error(layer, 2, 0) < 1e-8);
  CHECK(gradient_error(layer, 0, 2) < 1e-8);
  Linear<double, Dynamic, Dynamic, false> dynamic(5, 2);
  randomize(dynamic, 2);
  CHECK(gradient_error(dynamic, 2, 3) < 1e-8);
}

TEST_CASE("Linear with weights in half precision stays close", "[layers]") {
  Linear<float, 32, 16> layer;
  initialize(layer, 1);
  const auto x = random_sequence<float>(2, 9, 32, 2);
  const auto exact = scanned(prepare(layer), x);
  CHECK(distance(scanned(prepare<Half>(layer), x), exact) < 1e-3);
  CHECK(distance(scanned(prepare<BFloat16>(layer), x), exact) < 8e-3);
}

TEST_CASE("Linear says which size is wrong", "[layers]") {
  const Linear<float, Dynamic, Dynamic> layer(3, 4);
  const auto x = random_sequence<float>(2, 5, 3, 1), wide = random_sequence<float>(2, 5, 6, 1);
  Sequence<float> y(2, 5, 4), narrow(2, 5, 2);
  NoState state;
  CHECK_THROWS_WITH(layer.scan(state, wide, y), "Linear [3 -> 4]: expected input features 3, found 6");
  CHECK_THROWS_WITH(layer.scan(state, x, narrow), "Linear [3 -> 4]: expected output features 4, found 2");
}

TEST_CASE("Linear allocates nothing in step, and in a scan once its workspace has grown", "[layers]") {
  const auto plan = prepare(Linear<float, 24, 24>());
  const auto x = random_sequence<float>(2, 50, 24, 1);
  Sequence<float> y(2, 50, 24);
  NoState state;
  Workspace workspace;
  plan.scan(state, x, y, workspace);
  const long before = allocation_count();
  plan.scan(state, x, y, workspace);
  plan.step(state, SequenceView<const float>(x).frame(0), SequenceView<float>(y).frame(0));
  CHECK(allocation_count() == before);
}
