#pragma once

#include <algorithm>
#include <memory>
#include <stepscan/core/extent.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/view.hpp>
#include <type_traits>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// How far apart workers' parts of one memory begin that use `count` numbers each: a page lies between, for what a core
/// foresees of the memory it works on must not be what another core is writing.
template <class T>
[[nodiscard]] constexpr Index worker_stride(Index count) noexcept {
  constexpr Index page = 4096, alignment = static_cast<Index>(tensor_alignment), size = static_cast<Index>(sizeof(T));
  return ((count * size + alignment - 1) / alignment * alignment + page) / size;
}

/// Scratch memory for scans, handed out like a stack. It grows when a scan needs more than it holds; after that
/// growth, scans of the same or a smaller size allocate nothing. One workspace serves one thread at a time and holds
/// nothing that has to live between calls.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(std::size_t bytes) { blocks_.emplace_back(static_cast<Index>(bytes)); }

  /// Returns what was taken since it was made when it goes out of scope.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) noexcept
        : workspace_(workspace), block_(workspace.block_), used_(workspace.used_) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() {
      workspace_.block_ = block_;
      workspace_.used_ = used_;
      if (block_ == 0 && used_ == 0) workspace_.merge_blocks();
    }

   private:
    Workspace& workspace_;
    std::size_t block_;
    Index used_;
  };

  /// Uninitialised memory for `count` numbers, aligned for SIMD, valid until the enclosing Scope ends.
  template <class T>
  [[nodiscard]] T* take(Index count) {
    constexpr Index alignment = static_cast<Index>(tensor_alignment);
    const Index bytes = (count * static_cast<Index>(sizeof(T)) + alignment - 1) / alignment * alignment;
    while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].size()) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) blocks_.emplace_back(std::max(bytes, 2 * capacity()));
    std::byte* memory = blocks_[block_].data() + used_;
    used_ += bytes;
    return reinterpret_cast<T*>(memory);
  }

  /// An uninitialised matrix.
  template <class T, Index Cols = Dynamic>
  [[nodiscard]] MatrixView<T, Dynamic, Cols> matrix(Index rows, Extent<Cols> cols) {
    return {take<T>(rows * cols), rows, cols};
  }

  /// An uninitialised sequence of the same batch, time and lengths as `like`.
  template <class T, Index Features, class U, Index F>
  [[nodiscard]] SequenceView<T, Features> sequence(const SequenceView<U, F>& like, Extent<Features> features) {
    SequenceView<T, Features> view(take<T>(like.batch * like.time * features), like.batch, like.time, features);
    view.lengths = like.lengths;
    view.start = like.start;
    return view;
  }

  /// `count` objects, each made of these arguments; they are never destroyed.
  template <class T, class... Arguments>
  [[nodiscard]] T* make(Index count, Arguments&&... arguments) {
    static_assert(std::is_trivially_destructible_v<T>);
    T* const objects = take<T>(count);
    for (Index i = 0; i < count; ++i) std::construct_at(objects + i, arguments...);
    return objects;
  }

  /// A second workspace, for a thread that works beside this one's; it lives as long as this one.
  [[nodiscard]] Workspace& sibling() {
    if (sibling_.empty()) sibling_.emplace_back();
    return sibling_.front();
  }

  /// Bytes held, those of the sibling left out.
  [[nodiscard]] Index capacity() const noexcept {
    Index bytes = 0;
    for (const auto& block : blocks_) bytes += block.size();
    return bytes;
  }

 private:
  void merge_blocks() {
    if (blocks_.size() < 2) return;
    const Index bytes = capacity();
    blocks_.clear();
    blocks_.emplace_back(bytes);
  }

  std::vector<Tensor<std::byte, Dynamic>> blocks_;
  std::vector<Workspace> sibling_;
  std::size_t block_ = 0;
  Index used_ = 0;
};

/// Scratch that lives beside a state so that `step` needs no memory of its own. It is no part of the state's value:
/// a copy has the same size and undefined content.
template <class T>
class Scratch {
 public:
  Scratch() = default;
  explicit Scratch(Index size) : memory_(size) {}
  Scratch(const Scratch& other) : memory_(other.memory_.size()) {}
  Scratch(Scratch&&) noexcept = default;
  Scratch& operator=(const Scratch& other) {
    if (memory_.size() != other.memory_.size()) memory_ = Tensor<T, Dynamic>(other.memory_.size());
    return *this;
  }
  Scratch& operator=(Scratch&&) noexcept = default;
  ~Scratch() = default;

  [[nodiscard]] T* data() noexcept { return memory_.data(); }
  [[nodiscard]] Index size() const noexcept { return memory_.size(); }

 private:
  Tensor<T, Dynamic> memory_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
