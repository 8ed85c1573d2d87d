#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <stepscan/core/config.hpp>
#include <stepscan/kernels/half.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

namespace stepscan::inline STEPSCAN_ISA {

static_assert(std::endian::native == std::endian::little, "stepscan: tensor files are little-endian, as this code is");
static_assert(std::numeric_limits<double>::is_iec559);

/// The number types of a safetensors file.
enum class Dtype : std::uint8_t { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64 };

/// What a file's numbers can be read into and written from: float, double, Half, BFloat16 and the integers.
template <class T>
concept FileNumber = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, Half> ||
    std::same_as<T, BFloat16> ||
    (std::integral<T> && sizeof(T) <= 8 && !std::same_as<T, bool> && !std::same_as<T, char>);

namespace detail {

struct DtypeFacts {
  std::string_view name;
  std::size_t bytes;
};
inline constexpr std::array<DtypeFacts, 13> dtype_facts{{{"BOOL", 1},
                                                         {"U8", 1},
                                                         {"I8", 1},
                                                         {"U16", 2},
                                                         {"I16", 2},
                                                         {"U32", 4},
                                                         {"I32", 4},
                                                         {"U64", 8},
                                                         {"I64", 8},
                                                         {"F16", 2},
                                                         {"BF16", 2},
                                                         {"F32", 4},
                                                         {"F64", 8}}};

}  // namespace detail

/// The name in a file: "F32".
[[nodiscard]] constexpr std::string_view dtype_name(Dtype dtype) noexcept {
  return detail::dtype_facts[static_cast<std::size_t>(dtype)].name;
}

/// Bytes of one number.
[[nodiscard]] constexpr std::size_t dtype_bytes(Dtype dtype) noexcept {
  return detail::dtype_facts[static_cast<std::size_t>(dtype)].bytes;
}

/// F16, BF16, F32 or F64.
[[nodiscard]] constexpr bool is_floating(Dtype dtype) noexcept { return dtype >= Dtype::f16; }

/// The dtype of that name, or nothing.
[[nodiscard]] constexpr std::optional<Dtype> dtype_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < detail::dtype_facts.size(); ++i) {
    if (detail::dtype_facts[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

/// The dtype that T is written as, without loss.
template <FileNumber T>
[[nodiscard]] constexpr Dtype dtype_of() noexcept {
  if constexpr (std::same_as<T, Half>) return Dtype::f16;
  if constexpr (std::same_as<T, BFloat16>) return Dtype::bf16;
  if constexpr (std::same_as<T, float>) return Dtype::f32;
  if constexpr (std::same_as<T, double>) return Dtype::f64;
  constexpr std::array by_size{Dtype::u8, Dtype::u16, Dtype::u32, Dtype::u64};
  constexpr int index = static_cast<int>(by_size[static_cast<std::size_t>(std::bit_width(sizeof(T)) - 1)]);
  return static_cast<Dtype>(std::is_signed_v<T> ? index + 1 : index);
}

namespace detail {

/// Calls f with a number of the type that the dtype names. BOOL is a byte.
template <class F>
constexpr decltype(auto) with_number_type(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::boolean:
    case Dtype::u8:
      return f(std::uint8_t{});
    case Dtype::i8:
      return f(std::int8_t{});
    case Dtype::u16:
      return f(std::uint16_t{});
    case Dtype::i16:
      return f(std::int16_t{});
    case Dtype::u32:
      return f(std::uint32_t{});
    case Dtype::i32:
      return f(std::int32_t{});
    case Dtype::u64:
      return f(std::uint64_t{});
    case Dtype::i64:
      return f(std::int64_t{});
    case Dtype::f16:
      return f(Half{});
    case Dtype::bf16:
      return f(BFloat16{});
    case Dtype::f32:
      return f(float{});
    case Dtype::f64:
      break;
  }
  return f(double{});
}

template <FileNumber From>
constexpr auto widen(From from) noexcept {
  if constexpr (std::same_as<From, double>) {
    return from;
  } else {
    return static_cast<float>(from);
  }
}

/// Rounds where `To` has fewer bits. False when the number lies outside To's range, and for an integer that should
/// become a float or the reverse. Infinity and NaN stay what they are.
template <FileNumber To, FileNumber From>
constexpr bool convert_number(From from, To& to) noexcept {
  if constexpr (std::same_as<To, From>) {
    to = from;
    return true;
  } else if constexpr (std::integral<To> != std::integral<From>) {
    return false;
  } else if constexpr (std::integral<To>) {
    to = static_cast<To>(from);
    return std::in_range<To>(from);
  } else {
    const auto wide = widen(from);
    if constexpr (std::same_as<To, double>) {
      to = wide;
    } else {
      to = static_cast<To>(static_cast<float>(wide));
    }
    return std::isfinite(widen(to)) == std::isfinite(wide);
  }
}

}  // namespace detail

/// Whether every number in `bytes` has a place in To. Floating dtypes go into floating types, integers into integers.
template <FileNumber To>
[[nodiscard]] bool fits_type(Dtype dtype, std::span<const std::byte> bytes) noexcept {
  return detail::with_number_type(dtype, [bytes](auto number) {
    using From = decltype(number);
    if constexpr (std::same_as<From, To>) return true;
    if constexpr (std::integral<From> != std::integral<To>) return false;
    for (std::size_t at = 0; at + sizeof(From) <= bytes.size(); at += sizeof(From)) {
      To to{};
      std::memcpy(&number, bytes.data() + at, sizeof(From));
      if (!detail::convert_number(number, to)) return false;
    }
    return true;
  });
}

/// Converts numbers for which `fits_type` holds; `to` has room for as many as `bytes` holds.
template <FileNumber To>
void convert_numbers(Dtype dtype, std::span<const std::byte> bytes, To* to) noexcept {
  detail::with_number_type(dtype, [bytes, to](auto number) {
    using From = decltype(number);
    const std::size_t count = bytes.size() / sizeof(From);
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(&number, bytes.data() + i * sizeof(From), sizeof(From));
      static_cast<void>(detail::convert_number(number, to[i]));
    }
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
