// libFuzzer target: any bytes as a safetensors file, and as weights of a small model. Whatever is refused must be
// refused with a FileError and leave the model alone; whatever is accepted must survive being written and read again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <stepscan/core/fields.hpp>
#include <stepscan/io/safetensors.hpp>
#include <tuple>

using namespace stepscan;

namespace {

struct Model {
  Tensor<float, 2, Dynamic> weight{2, 3};
  Tensor<double, 2> bias;
  Tensor<std::int32_t, 1> count;

  static constexpr auto fields() {
    return std::tuple{Field{"weight", &Model::weight}, Field{"bias", &Model::bias}, Field{"count", &Model::count}};
  }
  friend bool operator==(const Model&, const Model&) = default;
};

void require(bool condition) {
  if (!condition) std::abort();
}

void check_bounds(const SafetensorsFile& file, std::span<const std::byte> bytes) {
  std::size_t total = 0;
  for (const auto& [name, entry] : file.tensors()) {
    require(entry.bytes.data() >= bytes.data());
    require(entry.bytes.data() + entry.bytes.size() <= bytes.data() + bytes.size());
    std::size_t size = 0;
    require(detail::tensor_bytes(entry.dtype, entry.shape, size) && size == entry.bytes.size());
    total += size;
  }
  require(total <= bytes.size());
}

void check_rewriting(const TensorMap& tensors, const SafetensorsMetadata& metadata) {
  const auto order = detail::file_order(tensors);
  const std::string header = detail::write_header(order, metadata);
  std::vector<std::byte> written(std::as_bytes(std::span(header)).begin(), std::as_bytes(std::span(header)).end());
  for (const auto* tensor : order) {
    written.insert(written.end(), tensor->second.bytes.begin(), tensor->second.bytes.end());
  }
  const auto again = SafetensorsFile::parse(written);
  require(load_tensor_map(again) == tensors && again.metadata() == metadata);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = SafetensorsFile::parse(bytes);
    check_bounds(file, bytes);
    check_rewriting(load_tensor_map(file), file.metadata());
  } catch (const FileError&) {
  }

  Model model;
  try {
    load_safetensors(bytes, model);
  } catch (const FileError&) {
    require(model == Model{});
  }
  return 0;
}
