#pragma once

#include <stepscan/core/error.hpp>
#include <stepscan/core/fields.hpp>
#include <stepscan/ops/vectors.hpp>
#include <string>

/// Arithmetic on whole trees of numbers: gradients, models.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Throws ShapeError, naming the first parameter whose shape differs from that in `like`.
template <class T, class... Ts>
void check_same_shapes(const char* who, const T& like, const Ts&... others) {
  for_each_tensor(
      [&](const Path& path, const auto& expected, const auto&... found) {
        const auto check = [&](const auto& tensor) {
          if (tensor.shape() == expected.shape()) return;
          fail<ShapeError>(std::string(who) + ": expected " + path.str() + " of shape " + shape_text(expected.shape()) +
                           ", found " + shape_text(tensor.shape()));
        };
        (check(found), ...);
      },
      like, others...);
}

}  // namespace detail

/// Every number of the tree times a factor.
template <Tree T>
void scale_tree(T& tree, double factor) {
  for_each_tensor(
      [&](const Path&, auto& tensor) {
        using S = typename std::remove_cvref_t<decltype(tensor)>::value_type;
        for_each_block(tensor.size(), [&](Index first, Index count) {
          scale_numbers(count, static_cast<S>(factor), tensor.data() + first);
        });
      },
      tree);
}

/// to = a to + b from. Throws ShapeError when shapes differ.
template <Tree T>
void blend_tree(T& to, double a, double b, const T& from) {
  detail::check_same_shapes("blend_tree", to, from);
  for_each_tensor(
      [&](const Path&, auto& y, const auto& x) {
        using S = typename std::remove_cvref_t<decltype(y)>::value_type;
        for_each_block(y.size(), [&](Index first, Index count) {
          blend_numbers(count, static_cast<S>(a), static_cast<S>(b), x.data() + first, y.data() + first);
        });
      },
      to, from);
}

/// Every number zero, for the next gradient.
template <Tree T>
void clear_tree(T& tree) {
  for_each_tensor([](const Path&, auto& tensor) { tensor.fill({}); }, tree);
}

}  // namespace stepscan::inline STEPSCAN_ISA
