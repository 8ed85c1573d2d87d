#include <cstring>
#include <kernels/math_reference.hpp>
#include <random>
#include <support/catch.hpp>

using namespace kernels_math;

namespace {

/// The functions, called by name alone.
template <class V>
struct Unqualified {
  static V call_exp(V x) { return exp(x); }
  static V call_expm1(V x) { return expm1(x); }
  static V call_log1p(V x) { return log1p(x); }
  static V call_sigmoid(V x) { return sigmoid(x); }
  static V call_tanh(V x) { return tanh(x); }
  static V call_softplus(V x) { return softplus(x); }
  static V call_logsigmoid(V x) { return logsigmoid(x); }
  static V call_silu(V x) { return silu(x); }
  static V call_gelu(V x) { return gelu(x); }
};

template <class T>
struct Worst {
  double ulp = 0;
  T x = 0;
};

/// Applies f to the values of `next` until it says it has no more, and finds the largest error.
template <class T, class Next>
Worst<T> worst_error(const Function<T>& f, Next next) {
  constexpr auto width = static_cast<std::size_t>(simd_width<T>);
  Worst<T> worst;
  T x[width] = {}, y[width];
  for (bool more = true; more;) {
    for (std::size_t i = 0; i < width && more; ++i) more = next(x[i]);
    store(y, f.batch(load(x)));
    for (std::size_t i = 0; i < width; ++i) {
      const double ulp = error_in_ulp(f, y[i], f.exact(static_cast<Wide<T>>(x[i])));
      if (ulp > worst.ulp) worst = {ulp, x[i]};
    }
  }
  return worst;
}

/// Every stride-th float, all exponents, both signs, infinities and NaN.
auto floats(std::uint64_t stride) {
  return [stride, pattern = std::uint64_t{0}](float& x) mutable {
    x = std::bit_cast<float>(static_cast<std::uint32_t>(pattern));
    pattern += stride;
    return pattern < (std::uint64_t{1} << 32);
  };
}

/// Doubles of all magnitudes, and for each n and offset the neighbourhood of n ln 2 / 2, where argument reduction
/// changes.
auto doubles(int count) {
  return [count, i = 0, generator = std::mt19937_64(7)](double& x) mutable {
    if (i % 3 == 0) {
      x = std::bit_cast<double>(static_cast<std::uint64_t>(generator()));
    } else if (i % 3 == 1) {
      x = std::uniform_real_distribution<double>(-1, 1)(generator) *
          std::exp2(static_cast<double>(generator() % 20) - 9);
    } else {
      const double n = static_cast<double>(generator() % 4301) - 2150;
      x = n * 0.34657359027997265 +
          std::ldexp(static_cast<double>(generator() % 2001) - 1000, -12 - static_cast<int>(generator() % 40));
    }
    return ++i < count;
  };
}

template <class Math>
void check_floats(std::uint64_t stride) {
  for (const Function<float>& f : functions<Math, float>()) {
    const Worst<float> worst = worst_error(f, floats(stride));
    CAPTURE(f.name, worst.x, f.stated.absolute);
    CHECK(worst.ulp <= f.stated.ulp);
  }
}

Simd<float> slightly_wrong_exp(Simd<float> x) { return exp(x) * Simd<float>(1.0F + 0x1p-21F); }

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("float functions stay within their stated errors", "[kernels][math]") {
  SECTION("Exact") { check_floats<Exact>(4099); }
  SECTION("Fast") { check_floats<Fast>(4099); }
}

TEST_CASE("double functions stay within their stated errors", "[kernels][math]") {
  for (const Function<double>& f : functions<Exact, double>()) {
    const Worst<double> worst = worst_error(f, doubles(60000));
    CAPTURE(f.name, worst.x, f.stated.absolute);
    CHECK(worst.ulp <= f.stated.ulp);
  }
}

TEST_CASE("the stated errors are ones that a wrong digit would break", "[kernels][math]") {
  Function<float> f = functions<Exact, float>()[0];
  f.batch = slightly_wrong_exp;
  CHECK(worst_error(f, floats(40961)).ulp > f.stated.ulp);
}

TEMPLATE_TEST_CASE("limits, zeros and NaN", "[kernels][math]", float, double) {
  using T = TestType;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  constexpr T largest = std::numeric_limits<T>::max();
  struct Limits {
    T at_minus_infinity, at_minus_zero, at_infinity;
  };
  const T log_2 = T(0.69314718055994530942L);
  const T nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<Limits> limits = {
      {T(0), T(1), infinity},    {T(-1), T(-0.0), infinity},   {nan, T(-0.0), infinity},
      {T(0), T(0.5), T(1)},      {T(-1), T(-0.0), T(1)},       {T(0), log_2, infinity},
      {-infinity, -log_2, T(0)}, {T(-0.0), T(-0.0), infinity}, {T(-0.0), T(-0.0), infinity}};
  const auto check = [&](const std::vector<Function<T>>& all, bool exact) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Function<T>& f = all[i];
      const Limits& limit = limits[i];
      CAPTURE(f.name, exact);
      const bool logarithm = std::isnan(limit.at_minus_infinity);
      CHECK((logarithm ? std::isnan(apply(f, -infinity)) : apply(f, -infinity) == limit.at_minus_infinity));
      CHECK((logarithm ? std::isnan(apply(f, -largest))
                       : apply(f, -largest) == std::max(limit.at_minus_infinity, -largest)));
      CHECK(apply(f, infinity) == limit.at_infinity);
      const T zero = apply(f, T(-0.0));
      CHECK(error_in_ulp(f, zero, static_cast<Wide<T>>(limit.at_minus_zero)) <= f.stated.ulp + 0.5);
      CHECK(std::signbit(zero) == std::signbit(limit.at_minus_zero));
      CHECK(std::signbit(apply(f, T(0))) == (i == 6));
      CHECK(std::isnan(apply(f, nan)));
      CHECK(std::isnan(apply(f, -nan)));
    }
  };
  check(functions<Exact, T>(), true);
  check(functions<Fast, T>(), false);

  const Function<T> log = functions<Exact, T>()[2];
  CHECK(apply(log, T(-1)) == -infinity);
  CHECK(std::isnan(apply(log, std::nextafter(T(-1), T(-2)))));
}

TEMPLATE_TEST_CASE("every NaN stays NaN", "[kernels][math]", float, double) {
  using T = TestType;
  using U = detail::BitsOf<T>;
  std::mt19937_64 generator(3);
  const auto check = [&](const std::vector<Function<T>>& all) {
    for (const Function<T>& f : all) {
      int lost = 0;
      for (int i = 0; i < 500; ++i) {
        const U payload = static_cast<U>(generator()) | std::bit_cast<U>(std::numeric_limits<T>::quiet_NaN());
        lost += !std::isnan(apply(f, std::bit_cast<T>(payload)));
      }
      CAPTURE(f.name);
      CHECK(lost == 0);
    }
  };
  check(functions<Exact, T>());
  check(functions<Fast, T>());
}

TEST_CASE("fast gates never leave their range and saturate exactly", "[kernels][math]") {
  float largest_tanh = 0, largest_sigmoid = 0, smallest_sigmoid = 1, largest_negative_gelu = -1;
  float t[16], s[16], g[16];
  for (float x = 0; x < 20; x = std::nextafter(x + 2e-5F, 30.0F)) {
    store(t, tanh<Fast>(Simd<float>(x)));
    store(s, sigmoid<Fast>(Simd<float>(x)));
    largest_tanh = std::max(largest_tanh, t[0]);
    largest_sigmoid = std::max(largest_sigmoid, s[0]);
    store(s, sigmoid<Fast>(Simd<float>(-x)));
    store(g, gelu<Fast>(Simd<float>(-x)));
    smallest_sigmoid = std::min(smallest_sigmoid, s[0]);
    largest_negative_gelu = std::max(largest_negative_gelu, g[0]);
  }
  CHECK(largest_tanh == 1);
  CHECK(largest_sigmoid == 1);
  CHECK(smallest_sigmoid == 0);
  CHECK(largest_negative_gelu == 0);
}

TEMPLATE_TEST_CASE("tanh is odd to the last bit", "[kernels][math]", float, double) {
  using T = TestType;
  std::mt19937 generator(5);
  std::uniform_real_distribution<T> uniform(T(-12), T(12));
  int failures = 0;
  T positive[16], negative[16];
  for (int i = 0; i < 2000; ++i) {
    const Simd<T> x(uniform(generator));
    store(positive, tanh<Exact>(x));
    store(negative, tanh<Exact>(Simd<T>(0) - x));
    failures += !same_bits(positive[0], -negative[0]);
    store(positive, tanh<Fast>(x));
    store(negative, tanh<Fast>(Simd<T>(0) - x));
    failures += !same_bits(positive[0], -negative[0]);
  }
  CHECK(failures == 0);
}

TEMPLATE_TEST_CASE("an unqualified call without an accuracy is the exact function", "[kernels][math]", float, double) {
  using T = TestType;
  using V = Simd<T>;
  using U = Unqualified<V>;
  const std::vector<V (*)(V)> unqualified = {U::call_exp,        U::call_expm1, U::call_log1p,
                                             U::call_sigmoid,    U::call_tanh,  U::call_softplus,
                                             U::call_logsigmoid, U::call_silu,  U::call_gelu};
  const std::vector<Function<T>> exact = functions<Exact, T>();
  REQUIRE(unqualified.size() == exact.size());
  std::mt19937 generator(9);
  std::uniform_real_distribution<T> uniform(T(-0.9), T(9));
  for (std::size_t i = 0; i < exact.size(); ++i) {
    int failures = 0;
    for (int k = 0; k < 500; ++k) {
      const T x = uniform(generator);
      T lanes[16];
      store(lanes, unqualified[i](V(x)));
      failures += !same_bits(lanes[0], apply(exact[i], x));
    }
    CAPTURE(exact[i].name);
    CHECK(failures == 0);
  }
}
