#include <cmath>
#include <numbers>
#include <stepscan/core/random.hpp>
#include <stepscan/kernels/math_turns.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

template <class T>
std::array<T, 2> turned(T x, T y) {
  const auto both = half_turns(Simd<T>(x), Simd<T>(y));
  std::array<T, 2> numbers;
  for (std::size_t k = 0; k < 2; ++k) {
    alignas(64) T lanes[static_cast<std::size_t>(simd_width<T>)];
    store(lanes, both[k]);
    numbers[k] = lanes[0];
  }
  return numbers;
}

/// The largest error of both, beyond what the rounding of x y costs without fused multiply-adds.
template <class T>
double largest_error() {
  Random random(5);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const T x = static_cast<T>(random.uniform(0, 4));
    const double range = i % 2 == 0 ? 1 : 300;
    const T y = static_cast<T>(random.uniform(-range, range));
    const long double product = static_cast<long double>(x) * static_cast<long double>(y);
    const long double angle = std::numbers::pi_v<long double> * std::remainder(product, 2.0L);
    const std::array<T, 2> found = turned(x, y);
#ifdef __FMA__
    const long double rounding = 0;
#else
    const long double rounding = 3.2L * std::abs(product) * static_cast<long double>(std::numeric_limits<T>::epsilon());
#endif
    for (const long double error : {std::abs(found[0] - std::cos(angle)), std::abs(found[1] - std::sin(angle))}) {
      worst = std::max(worst, static_cast<double>(error - rounding));
    }
  }
  return worst / static_cast<double>(std::numeric_limits<T>::epsilon());
}

}  // namespace

TEST_CASE("half_turns keeps its stated error", "[math]") {
  CHECK(largest_error<float>() < 2);
  CHECK(largest_error<double>() < 2);
}

TEST_CASE("half_turns at multiples of a quarter turn and out of range", "[math]") {
  CHECK(turned(3.0F, 0.0F) == std::array<float, 2>{1, 0});
  CHECK(turned(3.0, 1.0)[0] == -1);
  CHECK(std::abs(turned(0.5, 3.0)[0]) < 1e-15);
  CHECK(turned(0.5F, 3.0F)[1] == Approx(-1));
  for (const float far : {1e7F, -1e12F, 1e30F}) {
    const auto [cosine, sine] = turned(far, 1.0F);
    CHECK((std::abs(cosine) <= 1.000001F && std::abs(sine) <= 1.000001F));
  }
  CHECK(std::isnan(turned(std::numeric_limits<double>::quiet_NaN(), 1.0)[0]));
}
