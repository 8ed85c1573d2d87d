#include <cmath>
#include <complex>
#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/layers/selective_scan_backward.hpp>
#include <stepscan/ops/affine_scan.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

template <class S, std::size_t P = 1>
using DynamicScan = SelectiveScan<S, Dynamic, Dynamic, Dynamic, Chunked<>, P>;

using Complex = std::complex<double>;

/// Number i of planes, as a complex one.
template <class S, std::size_t P>
Complex at(const Planes<S*, P>& planes, Index i) {
  return {static_cast<double>(planes[0][i]), P == 1 ? 0.0 : static_cast<double>(planes.back()[i])};
}
template <class S, std::size_t P>
Complex at(const Planes<MatrixView<S>, P>& planes, Index i, Index j) {
  return {static_cast<double>(planes[0](i, j)), P == 1 ? 0.0 : static_cast<double>(planes.back()(i, j))};
}

/// The equations, number by number in double: y, and the last states over the first ones.
template <class S, std::size_t P>
Sequence<double> truth(const DynamicScan<S, P>& layer, const Sequence<S>& x, std::vector<Complex>& h) {
  const detail::SelectiveShape shape = layer.shape();
  const SelectiveScanOptions& options = shape.options;
  const Index features = shape.features, states = shape.state_size, weights = shape.groups * states;
  const auto in = shape.slice(SequenceView<const S>(x));
  Sequence<double> y(x.extent(0), x.extent(1), features);
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index t = 0; t < x.extent(1); ++t) {
      for (Index d = 0; d < features; ++d) {
        const Index group = d / (features / shape.groups);
        const double u = static_cast<double>(in.u.token(b, t)[d]);
        double dt = static_cast<double>(in.delta.token(b, t)[d]);
        if (options.delta_bias) dt += static_cast<double>(layer.delta_bias[d]);
        if (options.delta_softplus) dt = std::fmax(dt, 0.0) + std::log1p(std::exp(-std::abs(dt)));
        double sum = options.skip ? static_cast<double>(layer.D[d]) * u : 0.0;
        for (Index n = 0; n < states; ++n) {
          const auto weight = [&](bool variable, const SequenceView<const S>& sequence, const auto& constant) {
            return variable ? at(planes_at<P>(sequence.token(b, t), weights), group * states + n)
                            : at(planes_view(constant), d, n);
          };
          Complex& state = h[static_cast<std::size_t>((b * states + n) * features + d)];
          state = std::exp(dt * at(planes_view(layer.A), d, n)) * state +
                  dt * u * weight(options.variable_B, in.B, layer.B);
          sum += (P == 1 ? 1 : 2) * (weight(options.variable_C, in.C, layer.C) * state).real();
        }
        if (options.gate) {
          const double z = static_cast<double>(in.z.token(b, t)[d]);
          sum *= z / (1 + std::exp(-z));
        }
        y(b, t, d) = sum;
      }
    }
  }
  return y;
}

template <class T>
double largest(const T& values) {
  double most = 1;
  for (const auto value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// The largest error of all forms of layer and plan, and of steps.
template <class S, std::size_t P>
double error_of(const DynamicScan<S, P>& layer, const Sequence<S>& x) {
  auto start = layer.initial_state(x.extent(0));
  randomize(start, 5);
  const Index count = x.extent(0) * layer.shape().state_size * layer.shape().features;
  std::vector<Complex> h;
  for (Index i = 0; i < count; ++i) h.push_back(at(planes_data(start.h), i));
  const Sequence<double> expected = truth<S, P>(layer, x, h);
  double largest_state = 1;
  for (const Complex& state : h) largest_state = std::max(largest_state, std::abs(state));
  const auto plan = prepare(layer);
  double error = 0;
  const auto check = [&](const auto& run) {
    auto state = start;
    Sequence<S> y(expected.shape());
    run(state, y);
    double state_error = 0;
    for (Index i = 0; i < count; ++i) {
      const double off = std::abs(at(planes_data(state.h), i) - h[static_cast<std::size_t>(i)]);
      state_error = std::isfinite(off) ? std::max(state_error, off) : 1e300;
    }
    error = std::max({error, distance(y, expected) / largest(expected), state_error / largest_state});
  };
  const auto forms = [&](const auto& any) {
    check([&](auto& state, auto& y) { any.template scan<Recurrent>(state, x, y); });
    check([&](auto& state, auto& y) { any.template scan<Chunked<5>>(state, x, y); });
    check([&](auto& state, auto& y) { any.template scan<Parallel<5>>(state, x, y); });
    check([&](auto& state, auto& y) { any.template scan<Parallel<>>(state, x, y); });
    check([&](auto& state, auto& y) {
      const SequenceView<const S> in(x);
      const SequenceView<S> out(y);
      for (Index t = 0; t < in.time; ++t) any.step(state, in.frame(t), out.frame(t));
    });
  };
  forms(layer);
  forms(plan);
  return error;
}

template <class S, std::size_t P = 1>
DynamicScan<S, P> make(Index features, Index states, Index groups, const SelectiveScanOptions& options = {}) {
  DynamicScan<S, P> layer(features, states, groups, options);
  initialize(layer, 2);
  return layer;
}

const std::vector<SelectiveScanOptions> some_options{
    {},
    {.delta_softplus = false, .delta_bias = false, .gate = false},
    {.skip = false, .variable_B = false},
    {.delta_bias = false, .skip = false, .variable_C = false},
    {.delta_softplus = false, .delta_bias = false, .gate = false, .variable_B = false, .variable_C = false},
};

}  // namespace

TEST_CASE("selective_scan computes its equations in every form", "[selective_scan]") {
  for (const SelectiveScanOptions& options : some_options) {
    for (const Index time : {1, 4, 5, 6, 33, 70}) {
      const auto layer = make<double>(7, 3, 1, options);
      CAPTURE(time, options.gate, options.variable_B, options.variable_C);
      CHECK(error_of<double, 1>(layer, random_sequence<double>(2, time, layer.input_size(), 1)) < 1e-13);
    }
    const auto wide = make<double>(54, 16, 2, options);
    CHECK(error_of<double, 1>(wide, random_sequence<double>(2, 40, wide.input_size(), 1)) < 1e-13);
    const auto single = make<float>(39, 5, 3, options);
    CHECK(error_of<float, 1>(single, random_sequence<float>(1, 40, single.input_size(), 1)) < 3e-6);
  }
}

TEST_CASE("selective_scan of complex states computes its equations in every form", "[selective_scan]") {
  for (const SelectiveScanOptions& options : some_options) {
    CAPTURE(options.gate, options.variable_B, options.variable_C);
    for (const Index time : {1, 6, 70}) {
      const auto layer = make<double, 2>(7, 3, 1, options);
      CHECK(error_of<double, 2>(layer, random_sequence<double>(2, time, layer.input_size(), 1)) < 1e-13);
    }
    const auto wide = make<double, 2>(54, 16, 2, options);
    CHECK(error_of<double, 2>(wide, random_sequence<double>(2, 40, wide.input_size(), 1)) < 1e-13);
    const auto single = make<float, 2>(39, 5, 3, options);
    CHECK(error_of<float, 2>(single, random_sequence<float>(1, 40, single.input_size(), 1)) < 2e-5);
  }
  auto strong = make<float, 2>(19, 4, 1);
  for (float& bias : strong.delta_bias) bias = 100;
  CHECK(error_of<float, 2>(strong, random_sequence<float>(1, 300, strong.input_size(), 1)) < 3e-6);
}

TEST_CASE("selective_scan: long sequences in float, decays near one and near zero", "[selective_scan]") {
  auto layer = make<float>(19, 4, 1);
  auto x = random_sequence<float>(1, 3000, layer.input_size(), 1);
  SECTION("decays near one do not drift") {
    for (float& bias : layer.delta_bias) bias = -12;
    CHECK(error_of<float, 1>(layer, x) < 1e-5);
  }
  SECTION("decays of exp(-100) leave the current token alone") {
    for (float& bias : layer.delta_bias) bias = 100;
    CHECK(error_of<float, 1>(layer, x) < 3e-6);
  }
  SECTION("from one token to the next") {
    for (Index t = 0; t < 3000; t += 3) {
      for (Index d = 0; d < 19; ++d) x(0, t, 19 + d) = 1000;
    }
    CHECK(error_of<float, 1>(layer, x) < 3e-6);
  }
}

TEST_CASE("selective_scan: a channel has the same bits beside one that leaves the range of the exponential",
          "[selective_scan]") {
  const auto layer = make<float>(16, 4, 1);
  auto x = random_sequence<float>(1, 20, layer.input_size(), 1);
  const auto before = scanned(layer, x);
  for (Index t = 0; t < 20; ++t) x(0, t, 16 + 3) = 1e6F;
  const auto after = scanned(layer, x);
  for (Index t = 0; t < 20; ++t) {
    for (Index d = 0; d < 16; ++d) {
      if (d != 3) CHECK(before(0, t, d) == after(0, t, d));
    }
  }
}

TEST_CASE("selective_scan of constant parameters is an affine scan of constant decay", "[selective_scan]") {
  constexpr Index features = 5, states = 3, time = 50;
  const auto layer = make<double>(features, states, 1,
                                  {.delta_softplus = false,
                                   .delta_bias = false,
                                   .skip = false,
                                   .gate = false,
                                   .variable_B = false,
                                   .variable_C = false});
  auto x = random_sequence<double>(1, time, 2 * features, 1);
  constexpr double dt = 0.05;
  Sequence<double> a(1, 1, features * states), v(1, time, features * states), h = v;
  for (Index d = 0; d < features; ++d) {
    for (Index n = 0; n < states; ++n) {
      a(0, 0, d * states + n) = std::exp(dt * layer.A(d, n));
      for (Index t = 0; t < time; ++t) {
        x(0, t, features + d) = dt;
        v(0, t, d * states + n) = dt * layer.B(d, n) * x(0, t, d);
      }
    }
  }
  SequenceView<const double> decay(std::as_const(a));
  decay.time = time;
  decay.time_stride = 0;
  Tensor<double, Dynamic, Dynamic> state(1, features * states);
  Workspace workspace;
  affine_scan<double>(decay, std::as_const(v), state, h, {}, workspace);
  const auto y = scanned(layer, x);
  for (Index t = 0; t < time; ++t) {
    for (Index d = 0; d < features; ++d) {
      double expected = 0;
      for (Index n = 0; n < states; ++n) expected += layer.C(d, n) * h(0, t, d * states + n);
      CHECK(y(0, t, d) == Approx(expected).epsilon(1e-12).margin(1e-14));
    }
  }
}

TEST_CASE("selective_scan: gradients are finite differences", "[selective_scan]") {
  for (const SelectiveScanOptions& options : some_options) {
    CAPTURE(options.gate, options.variable_B, options.variable_C);
    // Without the softplus random steps are negative, too: states may grow twentyfold a token, to thousands, whose
    // rounding drowns the differences.
    CHECK(gradient_error(make<double>(4, 3, 2, options), 2, options.delta_softplus ? 7 : 6) < 1e-8);
    CHECK(gradient_error(make<double>(11, 2, 1, options), 3, 6, {6, 2, 0}) < 1e-8);
  }
  CHECK(gradient_error(make<double>(17, 2, 1), 1, 36) < 1e-8);
  for (const SelectiveScanOptions& options : some_options) {
    CAPTURE(options.gate, options.variable_B, options.variable_C);
    CHECK(gradient_error(make<double, 2>(4, 3, 2, options), 2, 7) < 1e-8);
  }
  CHECK(gradient_error(make<double, 2>(11, 2, 1), 3, 36, {36, 2, 0}) < 1e-8);
}
