#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/conv1d_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// The equation, number by number.
template <class L>
Sequence<double> reference(const L& layer, const Sequence<double>& x) {
  const Conv1dShape s = layer.shape();
  Sequence<double> y(x.extent(0), s.output_time(x.extent(1)), s.outputs);
  for (Index b = 0; b < y.extent(0); ++b) {
    for (Index t = 0; t < y.extent(1); ++t) {
      for (Index o = 0; o < s.outputs; ++o) {
        double sum = layer.bias[o];
        for (Index c = 0; c < s.group_inputs(); ++c) {
          for (Index k = 0; k < s.kernel; ++k) {
            const Index at = t * s.stride + k * s.dilation - s.left;
            const Index channel = o / s.group_outputs() * s.group_inputs() + c;
            if (at >= 0 && at < x.extent(1)) sum += layer.weight(o, c, k) * x(b, at, channel);
          }
        }
        y(b, t, o) = sum;
      }
    }
  }
  return y;
}

using DynamicConv = Conv1d<double, Dynamic, Dynamic, Dynamic>;

struct Case {
  Index inputs, outputs, kernel;
  Conv1dOptions options;
};

const std::vector<Case> cases{
    {3, 5, 3, {}},
    {3, 5, 3, {.left = 1, .right = 1}},
    {1, 18, 16, {.stride = 8}},
    {6, 4, 3, {.stride = 2, .left = 1, .right = 1}},
    {5, 2, 1, {.stride = 3}},
    {4, 6, 3, {.dilation = 2, .left = 4}},
    {6, 4, 5, {.stride = 2, .left = 2, .right = 2, .groups = 2}},
    {9, 9, 3, {.left = 1, .right = 1, .groups = 9}},
    {19, 19, 4, {.stride = 2, .dilation = 3, .left = 9, .groups = 19}},
    {3, 6, 2, {.groups = 3}},
    {2, 3, 4, {.stride = 5, .left = 7, .right = 9}},
};

DynamicConv make(const Case& c) {
  DynamicConv layer(c.inputs, c.outputs, c.kernel, c.options);
  randomize(layer, 1);
  return layer;
}

}  // namespace

TEST_CASE("Conv1d is its equation, for every stride, dilation, padding and grouping", "[layers]") {
  for (const Case& c : cases) {
    const DynamicConv layer = make(c);
    const auto plan = prepare(layer);
    for (const Index time : {0, 1, 2, 7, 90}) {
      for (const Index batch : {0, 1, 3}) {
        CAPTURE(c.inputs, c.outputs, c.kernel, c.options.stride, c.options.groups, time, batch);
        const auto x = random_sequence<double>(batch, time, c.inputs, 2);
        const auto expected = reference(layer, x);
        CHECK(distance(scanned(layer, x), expected) < 1e-12);
        CHECK(distance(scanned(plan, x), expected) < 1e-12);
      }
    }
  }
}

TEST_CASE("Conv1d of strided tokens equals that of contiguous ones", "[layers]") {
  for (const Case& c : cases) {
    const DynamicConv layer = make(c);
    const auto wide = random_sequence<double>(2, 40, c.inputs + 3, 2);
    Sequence<double> x(2, 40, c.inputs);
    for (Index b = 0; b < 2; ++b) {
      for (Index t = 0; t < 40; ++t) std::copy_n(&wide(b, t, 2), c.inputs, &x(b, t, 0));
    }
    Sequence<double> y(2, layer.output_time(40), c.outputs);
    NoState state;
    layer.scan(state, SequenceView<const double>(wide).middle_features<Dynamic>(2, c.inputs), y);
    CHECK(distance(y, scanned(layer, x)) == 0);
  }
}

TEST_CASE("a member of a ragged batch is convolved as if it were alone", "[layers]") {
  for (const Case& c : cases) {
    const DynamicConv layer = make(c);
    auto x = random_sequence<double>(3, 40, c.inputs, 2);
    const std::vector<Index> lengths{17, 0, 40};
    spoil_padding(x, lengths);
    Sequence<double> y(3, layer.output_time(40), c.outputs);
    y.fill(7);
    NoState state;
    layer.scan(state, SequenceView<const double>(std::as_const(x)).ragged(lengths), y);
    for (Index b = 0; b < 3; ++b) {
      const Index time = lengths[static_cast<std::size_t>(b)];
      Sequence<double> alone(1, time, c.inputs);
      for (Index t = 0; t < time; ++t) std::copy_n(&x(b, t, 0), c.inputs, &alone(0, t, 0));
      const auto expected = scanned(layer, alone);
      for (Index t = 0; t < y.extent(1); ++t) {
        for (Index o = 0; o < c.outputs; ++o) CHECK(y(b, t, o) == (t < expected.extent(1) ? expected(0, t, o) : 0));
      }
    }
  }
}

TEST_CASE("Conv1d's gradients equal finite differences", "[layers]") {
  for (const Case& c : cases) {
    const DynamicConv layer = make(c);
    CAPTURE(c.inputs, c.outputs, c.kernel);
    CHECK(gradient_error(layer, 2, 9) < 1e-8);
    CHECK(gradient_error(layer, 3, 9, {5, 0, 9}) < 1e-8);
    CHECK(gradient_error(layer, 2, 0) < 1e-8);
  }
}

TEST_CASE("Conv1d of static sizes, without a bias", "[layers]") {
  Conv1d<double, 3, 4, 3, false> layer(Conv1dOptions{.stride = 2, .left = 1});
  CHECK(layer.weight.shape() == std::array<Index, 3>{4, 3, 3});
  initialize(layer, 3);
  DynamicConv same(3, 4, 3, layer.options);
  std::copy(layer.weight.begin(), layer.weight.end(), same.weight.begin());
  const auto x = random_sequence<double>(2, 11, 3, 1);
  CHECK(distance(scanned(layer, x), reference(same, x)) < 1e-13);
  CHECK(distance(scanned(prepare(layer), x), reference(same, x)) < 1e-13);
  CHECK(gradient_error(layer, 2, 5) < 1e-8);
  for (const double value : numbers(layer)) CHECK(std::abs(value) <= 1.0 / 3);
}

TEST_CASE("Conv1d counts the tokens that come out", "[layers]") {
  CHECK(DynamicConv(1, 1, 256, {.stride = 128}).output_time(640) == 4);
  CHECK(DynamicConv(1, 1, 3, {.stride = 2, .left = 1, .right = 1}).output_time(4) == 2);
  CHECK(DynamicConv(1, 1, 3).output_time(2) == 0);
  CHECK(DynamicConv(1, 1, 3, {.left = 2, .right = 2}).output_time(0) == 0);
}

TEST_CASE("Conv1d refuses sizes that make no convolution", "[layers]") {
  CHECK_THROWS_AS(DynamicConv(3, 4, 3, {.groups = 2}), ArgumentError);
  CHECK_THROWS_WITH(DynamicConv(3, 4, 3, {.groups = 2}),
                    ContainsSubstring("2 groups") && ContainsSubstring("3 in and 4 out"));
  CHECK_THROWS_AS(DynamicConv(3, 4, 0), ArgumentError);
  CHECK_THROWS_AS(DynamicConv(3, 4, 3, {.stride = 0}), ArgumentError);
  CHECK_THROWS_AS(DynamicConv(3, 4, 3, {.left = -1}), ArgumentError);
  CHECK_THROWS_AS((Conv1d<double, 3, Dynamic, 3>(4, 4, 3)), ShapeError);
  const DynamicConv layer(3, 4, 3);
  Sequence<double> y(2, 9, 4);
  NoState state;
  CHECK_THROWS_WITH(layer.scan(state, random_sequence<double>(2, 9, 3, 1), y),
                    "Conv1d [3 -> 4]: expected output tokens 7, found 9");
}

TEST_CASE("the transposed convolution is the adjoint of the convolution", "[ops]") {
  for (const Case& c : cases) {
    const DynamicConv layer = make(c);
    const Conv1dShape s = layer.shape();
    Conv1dShape back = s;
    std::swap(back.inputs, back.outputs);
    const Index time = 23, out_time = s.output_time(time);
    const auto x = random_sequence<double>(1, time, s.inputs, 2);
    const auto z = random_sequence<double>(1, out_time, s.outputs, 3);
    Sequence<double> y(1, out_time, s.outputs), w(1, time, s.inputs);
    std::vector<double> packed(static_cast<std::size_t>(conv1d_packed_size<double>(s)));
    pack_conv1d<double>(s, layer.weight.data(), packed.data());
    const std::vector<double> zeros(static_cast<std::size_t>(s.outputs));
    Workspace workspace;
    conv1d<double>(s, packed.data(), zeros.data(), x, y, workspace);
    conv_transpose1d<double>(back, layer.weight.data(), nullptr, z, w);
    double left = 0, right = 0;
    for (Index i = 0; i < y.size(); ++i) left += y[i] * z[i];
    for (Index i = 0; i < x.size(); ++i) right += x[i] * w[i];
    CHECK(left == Approx(right).epsilon(1e-12));
  }
}

TEST_CASE("the transposed convolution by hand", "[ops]") {
  const Conv1dShape shape{.inputs = 2, .outputs = 1, .kernel = 3, .stride = 2, .left = 1};
  const std::vector<double> weight{1, 2, 3, 10, 20, 30}, bias{0.5};
  Sequence<double> x(1, 2, 2);
  x(0, 0, 0) = 1;
  x(0, 1, 0) = 2;
  x(0, 1, 1) = 1;
  REQUIRE(shape.transposed_time(2) == 4);
  Sequence<double> y(1, 4, 1);
  conv_transpose1d<double>(shape, weight.data(), bias.data(), std::as_const(x), y);
  CHECK(y[0] == 2.5);
  CHECK(y[1] == 3 + 2 + 10 + 0.5);
  CHECK(y[2] == 4 + 20 + 0.5);
  CHECK(y[3] == 6 + 30 + 0.5);
}
