#include <cmath>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/kernels/math_exp2.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

template <class T>
T first_lane(Simd<T> x) {
  alignas(64) T lanes[static_cast<std::size_t>(simd_width<T>)];
  store(lanes, x);
  return lanes[0];
}

template <class T>
T in_range(T x, T y) {
  return first_lane<T>(exp2_product_in_range(Simd<T>(x), Simd<T>(y)));
}
template <class T>
T anywhere(T x, T y) {
  return first_lane<T>(exp2_product(Simd<T>(x), Simd<T>(y)));
}

/// The largest error relative to 2^(x y), beyond what the rounding of x y costs without fused multiply-adds, and the
/// largest relative to 2^(x y) - 1 for |x y| < 1/2.
template <class T>
void check_errors(double allowed, double allowed_of_difference) {
  Random random(3);
  double worst = 0, worst_difference = 0;
  bool same = true;
  for (int i = 0; i < 200000; ++i) {
    const T x = static_cast<T>(random.uniform(0, 4));
    const double range = i % 2 == 0 ? 0.12 : static_cast<double>(exp2_limit<T>) / 4;
    const T y = static_cast<T>(random.uniform(-range, range));
    const long double product = static_cast<long double>(x) * static_cast<long double>(y);
    const long double exact = std::exp2(product);
    const auto found = static_cast<long double>(in_range(x, y));
    const auto rounding = std::abs(product) * static_cast<long double>(std::numeric_limits<T>::epsilon());
    worst = std::max(worst, static_cast<double>(std::abs(found / exact - 1) - rounding));
    if (i % 2 == 0) {
      const long double above = std::expm1(product * 0.693147180559945309417232121458L);
      const auto error = std::abs(found - 1 - above) - static_cast<long double>(std::numeric_limits<T>::epsilon());
      worst_difference = std::max(worst_difference, static_cast<double>(error / std::abs(above)));
    }
    same = same && anywhere(x, y) == in_range(x, y);
  }
  CAPTURE(worst, worst_difference);
  CHECK(worst < allowed);
  CHECK(worst_difference < allowed_of_difference);
  CHECK(same);
}

}  // namespace

TEST_CASE("exp2_product keeps its stated error", "[math]") {
  check_errors<float>(3 * 1.2e-7, 6e-7);
  check_errors<double>(2.5 * 2.3e-16, 1e-15);
}

TEST_CASE("exp2_product at and beyond its limits", "[math]") {
  CHECK(anywhere(0.0F, -5.0F) == 1.0F);
  CHECK(anywhere(0.0, -5.0) == 1.0);
  CHECK(in_range(-63.0F, 2.0F) == std::exp2(-126.0F));
  CHECK(in_range(511.0, 2.0) == std::exp2(1022.0));
  CHECK(anywhere(1e30F, -1e30F) == 0.0F);
  CHECK(anywhere(1e3F, -1.0F) == 0.0F);
  CHECK(anywhere(1.0F, -127.5F) == 0.0F);
  CHECK(anywhere(1e3F, 1.0F) == std::numeric_limits<float>::infinity());
  CHECK(anywhere(1e4, -1.0) == 0.0);
  CHECK(anywhere(127.0F, 1.0F) == Approx(std::exp2(127.0F)));
  CHECK(std::isnan(anywhere(std::numeric_limits<float>::quiet_NaN(), -1.0F)));
  CHECK(std::isnan(anywhere(std::numeric_limits<double>::quiet_NaN(), 0.0)));
}
