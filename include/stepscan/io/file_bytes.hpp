#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/io/quote_name.hpp>
#include <string>
#include <system_error>

#if __has_include(<unistd.h>)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace stepscan::inline STEPSCAN_ISA::detail {

/// The content of a file, shared by all copies of this value.
struct FileBytes {
  std::shared_ptr<const std::byte[]> memory;
  std::size_t size = 0;

  [[nodiscard]] std::span<const std::byte> span() const noexcept { return {memory.get(), size}; }
};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { static_cast<void>(std::fclose(file)); }
};
using OpenFile = std::unique_ptr<std::FILE, CloseFile>;

[[nodiscard]] inline std::string errno_text() { return std::generic_category().message(errno); }

/// Reads a whole regular file. Throws FileError when it cannot be opened or read, is larger than `largest` bytes, or
/// does not fit into memory.
[[nodiscard]] inline FileBytes read_file(const std::filesystem::path& path,
                                         std::uintmax_t largest = std::numeric_limits<std::ptrdiff_t>::max()) {
  const std::string name = quote_name(path.string());
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) fail<FileError>("cannot open " + name + ": " + error.message());
  if (size > largest) {
    fail<FileError>(name + ": expected at most " + std::to_string(largest) + " bytes, found " + std::to_string(size));
  }
  const OpenFile file(std::fopen(path.string().c_str(), "rb"));
  if (file == nullptr) fail<FileError>("cannot open " + name + ": " + errno_text());

  const auto count = static_cast<std::size_t>(size);
  const std::shared_ptr<std::byte[]> memory(new (std::nothrow) std::byte[count]);
  if (memory == nullptr) fail<FileError>(name + ": no memory for its " + std::to_string(size) + " bytes");
  const std::size_t found = count == 0 ? 0 : std::fread(memory.get(), 1, count, file.get());
  if (found != count) {
    fail<FileError>(name + ": expected to read " + std::to_string(count) + " bytes, found " + std::to_string(found));
  }
  return {memory, count};
}

/// Creates a file of a name not in use yet, in the folder of `path`, so that a rename to `path` is atomic.
[[nodiscard]] inline OpenFile create_beside(const std::filesystem::path& path, std::filesystem::path& created) {
  constexpr int attempts = 1000;
  for (int i = 0; i < attempts; ++i) {
    created = path;
    created += ".partial" + std::to_string(i);
    OpenFile file(std::fopen(created.string().c_str(), "wbx"));
    if (file != nullptr || errno != EEXIST) return file;
  }
  return nullptr;
}

[[nodiscard]] inline bool write_pieces(std::FILE* file, std::span<const std::span<const std::byte>> pieces) noexcept {
  for (const auto& piece : pieces) {
    if (!piece.empty() && std::fwrite(piece.data(), 1, piece.size(), file) != piece.size()) return false;
  }
  if (std::fflush(file) != 0) return false;
#if __has_include(<unistd.h>)
  return ::fsync(::fileno(file)) == 0;
#else
  return true;
#endif
}

/// Sees to it that a file's new name in this folder outlives a power failure, where the system can tell.
inline void sync_folder([[maybe_unused]] const std::filesystem::path& folder) noexcept {
#if __has_include(<unistd.h>)
  const int handle = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY);
  if (handle < 0) return;
  static_cast<void>(::fsync(handle));
  static_cast<void>(::close(handle));
#endif
}

/// Writes the pieces one after another. The file of that name is the old one until all is on disk, then the new one:
/// no failure leaves half a file. Throws FileError when writing fails.
inline void write_file(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces) {
  std::filesystem::path partial;
  OpenFile file = create_beside(path, partial);
  if (file == nullptr) fail<FileError>("cannot create " + quote_name(path.string()) + ": " + errno_text());
  std::string reason;
  if (!write_pieces(file.get(), pieces)) reason = errno_text();
  if (std::fclose(file.release()) != 0 && reason.empty()) reason = errno_text();
  std::error_code error;
  if (reason.empty()) {
    std::filesystem::rename(partial, path, error);
    if (error) reason = error.message();
    sync_folder(path.parent_path());
  }
  if (!reason.empty()) {
    std::filesystem::remove(partial, error);
    fail<FileError>("cannot write " + quote_name(path.string()) + ": " + reason);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
