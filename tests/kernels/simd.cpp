#include <limits>
#include <random>
#include <stepscan/kernels/simd.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

template <class T>
std::vector<T> lanes_of(Simd<T> x) {
  std::vector<T> lanes(static_cast<std::size_t>(simd_width<T>));
  store(lanes.data(), x);
  return lanes;
}

/// first, first + 1, ...
template <class T>
std::vector<T> counting(Index size, T first) {
  std::vector<T> values(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<T>(i);
  return values;
}

}  // namespace

TEMPLATE_TEST_CASE("partial loads and stores touch the first n lanes only", "[kernels][simd]", float, double) {
  using T = TestType;
  constexpr Index width = simd_width<T>;
  for (Index n = 0; n <= width; ++n) {
    const std::vector<T> source = counting<T>(n, 1);
    const std::vector<T> loaded = lanes_of<T>(load_n(source.data(), n));
    for (Index i = 0; i < width; ++i)
      CHECK(loaded[static_cast<std::size_t>(i)] == (i < n ? static_cast<T>(i + 1) : T(0)));

    std::vector<T> target(static_cast<std::size_t>(n));
    store_n(target.data(), Simd<T>(T(7)), n);
    CHECK(target == std::vector<T>(static_cast<std::size_t>(n), T(7)));

    std::vector<T> framed(static_cast<std::size_t>(width) + 2, T(-1));
    store_n(framed.data() + 1, load(counting<T>(width, 1).data()), n);
    for (Index i = 0; i < width + 2; ++i) {
      CHECK(framed[static_cast<std::size_t>(i)] == (i >= 1 && i <= n ? static_cast<T>(i) : T(-1)));
    }
  }
}

TEMPLATE_TEST_CASE("arithmetic of registers is that of their lanes", "[kernels][simd]", float, double) {
  using T = TestType;
  using V = Simd<T>;
  constexpr Index width = simd_width<T>;
  const V x = load(counting<T>(width, -1).data());
  const std::vector<T> fused = lanes_of<T>(fma(x, V(T(2)), V(T(0.5))));
  const std::vector<T> chosen = lanes_of<T>(select(x > V(T(0)), x, V(T(-9))));
  const std::vector<T> magnitude = lanes_of<T>(abs(x));
  const std::vector<T> larger = lanes_of<T>(max(x, V(T(0.5))));
  const std::vector<T> smaller = lanes_of<T>(min(x, V(T(0.5))));
  const std::vector<T> kept = lanes_of<T>(clamp(x, T(-0.5), T(0.5)));
  const std::vector<T> root = lanes_of<T>(sqrt(x * x));
  for (Index i = 0; i < width; ++i) {
    const auto lane = static_cast<std::size_t>(i);
    const T value = static_cast<T>(i) - 1;
    CHECK(fused[lane] == value * 2 + T(0.5));
    CHECK(chosen[lane] == (value > 0 ? value : T(-9)));
    CHECK(magnitude[lane] == (value < 0 ? -value : value));
    CHECK(larger[lane] == (value > T(0.5) ? value : T(0.5)));
    CHECK(smaller[lane] == (value < T(0.5) ? value : T(0.5)));
    CHECK(kept[lane] == (value < 0 ? T(-0.5) : value > T(0.5) ? T(0.5) : value));
    CHECK(root[lane] == magnitude[lane]);
  }
  CHECK(sum(x) == static_cast<T>(width * (width - 1) / 2 - width));
  CHECK(lanes_of<T>(broadcast<V>(T(3))) == std::vector<T>(static_cast<std::size_t>(width), T(3)));
}

TEMPLATE_TEST_CASE("fma rounds once where the instruction set can", "[kernels][simd]", float, double) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
  using T = TestType;
  using V = Simd<T>;
  const T above_one = 1 + std::numeric_limits<T>::epsilon();
  const T square_error = std::numeric_limits<T>::epsilon() * std::numeric_limits<T>::epsilon();
  const V product = V(above_one) * V(above_one);
  CHECK(lanes_of<T>(fma(V(above_one), V(above_one), V(0) - product))[0] == square_error);
#endif
}

TEMPLATE_TEST_CASE("max, min and clamp keep the NaN of their last argument", "[kernels][simd]", float, double) {
  using T = TestType;
  using V = Simd<T>;
  const V nan(std::numeric_limits<T>::quiet_NaN());
  const auto is_nan = [](V x) { return lanes_of<T>(x)[0] != lanes_of<T>(x)[0]; };
  CHECK(is_nan(max(V(T(1)), nan)));
  CHECK(is_nan(min(V(T(1)), nan)));
  CHECK(is_nan(clamp(nan, T(-1), T(1))));
}

TEMPLATE_TEST_CASE("sums of several registers, side by side", "[kernels][simd]", float, double) {
  using T = TestType;
  constexpr Index width = simd_width<T>;
  std::vector<Simd<T>> x;
  for (Index i = 0; i < width; ++i) x.push_back(load(counting<T>(width, static_cast<T>(10 * i)).data()));
  const std::vector<T> sums = lanes_of<T>(sum_each(x.data()));
  for (Index i = 0; i < width; ++i) {
    CHECK(sums[static_cast<std::size_t>(i)] == static_cast<T>(width * 10 * i + width * (width - 1) / 2));
  }
}

TEMPLATE_TEST_CASE("bits of lanes", "[kernels][simd]", float, double) {
  using T = TestType;
  using U = detail::BitsOf<T>;
  const Simd<U> one = detail::bit_cast_lanes<U>(Simd<T>(T(1)));
  CHECK(one.get(0) == std::bit_cast<U>(T(1)));
  CHECK(detail::shift_left<3>(Simd<U>(U{5})).get(1) == U{40});
  CHECK(detail::shift_right<1>(Simd<U>(~U{0})).get(1) == ~U{0} >> 1);
  CHECK(lanes_of<T>(detail::bit_cast_lanes<T>(one))[0] == T(1));
}

TEMPLATE_TEST_CASE("transform covers every length, in place too", "[kernels][simd]", float, double) {
  using T = TestType;
  for (Index n = 0; n <= 3 * simd_width<T> + 1; ++n) {
    const std::vector<T> x = counting<T>(n, 1);
    std::vector<T> y(x.size());
    transform(y.data(), x.data(), n, [](Simd<T> v) { return v + v; });
    std::vector<T> in_place = x;
    transform(in_place.data(), in_place.data(), n, [](Simd<T> v) { return v + v; });
    CHECK(y == in_place);
    int failures = 0;
    for (std::size_t i = 0; i < x.size(); ++i) failures += y[i] != 2 * x[i];
    CHECK(failures == 0);
  }
}
