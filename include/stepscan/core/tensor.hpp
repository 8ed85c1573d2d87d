#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/core/extent.hpp>
#include <type_traits>
#include <utility>

namespace stepscan::inline STEPSCAN_ISA {

/// Memory of a Tensor starts at a multiple of this, enough for any SIMD register and one cache line.
inline constexpr std::size_t tensor_alignment = 64;

/// A static tensor up to this many bytes lives inside its object; larger ones and dynamic ones live on the heap.
inline constexpr std::size_t tensor_inline_bytes = 4096;

namespace detail {

template <class T, std::size_t N>
struct InlineStorage {
  alignas(tensor_alignment) std::array<T, N> values{};

  T* data() noexcept { return values.data(); }
  const T* data() const noexcept { return values.data(); }
  static constexpr std::size_t size() noexcept { return N; }
};

/// Owning, aligned, zero-initialised. Assignment between equal sizes copies in place and allocates nothing.
template <class T>
class HeapStorage {
 public:
  HeapStorage() = default;
  explicit HeapStorage(std::size_t size) : values_(allocate(size)), size_(size) {
    std::uninitialized_value_construct_n(values_.get(), size);
  }
  HeapStorage(const HeapStorage& other) : values_(allocate(other.size_)), size_(other.size_) {
    std::uninitialized_copy_n(other.data(), size_, values_.get());
  }
  HeapStorage(HeapStorage&& other) noexcept : values_(std::move(other.values_)), size_(std::exchange(other.size_, 0)) {}
  HeapStorage& operator=(const HeapStorage& other) {
    if (size_ == other.size_) {
      if (this != &other) std::copy_n(other.data(), size_, data());
    } else {
      *this = HeapStorage(other);
    }
    return *this;
  }
  HeapStorage& operator=(HeapStorage&& other) noexcept {
    values_ = std::move(other.values_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~HeapStorage() = default;

  T* data() noexcept { return values_.get(); }
  const T* data() const noexcept { return values_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Release {
    void operator()(T* p) const noexcept { ::operator delete(p, std::align_val_t{tensor_alignment}); }
  };
  using Pointer = std::unique_ptr<T[], Release>;

  static Pointer allocate(std::size_t size) {
    if (size == 0) return nullptr;
    return Pointer(static_cast<T*>(::operator new(size * sizeof(T), std::align_val_t{tensor_alignment})));
  }

  Pointer values_;
  std::size_t size_ = 0;
};

constexpr Index static_size(std::initializer_list<Index> dims) {
  Index size = 1;
  for (const Index d : dims) size = static_product(size, d);
  return size;
}

template <class T, Index Size>
using TensorStorage =
    std::conditional_t<(Size != Dynamic && static_cast<std::size_t>(Size) * sizeof(T) <= tensor_inline_bytes),
                       InlineStorage<T, static_cast<std::size_t>(Size == Dynamic ? 0 : Size)>, HeapStorage<T>>;

}  // namespace detail

/// An owning, row-major array of T with extents that are static or Dynamic, zero-initialised. A small static tensor is
/// trivially copyable.
template <class T, Index... Dims>
class Tensor {
  static_assert(std::is_trivially_copyable_v<T>, "stepscan: a Tensor holds plain numbers");
  using Storage = detail::TensorStorage<T, detail::static_size({Dims...})>;
  static constexpr bool is_static = ((Dims != Dynamic) && ...);
  static constexpr bool on_heap = std::is_same_v<Storage, detail::HeapStorage<T>>;

 public:
  using value_type = T;
  static constexpr std::size_t rank = sizeof...(Dims);
  using Shape = std::array<Index, rank>;
  static constexpr Shape static_shape{Dims...};
  static constexpr std::size_t dynamic_extents = ((Dims == Dynamic ? std::size_t{1} : std::size_t{0}) + ... + 0);

  /// All elements zero; Dynamic extents are 0.
  Tensor() {
    if constexpr (is_static && on_heap) storage_ = Storage(flat_size(static_shape));
  }

  /// One size per extent, or one per Dynamic extent. Throws ShapeError when a size is negative or differs from a static
  /// extent, or when no address space holds them all.
  template <std::convertible_to<Index>... Sizes>
  explicit Tensor(Sizes... sizes) requires(rank > 0 && (sizeof...(Sizes) == rank ||
                                                        (sizeof...(Sizes) > 0 && sizeof...(Sizes) == dynamic_extents)))
      : Tensor(full_shape({static_cast<Index>(sizes)...})) {}

  explicit Tensor(const Shape& shape) : shape_(check(shape)) {
    if constexpr (on_heap) storage_ = Storage(flat_size(shape));
  }

  [[nodiscard]] Shape shape() const noexcept {
    if constexpr (is_static) {
      return static_shape;
    } else {
      return shape_.sizes;
    }
  }
  [[nodiscard]] Index extent(std::size_t axis) const noexcept { return shape()[axis]; }
  [[nodiscard]] Index size() const noexcept { return static_cast<Index>(storage_.size()); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  [[nodiscard]] T* data() noexcept { return storage_.data(); }
  [[nodiscard]] const T* data() const noexcept { return storage_.data(); }
  [[nodiscard]] T* begin() noexcept { return data(); }
  [[nodiscard]] T* end() noexcept { return data() + size(); }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size(); }
  [[nodiscard]] std::span<T> span() noexcept { return {data(), static_cast<std::size_t>(size())}; }
  [[nodiscard]] std::span<const T> span() const noexcept { return {data(), static_cast<std::size_t>(size())}; }

  /// The element at a flat, row-major position.
  T& operator[](Index i) noexcept { return data()[i]; }
  const T& operator[](Index i) const noexcept { return data()[i]; }

  /// The element at one position per extent.
  template <std::convertible_to<Index>... At>
  T& operator()(At... at) noexcept requires(sizeof...(At) == sizeof...(Dims)) {
    return data()[flat_index({static_cast<Index>(at)...})];
  }
  template <std::convertible_to<Index>... At>
  const T& operator()(At... at) const noexcept requires(sizeof...(At) == sizeof...(Dims)) {
    return data()[flat_index({static_cast<Index>(at)...})];
  }

  void fill(T value) noexcept { std::fill(begin(), end(), value); }

  friend bool operator==(const Tensor& a, const Tensor& b) noexcept {
    return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  struct NoShape {
    constexpr NoShape() = default;
    constexpr explicit NoShape(const Shape&) {}
  };
  struct HeldShape {
    Shape sizes = dynamic_as_zero();
    HeldShape() = default;
    explicit HeldShape(const Shape& shape) : sizes(shape) {}
  };

  static constexpr Shape dynamic_as_zero() {
    Shape sizes = static_shape;
    for (Index& n : sizes) n = std::max<Index>(n, 0);
    return sizes;
  }

  static constexpr Shape full_shape(std::initializer_list<Index> sizes) {
    Shape shape = static_shape;
    const Index* next = sizes.begin();
    for (Index& n : shape) {
      if (sizes.size() == rank || n == Dynamic) n = *next++;
    }
    return shape;
  }

  static const Shape& check(const Shape& shape) {
    bool fits = true;
    for (std::size_t i = 0; i < rank; ++i) fits = fits && shape[i] >= 0 && compatible(static_shape[i], shape[i]);
    if (!fits) {
      fail<ShapeError>("expected a tensor of shape " + shape_text(static_shape) + " (-1 is any size), found " +
                       shape_text(shape));
    }
    return shape;
  }

  static constexpr std::size_t flat_size(const Shape& shape) {
    std::size_t size = 1;
    std::size_t room = static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(T);
    for (const Index n : shape) {
      size *= static_cast<std::size_t>(n);
      room /= static_cast<std::size_t>(std::max<Index>(n, 1));
    }
    if (room == 0) fail<ShapeError>("expected a tensor that fits into memory, found shape " + shape_text(shape));
    return size;
  }

  [[nodiscard]] Index flat_index(const Shape& at) const noexcept {
    const Shape sizes = shape();
    Index index = 0;
    for (std::size_t i = 0; i < rank; ++i) {
      STEPSCAN_ASSERT(at[i] >= 0 && at[i] < sizes[i]);
      index = index * sizes[i] + at[i];
    }
    return index;
  }

  [[no_unique_address]] std::conditional_t<is_static, NoShape, HeldShape> shape_;
  Storage storage_;
};

/// Gives a tensor this shape, all elements zero; one that has the shape already keeps its elements.
template <class T, Index... Dims>
void resize(Tensor<T, Dims...>& tensor, const typename Tensor<T, Dims...>::Shape& shape) {
  if (tensor.shape() != shape) tensor = Tensor<T, Dims...>(shape);
}

/// Memory for `size` elements in a tensor, which grows where it has fewer and then loses them.
template <class T>
[[nodiscard]] T* room_in(Tensor<T, Dynamic>& tensor, Index size) {
  if (tensor.size() < size) tensor = Tensor<T, Dynamic>(size);
  return tensor.data();
}

}  // namespace stepscan::inline STEPSCAN_ISA
