#include <cmath>
#include <limits>
#include <random>
#include <stepscan/kernels/half.hpp>
#include <support/catch.hpp>
#include <type_traits>
#include <vector>

using namespace stepscan;

namespace {

static_assert(sizeof(Half) == 2 && std::is_trivially_copyable_v<Half> &&
              std::is_trivially_default_constructible_v<Half>);
static_assert(sizeof(BFloat16) == 2 && std::is_trivially_copyable_v<BFloat16>);
static_assert(static_cast<float>(Half(1.5F)) == 1.5F);
static_assert(static_cast<float>(BFloat16(-3.0F)) == -3.0F);

/// The value of a finite half, from its fields.
double value_of_half(unsigned bits) {
  const int exponent = static_cast<int>((bits >> 10) & 31U);
  const double mantissa = bits & 1023U;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 15 - 10);
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

template <class Stored>
bool is_nan(Stored x) {
  return std::isnan(static_cast<float>(x));
}

/// Number of the 65536 patterns that do not survive the way to float and back; NaN must stay NaN.
template <class Stored>
int round_trip_failures() {
  int failures = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const Stored x = Stored::from_bits(static_cast<std::uint16_t>(bits));
    const Stored back(static_cast<float>(x));
    failures += is_nan(x) ? !is_nan(back) : back.bits != x.bits;
  }
  return failures;
}

/// Number of random floats that are not rounded to the nearer of the two neighbours `below` and `above` in magnitude,
/// or to the even one of both in a tie.
template <class Stored>
int rounding_failures(float largest) {
  std::mt19937 generator(1);
  int failures = 0;
  for (int i = 0; i < 200000; ++i) {
    auto pattern = static_cast<std::uint32_t>(generator());
    if (i % 2 == 0) {
      const auto exponent = static_cast<std::uint32_t>(127 - 26 + generator() % 40);
      pattern = (pattern & 0x807FFFFFU) | (exponent << 23);
    }
    const float x = std::bit_cast<float>(pattern);
    if (std::isnan(x) || std::abs(x) > largest) continue;
    const Stored rounded(x);
    const double error = std::abs(static_cast<double>(static_cast<float>(rounded)) - static_cast<double>(x));
    for (const int step : {-1, 1}) {
      if ((rounded.bits & 0x7FFFU) == 0 && step < 0) continue;
      const Stored neighbour = Stored::from_bits(static_cast<std::uint16_t>(rounded.bits + step));
      const double other = std::abs(static_cast<double>(static_cast<float>(neighbour)) - static_cast<double>(x));
      failures += other < error || (other == error && rounded.bits % 2 != 0);
    }
    failures += std::signbit(static_cast<float>(rounded)) != std::signbit(x);
  }
  return failures;
}

template <class Stored>
int load_failures() {
  constexpr unsigned width = static_cast<unsigned>(simd_width<float>);
  std::vector<Stored> all(65536 + width);
  for (unsigned bits = 0; bits < all.size(); ++bits) all[bits] = Stored::from_bits(static_cast<std::uint16_t>(bits));
  int failures = 0;
  float lanes[width];
  for (unsigned first = 1; first < 65536; first += width) {
    store(lanes, load_as_float(&all[first]));
    for (unsigned i = 0; i < width; ++i) {
      const float expected = static_cast<float>(all[first + i]);
      const bool equal = std::bit_cast<std::uint32_t>(lanes[i]) == std::bit_cast<std::uint32_t>(expected);
      failures += std::isnan(expected) ? !std::isnan(lanes[i]) : !equal;
    }
  }
  return failures;
}

}  // namespace

TEST_CASE("every half has the value its fields say", "[kernels][half]") {
  int failures = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const float value = static_cast<float>(Half::from_bits(static_cast<std::uint16_t>(bits)));
    const bool special = (bits & 0x7C00U) == 0x7C00U;
    const bool infinite = (bits & 0x7FFFU) == 0x7C00U;
    if (special) {
      failures +=
          infinite ? !(std::isinf(value) && std::signbit(value) == ((bits & 0x8000U) != 0)) : !std::isnan(value);
    } else {
      failures += static_cast<double>(value) != value_of_half(bits);
    }
  }
  CHECK(failures == 0);
}

TEST_CASE("16-bit numbers survive the way to float and back", "[kernels][half]") {
  CHECK(round_trip_failures<Half>() == 0);
  CHECK(round_trip_failures<BFloat16>() == 0);
}

TEST_CASE("float rounds to the nearest 16-bit number, ties to even", "[kernels][half]") {
  CHECK(rounding_failures<Half>(65504.0F) == 0);
  CHECK(rounding_failures<BFloat16>(0x1.FEp127F) == 0);

  CHECK(Half(1.0F + 0x1p-11F).bits == 0x3C00);
  CHECK(Half(1.0F + 0x3p-11F).bits == 0x3C02);
  CHECK(Half(std::nextafter(1.0F + 0x1p-11F, 2.0F)).bits == 0x3C01);
  CHECK(Half(65519.996F).bits == 0x7BFF);
  CHECK(Half(65520.0F).bits == 0x7C00);
  CHECK(Half(0x1p-25F).bits == 0);
  CHECK(Half(0x1.8p-24F).bits == 2);
  CHECK(Half(std::nextafter(0x1p-25F, 1.0F)).bits == 1);
  CHECK(Half(std::nextafter(0x1p-14F, 0.0F)).bits == 0x0400);
  CHECK(Half(-std::numeric_limits<float>::denorm_min()).bits == 0x8000);

  CHECK(BFloat16(1.0F + 0x1p-8F).bits == 0x3F80);
  CHECK(BFloat16(1.0F + 0x3p-8F).bits == 0x3F82);
  CHECK(BFloat16(std::numeric_limits<float>::max()).bits == 0x7F80);
}

TEST_CASE("16-bit infinities and NaN", "[kernels][half]") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(Half(infinity).bits == 0x7C00);
  CHECK(Half(-infinity).bits == 0xFC00);
  CHECK(BFloat16(-infinity).bits == 0xFF80);
  for (const std::uint32_t bits : {0x7F800001U, 0x7FC00000U, 0x7FFFFFFFU, 0xFF800001U, 0xFFFFFFFFU}) {
    CHECK(is_nan(Half(std::bit_cast<float>(bits))));
    CHECK(is_nan(BFloat16(std::bit_cast<float>(bits))));
    CHECK((BFloat16(std::bit_cast<float>(bits)).bits >> 15) == bits >> 31);
  }
}

TEST_CASE("registers of 16-bit numbers equal the scalar conversion", "[kernels][half]") {
  CHECK(load_failures<Half>() == 0);
  CHECK(load_failures<BFloat16>() == 0);
}

TEST_CASE("partial registers of 16-bit numbers are padded with zeros", "[kernels][half]") {
  constexpr Index width = simd_width<float>;
  for (Index n = 0; n <= width; ++n) {
    const std::vector<Half> halves(static_cast<std::size_t>(n), Half(2.0F));
    const std::vector<BFloat16> bfloats(static_cast<std::size_t>(n), BFloat16(3.0F));
    CHECK(sum(load_as_float_n(halves.data(), n)) == 2.0F * static_cast<float>(n));
    CHECK(sum(load_as_float_n(bfloats.data(), n)) == 3.0F * static_cast<float>(n));
  }
}
