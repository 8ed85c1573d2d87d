#include <stepscan/ops/gated_norm.hpp>
#include <stepscan/ops/gated_norm_backward.hpp>
#include <stepscan/ops/log_gate.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "rows.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

constexpr Index rows = 3, groups = 2, size = 5, features = groups * size;

Rows<double> gated(const Norm<double>& norm, const Rows<double>& x, const Rows<double>& gate) {
  Rows<double> y(rows, features);
  normalize_gated<Centre::zero, SiluActivation, Exact, double>(norm, x, gate, y);
  return y;
}

/// The central difference of <dy, f()> in `value`.
template <class F>
double difference(double& value, const Rows<double>& dy, F&& f) {
  constexpr double h = 1e-5;
  const auto loss = [&] {
    const Rows<double> y = f();
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const double kept = value;
  value = kept + h;
  const double above = loss();
  value = kept - h;
  const double below = loss();
  value = kept;
  return (above - below) / (2 * h);
}

}  // namespace

TEST_CASE("a gated norm is the norm times the function of the gate", "[ops]") {
  const Rows<double> x = random_rows<double>(rows, features, 1, 3), gate = random_rows<double>(rows, features, 2, 4),
                     weight = random_rows<double>(1, size, 3);
  const Norm<double> norm{groups, 1e-5, weight.data(), nullptr, true};
  Rows<double> plain(rows, features);
  normalize<Centre::zero, double>(norm, x, plain);
  const Rows<double> y = gated(norm, x, gate);
  for (Index i = 0; i < y.size(); ++i) CHECK(y[i] == Approx(plain[i] * gate[i] / (1 + std::exp(-gate[i]))));
  Rows<double> in_place = gate;
  normalize_gated<Centre::zero, SiluActivation, Exact, double>(norm, x, in_place, in_place);
  CHECK(in_place == y);
}

TEST_CASE("gradients of a gated norm equal finite differences", "[ops]") {
  Rows<double> x = random_rows<double>(rows, features, 1, 3), gate = random_rows<double>(rows, features, 2, 4),
               weight = random_rows<double>(1, size, 3);
  const Rows<double> dy = random_rows<double>(rows, features, 4);
  const Norm<double> norm{groups, 1e-5, weight.data(), nullptr, true};
  Rows<double> dx = dy, dgate(rows, features), dweight(1, size);
  normalize_gated_backward<Centre::zero, SiluActivation, double>(norm, x, gate, dx, {dweight.data()}, dx, dgate);
  const auto forward = [&] { return gated(norm, x, gate); };
  for (Index i = 0; i < x.size(); ++i) {
    CHECK(dx[i] == Approx(difference(x[i], dy, forward)).margin(1e-8));
    CHECK(dgate[i] == Approx(difference(gate[i], dy, forward)).margin(1e-8));
  }
  for (Index i = 0; i < size; ++i) CHECK(dweight[i] == Approx(difference(weight[i], dy, forward)).margin(1e-8));
}

TEST_CASE("log decays of gates, and their gradients", "[ops]") {
  Rows<double> a = random_rows<double>(rows, features, 1, 40);
  const Rows<double> dg = random_rows<double>(rows, features, 2);
  for (const double lowest : {-std::numeric_limits<double>::infinity(), -0.5}) {
    const LogGate<double> gate{16, lowest};
    const auto forward = [&] {
      Rows<double> g(rows, features);
      log_gate<Exact, double>(gate, a, g);
      return g;
    };
    const Rows<double> g = forward();
    Rows<double> da(rows, features);
    log_gate_backward<double>(gate, a, dg, da);
    for (Index i = 0; i < a.size(); ++i) {
      const double plain = a[i] < 0 ? a[i] - std::log1p(std::exp(a[i])) : -std::log1p(std::exp(-a[i]));
      CHECK(g[i] == Approx(std::max(lowest, plain / 16)).epsilon(1e-13));
      CHECK(da[i] == Approx(difference(a[i], dg, forward)).margin(1e-9));
    }
  }
}

TEST_CASE("log decays of extreme gates are finite, and zero where the gate is open", "[ops]") {
  Tensor<float, Dynamic, Dynamic> a(1, 3), g(1, 3), da(1, 3), dg(1, 3);
  a[0] = -1e30F, a[1] = 1e30F, a[2] = -200;
  dg.fill(1);
  log_gate<Exact, float>({}, a, g);
  log_gate_backward<float>({}, a, dg, da);
  CHECK(g[0] == Approx(-1e30 / 16));
  CHECK(g[1] == 0);
  CHECK(g[2] == Approx(-12.5));
  CHECK(da[0] == Approx(1.0 / 16));
  CHECK(da[1] == 0);
  CHECK(da[2] == Approx(1.0 / 16));
}
