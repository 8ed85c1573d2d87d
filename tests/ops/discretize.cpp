#include <algorithm>
#include <stepscan/core/random.hpp>
#include <stepscan/ops/discretize_hold.hpp>
#include <stepscan/ops/hippo.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

using Complex = std::complex<double>;

const std::vector<Discretization> rules{zero_order_hold, bilinear, forward_euler, backward_euler,
                                        generalized_bilinear(0.3)};

template <class T>
T random_number(Random& random) {
  if constexpr (std::is_same_v<T, double>) {
    return random.uniform(-1, 1);
  } else {
    const double re = random.uniform(-1, 1);
    return {re, random.uniform(-1, 1)};
  }
}

template <class T>
struct System {
  Tensor<T, Dynamic, Dynamic> A, B;

  System(Index size, Index inputs) : A(size, size), B(size, inputs) {}
  System(Index size, Index inputs, std::uint64_t seed) : System(size, inputs) {
    Random random(seed);
    for (T& value : A) value = random_number<T>(random);
    for (T& value : B) value = random_number<T>(random);
  }
  DenseSystem<T> view() { return {A, B}; }
  DenseSystem<const T> view() const { return {A, B}; }
};

template <class T>
System<T> discretized(const System<T>& system, double dt, const Discretization& rule) {
  System<T> bar(system.A.extent(0), system.B.extent(1));
  discretize<T>(system.view(), dt, rule, bar.view());
  return bar;
}

template <class T>
double distance(const System<T>& a, const System<T>& b) {
  double most = 0;
  for (Index i = 0; i < a.A.size(); ++i) most = std::max(most, std::abs(a.A[i] - b.A[i]));
  for (Index i = 0; i < a.B.size(); ++i) most = std::max(most, std::abs(a.B[i] - b.B[i]));
  return most;
}

/// Re <cotangent, system>, whose derivative by the real and imaginary parts is the cotangent.
template <class T>
double product(const System<T>& d, const System<T>& x) {
  return detail::real_product<T>(d.A, x.A) + detail::real_product<T>(d.B, x.B);
}

/// The largest difference of a backward pass from central differences.
template <class T>
double dense_gradient_error(const Discretization& rule) {
  constexpr Index size = 4, inputs = 2;
  constexpr double dt = 0.37, h = 1e-6;
  System<T> system(size, inputs, 1);
  const System<T> dbar(size, inputs, 2);
  System<T> gradient(size, inputs);
  const System<T> bar = discretized(system, dt, rule);
  const double ddt = discretize_backward<T>(system.view(), dt, rule, bar.view(), dbar.view(), gradient.view());
  const auto loss = [&](double step) { return product(dbar, discretized(system, step, rule)); };
  double error = std::abs((loss(dt + h) - loss(dt - h)) / (2 * h) - ddt);
  const auto compare = [&](T& value, T found) {
    const T before = value;
    const auto slope = [&](T direction) {
      value = before + h * direction;
      const double above = loss(dt);
      value = before - h * direction;
      const double below = loss(dt);
      value = before;
      return (above - below) / (2 * h);
    };
    error = std::max(error, std::abs(slope(1) - std::real(found)));
    if constexpr (std::is_same_v<T, Complex>) error = std::max(error, std::abs(slope({0, 1}) - found.imag()));
  };
  for (Index i = 0; i < system.A.size(); ++i) compare(system.A[i], gradient.A[i]);
  for (Index i = 0; i < system.B.size(); ++i) compare(system.B[i], gradient.B[i]);
  return error;
}

}  // namespace

TEST_CASE("gradients of discretisation are finite differences", "[discretize]") {
  for (const Discretization& rule : rules) {
    CAPTURE(rule.hold, rule.alpha);
    CHECK(dense_gradient_error<double>(rule) < 1e-8);
    CHECK(dense_gradient_error<Complex>(rule) < 1e-8);
  }
}

TEST_CASE("rules of discretisation agree as the step goes to zero", "[discretize]") {
  const System<double> system(5, 1, 3);
  // Halving the step divides the distance to the exact rule by 8 where the rule is of second order, by 4 otherwise.
  for (const Discretization& rule : rules) {
    if (rule.hold) continue;
    const double coarse = distance(discretized(system, 2e-3, rule), discretized(system, 2e-3, zero_order_hold));
    const double fine = distance(discretized(system, 1e-3, rule), discretized(system, 1e-3, zero_order_hold));
    CAPTURE(rule.alpha, coarse, fine);
    CHECK(coarse < 1e-5);
    CHECK(coarse / fine > 3.9);
    if (rule == bilinear)
      CHECK(distance(discretized(system, 1e-5, rule), discretized(system, 1e-5, zero_order_hold)) < 1e-14);
  }
}

TEST_CASE("zero-order hold of a singular system is exact, and two steps are one", "[discretize]") {
  // A chain of two integrators: h_0' = u, h_1' = h_0.
  System<double> chain(2, 1);
  chain.A(1, 0) = 1;
  chain.B[0] = 1;
  const auto bar = discretized(chain, 0.5, zero_order_hold);
  CHECK(std::abs(bar.B[0] - 0.5) < 1e-15);
  CHECK(std::abs(bar.B[1] - 0.125) < 1e-15);
  CHECK(std::abs(bar.A(1, 0) - 0.5) < 1e-15);

  // LegT, Abar(dt)^2 = Abar(2 dt), Abar Bbar + Bbar = Bbar(2 dt)
  constexpr Index size = 16;
  const HippoSystem legt = hippo(HippoMeasure::legt, size);
  System<double> system(size, 1);
  system.A = legt.A;
  std::copy(legt.B.begin(), legt.B.end(), system.B.begin());
  const auto one = discretized(system, 0.1, zero_order_hold), two = discretized(system, 0.2, zero_order_hold);
  System<double> twice(size, 1);
  twice.B = one.B;
  plain_product_add<double>(twice.A, one.A, one.A);
  plain_product_add<double>(twice.B, one.A, one.B);
  CHECK(distance(twice, two) < 1e-12);
}

TEST_CASE("a diagonal system is discretised mode by mode", "[discretize]") {
  constexpr double dt = 0.2;
  const std::vector<Complex> modes{{-0.5, 3.0}, {-1e-9, 1e-9}, {0, 0}, {-40, 1}, {0.3, -0.2}};
  System<Complex> system(static_cast<Index>(modes.size()), 1);
  for (Index i = 0; i < system.A.extent(0); ++i) {
    system.A(i, i) = modes[static_cast<std::size_t>(i)];
    system.B[i] = {1, -2};
  }
  for (const Discretization& rule : rules) {
    const auto bar = discretized(system, dt, rule);
    for (Index i = 0; i < system.A.extent(0); ++i) {
      const DiscreteMode mode = discretize(modes[static_cast<std::size_t>(i)], dt, rule);
      CAPTURE(rule.hold, rule.alpha, i);
      CHECK(std::abs(mode.transition - bar.A(i, i)) < 1e-13);
      CHECK(std::abs(mode.input * system.B[i] - bar.B[i]) < 1e-13);
    }
  }
}

TEST_CASE("gradients of a mode are finite differences", "[discretize]") {
  constexpr double h = 1e-6;
  const DiscreteMode d{{0.7, -0.4}, {-0.3, 0.9}};
  for (const Discretization& rule : rules) {
    for (const Complex lambda : {Complex(-0.5, 3), Complex(-1e-3, 2e-3), Complex(0, 0), Complex(-3, 9)}) {
      for (const double dt : {0.05, 0.6}) {
        const auto loss = [&](Complex at, double step) {
          const DiscreteMode mode = discretize(at, step, rule);
          return (std::conj(d.transition) * mode.transition + std::conj(d.input) * mode.input).real();
        };
        const auto slope = [&](Complex direction, double step) {
          return (loss(lambda + h * direction, dt + h * step) - loss(lambda - h * direction, dt - h * step)) / (2 * h);
        };
        const ModeCotangent found = discretize_backward(lambda, dt, rule, d);
        CAPTURE(rule.hold, rule.alpha, lambda.real(), lambda.imag(), dt);
        CHECK(std::abs(slope(1, 0) - found.lambda.real()) < 1e-7);
        CHECK(std::abs(slope({0, 1}, 0) - found.lambda.imag()) < 1e-7);
        CHECK(std::abs(slope(0, 1) - found.dt) < 1e-7);
      }
    }
  }
}

TEST_CASE("complex functions keep their digits", "[discretize]") {
  const Complex tiny(1e-12, 2e-12), x(0.3, -0.4);
  CHECK(std::abs(complex_expm1(tiny) - (tiny + tiny * tiny / 2.0)) < 1e-27);
  CHECK(std::abs(complex_expm1(x) - (std::exp(x) - 1.0)) < 1e-15);
  CHECK(complex_phi1(0) == 1.0);
  // On both sides of where the series ends.
  const Complex inside(0.29, 0.4), outside(0.31, 0.4);
  const Complex middle = (complex_phi1(outside) - complex_phi1(inside)) / (outside - inside);
  CHECK(std::abs((complex_phi1_slope(inside) + complex_phi1_slope(outside)) / 2.0 - middle) < 1e-4);
  CHECK(std::abs(complex_phi1_slope(Complex(0.5, 0)) - complex_phi1_slope(Complex(0.5 + 1e-12, 0))) < 1e-11);
}

TEST_CASE("discretisation refuses sizes that do not fit and singular systems", "[discretize]") {
  System<double> system(3, 1, 4), other(4, 1), wide(3, 2);
  CHECK_THROWS_AS(discretize<double>(system.view(), 0.1, bilinear, other.view()), ShapeError);
  CHECK_THROWS_AS(discretize<double>(system.view(), 0.1, zero_order_hold, wide.view()), ShapeError);
  System<double> identity(2, 1);
  identity.A(0, 0) = identity.A(1, 1) = 2;
  System<double> bar(2, 1);
  CHECK_THROWS_AS(discretize<double>(identity.view(), 0.5, backward_euler, bar.view()), ArgumentError);
}
