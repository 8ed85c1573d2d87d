#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <stepscan/core/tensor.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// The dotted name of a tensor in a tree, built while visiting without allocating: "encoder.0.weight_ih".
struct Path {
  const Path* parent = nullptr;
  std::string_view name;

  [[nodiscard]] std::string str() const {
    const std::string before = parent == nullptr ? std::string() : parent->str();
    if (before.empty() || name.empty()) return before + std::string(name);
    return before + "." + std::string(name);
  }
};

/// One named member of a tree: a pointer to member, or any callable from the tree to a reference. A member with an
/// empty name lends its own members' names to the tree.
template <class Projection>
struct Field {
  std::string_view name;
  Projection get;
};
template <class Projection>
Field(std::string_view, Projection) -> Field<Projection>;

namespace detail {

template <class T>
inline constexpr bool is_tensor = false;
template <class T, Index... Dims>
inline constexpr bool is_tensor<Tensor<T, Dims...>> = true;

template <class T>
inline constexpr bool is_tuple = false;
template <class... Ts>
inline constexpr bool is_tuple<std::tuple<Ts...>> = true;

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;
template <class T, std::size_t N>
inline constexpr bool is_list<std::array<T, N>> = true;

}  // namespace detail

/// A value made of named tensors: the parameters of a layer, a state. `fields()` returns a std::tuple of Field in a
/// fixed order; a field is a tensor, another tree, or a std::tuple, std::array or std::vector of trees (named 0, 1, ...).
template <class T>
concept Tree = requires { T::fields(); };
template <class... T>
concept Trees = (Tree<T> && ...);

namespace detail {

template <class F, class First, class... Rest>
void visit(const Path& path, F& f, First& first, Rest&... rest) {
  using T = std::remove_const_t<First>;
  if constexpr (is_tensor<T>) {
    f(path, first, rest...);
  } else if constexpr (is_tuple<T>) {
    const auto one = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      const std::string index = std::to_string(I);
      visit(Path{&path, index}, f, std::get<I>(first), std::get<I>(rest)...);
    };
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (one(std::integral_constant<std::size_t, I>{}), ...);
    }(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (is_list<T>) {
    for (std::size_t i = 0; i < first.size(); ++i) {
      const std::string index = std::to_string(i);
      visit(Path{&path, index}, f, first[i], rest[i]...);
    }
  } else {
    static_assert(Tree<T>, "stepscan: a field is a Tensor, a tree with fields(), or a tuple or vector of trees");
    const auto one = [&](const auto& field) {
      visit(Path{&path, field.name}, f, std::invoke(field.get, first), std::invoke(field.get, rest)...);
    };
    std::apply([&](const auto&... field) { (one(field), ...); }, T::fields());
  }
}

}  // namespace detail

/// Calls f(path, tensor, ...) for every tensor of one tree, or for the corresponding tensors of several trees of one
/// type, in declaration order.
template <class F, class First, class... Rest>
  requires(std::same_as<std::remove_const_t<First>, std::remove_const_t<Rest>> && ...)
void for_each_tensor(F&& f, First& tree, Rest&... more) {
  detail::visit(Path{}, f, tree, more...);
}

/// How many numbers a tree holds.
template <class T>
[[nodiscard]] Index element_count(const T& tree) {
  Index count = 0;
  for_each_tensor([&](const Path&, const auto& tensor) { count += tensor.size(); }, tree);
  return count;
}

/// A copy of the tree with every number zero: an empty gradient, a cleared state.
template <class T>
[[nodiscard]] T zeros_like(const T& tree) {
  T zeros = tree;
  for_each_tensor([](const Path&, auto& tensor) { tensor.fill({}); }, zeros);
  return zeros;
}

}  // namespace stepscan::inline STEPSCAN_ISA
