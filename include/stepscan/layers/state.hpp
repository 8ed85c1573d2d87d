#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <stepscan/core/fields.hpp>
#include <string>
#include <vector>

/// What can be done with any state, for a state is a tree of tensors [batch, ...]: save it to bytes and restore it bit
/// for bit, keep the last few for rollback, pick rows of the batch for beam search.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Stands before the numbers of a snapshot, which follow tensor after tensor in the machine's byte order.
struct SnapshotHeader {
  static constexpr std::uint64_t expected_magic = 0x3154535F4E414353;  ///< "SCAN_ST1", also tells the byte order
  static constexpr std::uint32_t expected_version = 1;

  std::uint64_t magic = expected_magic;
  std::uint32_t version = expected_version;
  std::uint32_t scalar_size = 0;  ///< bytes of one number
  std::uint64_t layout = 0;       ///< hash of names and shapes
  std::uint64_t bytes = 0;        ///< of the numbers
};
static_assert(sizeof(SnapshotHeader) == 32);

/// The FNV-1a hash of a run of bytes, going on from an earlier one.
inline std::uint64_t hash_bytes(std::uint64_t hash, const void* data, std::size_t size) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001B3;
  return hash;
}

template <class State>
SnapshotHeader snapshot_header(const State& state) {
  SnapshotHeader header;
  header.layout = 0xCBF29CE484222325;
  for_each_tensor(
      [&](const Path& path, const auto& tensor) {
        const std::string name = path.str();
        const auto shape = tensor.shape();
        header.scalar_size = sizeof(tensor[0]);
        header.layout = hash_bytes(header.layout, name.c_str(), name.size() + 1);
        for (const Index n : shape) {
          const auto size = static_cast<std::uint64_t>(n);
          header.layout = hash_bytes(header.layout, &size, sizeof(size));
        }
        header.bytes += tensor.span().size_bytes();
      },
      state);
  return header;
}

/// "h [2, 8] c [2, 8]", for messages.
template <class State>
std::string layout_text(const State& state) {
  std::string text;
  for_each_tensor(
      [&](const Path& path, const auto& tensor) {
        text += (text.empty() ? "" : " ") + path.str() + " " + shape_text(tensor.shape());
      },
      state);
  return text;
}

}  // namespace detail

/// Bytes that a snapshot of this state takes.
template <class State>
[[nodiscard]] std::size_t snapshot_size(const State& state) {
  return sizeof(detail::SnapshotHeader) + static_cast<std::size_t>(detail::snapshot_header(state).bytes);
}

/// Writes the state to exactly snapshot_size(state) bytes. Throws ArgumentError when there are fewer or more.
template <class State>
void snapshot(const State& state, std::span<std::byte> bytes) {
  const detail::SnapshotHeader header = detail::snapshot_header(state);
  const std::size_t size = sizeof(header) + static_cast<std::size_t>(header.bytes);
  if (bytes.size() != size) {
    fail<ArgumentError>("snapshot: expected room for " + std::to_string(size) + " bytes, found " +
                        std::to_string(bytes.size()));
  }
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::byte* to = bytes.data() + sizeof(header);
  for_each_tensor(
      [&](const Path&, const auto& tensor) {
        const auto values = std::as_bytes(tensor.span());
        to = std::copy(values.begin(), values.end(), to);
      },
      state);
}

template <class State>
[[nodiscard]] std::vector<std::byte> snapshot(const State& state) {
  std::vector<std::byte> bytes(snapshot_size(state));
  snapshot(state, bytes);
  return bytes;
}

/// Reads a snapshot back into a state of the same layer and batch, bit for bit. Throws ShapeError, and leaves the state
/// as it was, when the bytes are no snapshot of such a state.
template <class State>
void restore(std::span<const std::byte> bytes, State& state) {
  const detail::SnapshotHeader expected = detail::snapshot_header(state);
  detail::SnapshotHeader found;
  const auto require = [&](bool fits, const char* what, std::uint64_t wanted, std::uint64_t is) {
    if (!fits) {
      fail<ShapeError>("restore: expected " + std::string(what) + " " + std::to_string(wanted) + ", found " +
                       std::to_string(is) + ", for the state " + detail::layout_text(state));
    }
  };
  const std::size_t size = sizeof(expected) + static_cast<std::size_t>(expected.bytes);
  require(bytes.size() >= sizeof(found), "bytes:", size, bytes.size());
  std::memcpy(&found, bytes.data(), sizeof(found));
  require(found.magic == expected.magic, "a snapshot's first bytes to be", expected.magic, found.magic);
  require(found.version == expected.version, "version", expected.version, found.version);
  require(found.scalar_size == expected.scalar_size, "numbers of bytes:", expected.scalar_size, found.scalar_size);
  require(found.layout == expected.layout, "names and shapes of hash", expected.layout, found.layout);
  require(bytes.size() == size && found.bytes == expected.bytes, "bytes:", size, bytes.size());
  const std::byte* from = bytes.data() + sizeof(found);
  for_each_tensor(
      [&](const Path&, auto& tensor) {
        const auto values = std::as_writable_bytes(tensor.span());
        std::copy_n(from, values.size(), values.begin());
        from += values.size();
      },
      state);
}

/// The last K states, for undo and speculative decoding. Allocates when it is made, never after.
template <class State, std::size_t K>
class StateRing {
  static_assert(K > 0);

 public:
  /// Room for K states of the shape of this one.
  explicit StateRing(const State& like) : states_(K, like) {}

  /// States held, at most K.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Keeps a copy; the oldest one goes when K are held.
  void push(const State& state) {
    states_[next_] = state;
    next_ = (next_ + 1) % K;
    size_ = std::min(size_ + 1, K);
  }

  /// Undoes the last n pushes: `state` becomes what the n-th last push kept, and those n leave the ring. n = 0 does
  /// nothing. Throws ArgumentError when fewer than n are held.
  void rollback(std::size_t n, State& state) {
    if (n > size_) {
      fail<ArgumentError>("StateRing: expected to roll back at most " + std::to_string(size_) + " states, found " +
                          std::to_string(n));
    }
    if (n == 0) return;
    next_ = (next_ + K - n) % K;
    size_ -= n;
    state = states_[next_];
  }

  void clear() noexcept { size_ = 0; }

 private:
  std::vector<State> states_;
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

namespace detail {

template <class T>
Index row_size(const T& tensor) noexcept {
  return tensor.extent(0) > 0 ? tensor.size() / tensor.extent(0) : 0;
}

/// Throws unless rows of one state fit into the other and lie within both.
template <class State>
void check_rows(const State& from, Index from_row, const State& to, Index to_row) {
  for_each_tensor(
      [&](const Path& path, const auto& source, const auto& target) {
        auto from_shape = source.shape(), to_shape = target.shape();
        if (from_row < 0 || from_row >= from_shape[0] || to_row < 0 || to_row >= to_shape[0]) {
          fail<ArgumentError>("copy_row: expected rows below " + std::to_string(from_shape[0]) + " and " +
                              std::to_string(to_shape[0]) + " in " + path.str() + ", found " +
                              std::to_string(from_row) + " and " + std::to_string(to_row));
        }
        from_shape[0] = to_shape[0] = 0;
        if (from_shape != to_shape) {
          fail<ShapeError>("copy_row: expected rows of one shape in " + path.str() + ", found " +
                           shape_text(source.shape()) + " and " + shape_text(target.shape()));
        }
      },
      from, to);
}

template <class State>
void copy_checked_row(const State& from, Index from_row, State& to, Index to_row) noexcept {
  for_each_tensor(
      [&](const Path&, const auto& source, auto& target) {
        const Index size = row_size(source);
        if (source.data() == target.data() && from_row == to_row) return;
        std::copy_n(source.data() + from_row * size, size, target.data() + to_row * size);
      },
      from, to);
}

}  // namespace detail

/// Batch member `to_row` of one state becomes member `from_row` of another (or of the same). Throws ArgumentError when
/// a row does not exist, ShapeError when the rows differ in shape.
template <class State>
void copy_row(const State& from, Index from_row, State& to, Index to_row) {
  detail::check_rows(from, from_row, to, to_row);
  detail::copy_checked_row(from, from_row, to, to_row);
}

/// Batch member i of `to` becomes member rows[i] of `from`, another state: the surviving beams of a beam search. `to`
/// is a state for rows.size() members. Throws as copy_row does, before anything is written.
template <class State>
void select_rows(const State& from, std::span<const Index> rows, State& to) {
  for_each_tensor(
      [&](const Path& path, const auto& tensor) {
        if (tensor.extent(0) != static_cast<Index>(rows.size())) {
          fail<ShapeError>("select_rows: expected a state for a batch of " + std::to_string(rows.size()) + ", found " +
                           path.str() + " " + shape_text(tensor.shape()));
        }
      },
      to);
  for (std::size_t i = 0; i < rows.size(); ++i) detail::check_rows(from, rows[i], to, static_cast<Index>(i));
  for (std::size_t i = 0; i < rows.size(); ++i) detail::copy_checked_row(from, rows[i], to, static_cast<Index>(i));
}

}  // namespace stepscan::inline STEPSCAN_ISA
