#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <stepscan/core/error.hpp>
#include <string>
#include <string_view>
#include <vector>

/// What the tests of io/ share.
namespace stepscan_test {

/// A folder of its own that goes away with this value.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::random_device entropy;
    do {
      path_ = std::filesystem::temp_directory_path() / ("stepscan-test-" + std::to_string(entropy()));
    } while (!std::filesystem::create_directory(path_));
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// A safetensors file of this header, as it stands, and this many bytes of data.
inline std::vector<std::byte> safetensors_of(std::string_view header, std::size_t data_bytes = 0) {
  const auto length = static_cast<std::uint64_t>(header.size());
  std::vector<std::byte> file(sizeof(length) + header.size() + data_bytes);
  std::memcpy(file.data(), &length, sizeof(length));
  if (!header.empty()) std::memcpy(file.data() + sizeof(length), header.data(), header.size());
  return file;
}

inline void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The message of the E that the action throws, or "nothing thrown". Other exceptions pass.
template <class E, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace stepscan_test
