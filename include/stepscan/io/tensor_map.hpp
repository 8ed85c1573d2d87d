#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/io/dtype.hpp>
#include <stepscan/io/quote_name.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// A tensor that knows its dtype and shape only at run time; its numbers are row-major and little-endian.
struct NamedTensor {
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;
  std::vector<std::byte> bytes;

  friend bool operator==(const NamedTensor&, const NamedTensor&) = default;
};

/// Tensors by name: what a safetensors file holds, in memory.
using TensorMap = std::map<std::string, NamedTensor>;

namespace detail {

/// The bytes that a tensor of this dtype and shape takes, or false when a size is negative or the product overflows.
[[nodiscard]] inline bool tensor_bytes(Dtype dtype, std::span<const Index> shape, std::size_t& bytes) noexcept {
  bytes = dtype_bytes(dtype);
  for (const Index size : shape) {
    if (size < 0) return false;
    const auto factor = static_cast<std::size_t>(size);
    if (factor != 0 && bytes > static_cast<std::size_t>(-1) / factor) return false;
    bytes *= factor;
  }
  return true;
}

template <class Map>
[[nodiscard]] const auto& find_tensor(const Map& tensors, const std::string& name, const std::string& where) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) fail<FileError>(where + ": expected a tensor " + quote_name(name) + ", found none");
  return found->second;
}

/// Throws FileError when T cannot hold the tensor's numbers.
template <FileNumber T>
void require_type(Dtype dtype, std::span<const std::byte> bytes, const std::string& name, const std::string& where) {
  if (fits_type<T>(dtype, bytes)) return;
  if (is_floating(dtype) != is_floating(dtype_of<T>())) {
    fail<FileError>(where + ": tensor " + quote_name(name) + ": expected " +
                    (is_floating(dtype) ? "an integer dtype" : "a floating point dtype") + ", found " +
                    std::string(dtype_name(dtype)));
  }
  fail<FileError>(where + ": tensor " + quote_name(name) + ": expected numbers in the range of " +
                  std::string(dtype_name(dtype_of<T>())) + ", found one of " + std::string(dtype_name(dtype)) +
                  " outside it");
}

}  // namespace detail

/// The numbers of one tensor of a TensorMap or of a SafetensorsFile's tensors(), converted to T: F64, F32, F16 and BF16
/// to float or double, integers and BOOL to integers. Throws FileError, which names `where`, when there is no tensor of
/// that name, it is of the other kind, or a number lies outside T's range.
template <FileNumber T, class Map>
[[nodiscard]] std::vector<T> tensor_values(const Map& tensors, const std::string& name,
                                           const std::string& where = "tensors") {
  const auto& tensor = detail::find_tensor(tensors, name, where);
  detail::require_type<T>(tensor.dtype, tensor.bytes, name, where);
  std::vector<T> values(tensor.bytes.size() / dtype_bytes(tensor.dtype));
  convert_numbers(tensor.dtype, tensor.bytes, values.data());
  return values;
}

/// Puts a copy of the numbers under that name, as dtype_of<T>(), in place of what was there. Throws ArgumentError when
/// the shape does not hold as many numbers as there are.
template <FileNumber T>
void set_tensor(TensorMap& tensors, const std::string& name, std::vector<Index> shape, std::span<const T> values) {
  std::size_t bytes = 0;
  if (!detail::tensor_bytes(dtype_of<T>(), shape, bytes) || bytes != values.size_bytes()) {
    fail<ArgumentError>("tensor " + detail::quote_name(name) + ": expected as many numbers as shape " +
                        shape_text(shape) + " holds, found " + std::to_string(values.size()));
  }
  const auto content = std::as_bytes(values);
  tensors[name] = {dtype_of<T>(), std::move(shape), {content.begin(), content.end()}};
}

}  // namespace stepscan::inline STEPSCAN_ISA
