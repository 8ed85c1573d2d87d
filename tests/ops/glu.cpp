#include <stepscan/ops/glu.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "rows.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

template <class Function, class S>
void check_glu(double (*function)(double), double (*slope)(double), double tolerance) {
  for (const Index features : {1, 5, 8, 19}) {
    const auto gate = random_rows<S>(3, features, 1, 20), value = random_rows<S>(3, features, 2, 2),
               dy = random_rows<S>(3, features, 3, 2);
    Rows<S> y(3, features), dgate(3, features), dvalue(3, features);
    glu<Function, Exact, S>(gate, value, y);
    glu_backward<Function, S>(gate, value, dy, dgate, dvalue);
    for (Index i = 0; i < y.size(); ++i) {
      const double g = static_cast<double>(gate[i]), v = static_cast<double>(value[i]), d = static_cast<double>(dy[i]);
      CHECK(static_cast<double>(y[i]) == Approx(function(g) * v).epsilon(tolerance).margin(tolerance));
      CHECK(static_cast<double>(dgate[i]) == Approx(slope(g) * v * d).epsilon(tolerance).margin(tolerance));
      CHECK(static_cast<double>(dvalue[i]) == Approx(function(g) * d).epsilon(tolerance).margin(tolerance));
    }
    auto in_place = gate, other = value;
    glu<Function, Exact, S>(in_place, value, in_place);
    CHECK(in_place == y);
    in_place = gate;
    glu_backward<Function, S>(in_place, other, dy, in_place, other);
    CHECK(in_place == dgate);
    CHECK(other == dvalue);
  }
}

}  // namespace

TEST_CASE("gated linear units are the function of the gate times the value", "[ops]") {
  const auto silu_of = [](double x) { return x * sigmoid_of(x); };
  const auto silu_slope = [](double x) { return sigmoid_of(x) * (1 + x * sigmoid_of(-x)); };
  const auto sigmoid_slope = [](double x) { return sigmoid_of(x) * sigmoid_of(-x); };
  check_glu<SiluActivation, double>(silu_of, silu_slope, 1e-13);
  check_glu<SigmoidActivation, double>(sigmoid_of, sigmoid_slope, 1e-13);
  check_glu<SiluActivation, float>(silu_of, silu_slope, 2e-6);
  check_glu<SigmoidActivation, float>(sigmoid_of, sigmoid_slope, 2e-6);
}
