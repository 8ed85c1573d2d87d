#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stepscan/io/dtype.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

constexpr std::array all_dtypes{Dtype::boolean, Dtype::u8,  Dtype::i8,  Dtype::u16,  Dtype::i16, Dtype::u32, Dtype::i32,
                                Dtype::u64,     Dtype::i64, Dtype::f16, Dtype::bf16, Dtype::f32, Dtype::f64};

template <class To, class From>
std::vector<To> converted(Dtype dtype, const std::vector<From>& from) {
  std::vector<To> to(from.size());
  convert_numbers(dtype, std::as_bytes(std::span(from)), to.data());
  return to;
}

template <class To, class From>
bool fits(From value) {
  return fits_type<To>(dtype_of<From>(), std::as_bytes(std::span(&value, 1)));
}

TEST_CASE("each dtype is found by its name and nothing else is") {
  for (const Dtype dtype : all_dtypes) CHECK(dtype_named(dtype_name(dtype)) == dtype);
  for (const auto* name : {"", "f32", "F8_E4M3", "C64", "F32 "}) CHECK_FALSE(dtype_named(name));
}

TEST_CASE("C++ types are written as the dtype of their kind and size") {
  STATIC_REQUIRE(dtype_of<float>() == Dtype::f32);
  STATIC_REQUIRE(dtype_of<double>() == Dtype::f64);
  STATIC_REQUIRE(dtype_of<Half>() == Dtype::f16);
  STATIC_REQUIRE(dtype_of<BFloat16>() == Dtype::bf16);
  STATIC_REQUIRE(dtype_of<std::uint8_t>() == Dtype::u8);
  STATIC_REQUIRE(dtype_of<std::int8_t>() == Dtype::i8);
  STATIC_REQUIRE(dtype_of<std::uint16_t>() == Dtype::u16);
  STATIC_REQUIRE(dtype_of<std::int16_t>() == Dtype::i16);
  STATIC_REQUIRE(dtype_of<std::uint32_t>() == Dtype::u32);
  STATIC_REQUIRE(dtype_of<std::int32_t>() == Dtype::i32);
  STATIC_REQUIRE(dtype_of<std::uint64_t>() == Dtype::u64);
  STATIC_REQUIRE(dtype_of<Index>() == Dtype::i64);
  STATIC_REQUIRE_FALSE(FileNumber<bool>);
}

TEST_CASE("two-byte floating point numbers become float and double exactly") {
  // 1, -2, 65504, the smallest subnormal, infinity
  const std::vector<std::uint16_t> half{0x3C00, 0xC000, 0x7BFF, 0x0001, 0x7C00};
  const std::vector<float> expected_half{1, -2, 65504, 0x1p-24F, std::numeric_limits<float>::infinity()};
  CHECK(converted<float>(Dtype::f16, half) == expected_half);
  CHECK(converted<double>(Dtype::f16, half) == std::vector<double>(expected_half.begin(), expected_half.end()));

  const std::vector<std::uint16_t> brain{0x3F80, 0xC000, 0x7F7F, 0x0001};
  const std::vector<float> expected_brain{1, -2, 0x1.FEp127F, 0x1p-133F};
  CHECK(converted<float>(Dtype::bf16, brain) == expected_brain);
  CHECK(converted<double>(Dtype::bf16, brain) == std::vector<double>(expected_brain.begin(), expected_brain.end()));
}

TEST_CASE("wider numbers round to nearest and NaN stays NaN") {
  const std::vector<double> values{0.1, 1 + 0x1p-30, -1e-300};
  CHECK(converted<float>(Dtype::f64, values) == std::vector<float>{0.1F, 1.0F, -0.0F});
  const auto nan = converted<float>(Dtype::f64, std::vector<double>{std::nan("")});
  CHECK(std::isnan(nan[0]));
  CHECK(converted<Half>(Dtype::f32, std::vector<float>{1 + 0x1p-12F})[0].bits == 0x3C00);
}

TEST_CASE("memory of any alignment is read") {
  const std::array<double, 2> values{1.25, -3.5};
  std::array<std::byte, 17> memory{};
  std::memcpy(memory.data() + 1, values.data(), 16);
  std::array<double, 2> read{};
  convert_numbers(Dtype::f64, std::span(memory).subspan(1), read.data());
  CHECK(read == values);
}

TEST_CASE("numbers without a place in the destination are found") {
  CHECK(fits<float>(double{3e38}));
  CHECK_FALSE(fits<float>(double{1e39}));
  CHECK(fits<float>(std::numeric_limits<double>::infinity()));
  CHECK(fits<float>(std::nan("")));
  CHECK_FALSE(fits<Half>(float{1e6F}));
  CHECK_FALSE(fits<BFloat16>(std::numeric_limits<float>::max()));
  CHECK(fits<std::int64_t>(std::uint64_t{std::numeric_limits<std::int64_t>::max()}));
  CHECK_FALSE(fits<std::int64_t>(std::uint64_t{1} << 63));
  CHECK_FALSE(fits<std::uint8_t>(std::int32_t{-1}));
  CHECK_FALSE(fits<std::int8_t>(std::int64_t{128}));
  CHECK(fits<std::int8_t>(std::int64_t{-128}));
  CHECK_FALSE(fits<float>(std::int32_t{1}));
  CHECK_FALSE(fits<std::int32_t>(1.0F));
}

TEST_CASE("integers of every width become int64") {
  CHECK(converted<std::int64_t>(Dtype::i8, std::vector<std::int8_t>{-128, 127}) ==
        std::vector<std::int64_t>{-128, 127});
  CHECK(converted<std::int64_t>(Dtype::u8, std::vector<std::uint8_t>{255}) == std::vector<std::int64_t>{255});
  CHECK(converted<std::int64_t>(Dtype::i16, std::vector<std::int16_t>{-2}) == std::vector<std::int64_t>{-2});
  CHECK(converted<std::int64_t>(Dtype::u16, std::vector<std::uint16_t>{65535}) == std::vector<std::int64_t>{65535});
  CHECK(converted<std::int64_t>(Dtype::i32, std::vector<std::int32_t>{-3}) == std::vector<std::int64_t>{-3});
  CHECK(converted<std::int64_t>(Dtype::u32, std::vector<std::uint32_t>{1U << 31}) ==
        std::vector<std::int64_t>{std::int64_t{1} << 31});
  CHECK(converted<std::int64_t>(Dtype::boolean, std::vector<std::uint8_t>{0, 1}) == std::vector<std::int64_t>{0, 1});
}

}  // namespace
