#pragma once

#include <cstdint>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/half.hpp>
#include <stepscan/ops/attention_step.hpp>
#include <stepscan/ops/kept_tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The keys and values that queries still see: k [batch, capacity, kv_heads, key_dim], v [batch, capacity, kv_heads,
/// value_dim], and how many tokens came in, length [batch]. Which of them are kept, and in which rows: KeptTokens.
/// Numbers are S, or float rounded to 16 bits: half the memory, and half the bytes that a step reads.
template <Scalar S, Index KvHeads, Index KeyDim, Index ValueDim, StoredFor<S> Stored = S>
struct KeyValueCache {
  Tensor<Stored, Dynamic, Dynamic, KvHeads, KeyDim> keys;
  Tensor<Stored, Dynamic, Dynamic, KvHeads, ValueDim> values;
  Tensor<std::int64_t, Dynamic> length;
  Scratch<S> scratch;  ///< of one step
  static constexpr auto fields() {
    return std::tuple{Field{"k", &KeyValueCache::keys}, Field{"v", &KeyValueCache::values},
                      Field{"length", &KeyValueCache::length}};
  }

  KeyValueCache() = default;
  KeyValueCache(Index batch, Index capacity, const AttentionSizes& n)
      : keys(batch, capacity, n.kv_heads, n.key_dim),
        values(batch, capacity, n.kv_heads, n.value_dim),
        length(batch),
        scratch(detail::attention_step_size(n)) {}

  [[nodiscard]] Index capacity() const noexcept { return keys.extent(1); }
  /// The tokens of a batch member that are kept.
  [[nodiscard]] KeptTokens kept(Index b, Index sinks) const noexcept {
    return {static_cast<Index>(length[b]), capacity(), sinks};
  }

  /// How far rows lie behind the last token that came in.
  [[nodiscard]] KeyRuns runs(Index b, Index sinks) const noexcept {
    const KeptTokens all = kept(b, sinks);
    const Index last = all.seen - 1, row = all.row_of(last);
    return {{{sinks, last}, {row + 1, row}, {capacity(), row + capacity() - sinks}}};
  }

  [[nodiscard]] Stored* key(Index b, Index row) noexcept { return row_in(keys, b, row); }
  [[nodiscard]] Stored* value(Index b, Index row) noexcept { return row_in(values, b, row); }
  [[nodiscard]] const Stored* key(Index b, Index row) const noexcept { return row_in(keys, b, row); }
  [[nodiscard]] const Stored* value(Index b, Index row) const noexcept { return row_in(values, b, row); }
  [[nodiscard]] Index key_size() const noexcept { return keys.extent(2) * keys.extent(3); }
  [[nodiscard]] Index value_size() const noexcept { return values.extent(2) * values.extent(3); }

  [[nodiscard]] bool has_shape_of(const KeyValueCache& other) const noexcept {
    return keys.shape() == other.keys.shape() && values.shape() == other.values.shape();
  }
  /// Becomes a cache that keeps the same tokens; rows with nothing in them may differ.
  void keep_what(const KeyValueCache& other, Index sinks) {
    if (!has_shape_of(other)) {
      *this = other;
      return;
    }
    length = other.length;
    for (Index b = 0; b < length.size(); ++b) {
      const Index rows = kept(b, sinks).count();
      std::copy_n(other.key(b, 0), rows * key_size(), key(b, 0));
      std::copy_n(other.value(b, 0), rows * value_size(), value(b, 0));
    }
  }

  /// Keeps one token, in the place of one that is no longer seen.
  template <class Number>
  void append(Index b, Index sinks, const Number* new_key, const Number* new_value) noexcept {
    const KeptTokens before = kept(b, sinks);
    const Index row = before.row_of(before.seen);
    convert_row(new_key, key_size(), key(b, row));
    convert_row(new_value, value_size(), value(b, row));
    ++length[b];
  }

 private:
  template <class T>
  static auto row_in(T& tensor, Index b, Index row) noexcept {
    return tensor.data() + (b * tensor.extent(1) + row) * tensor.extent(2) * tensor.extent(3);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
