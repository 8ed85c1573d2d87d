#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <stepscan/core/fields.hpp>
#include <string_view>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// Whether weight decay applies to a parameter, by its path ("1.weight_hh") and its number of extents.
using DecayRule = std::function<bool(std::string_view path, std::size_t rank)>;

/// Weight decay on every parameter.
[[nodiscard]] inline bool decay_everywhere(std::string_view, std::size_t) noexcept { return true; }

/// Weight decay on matrices alone, as is usual: not on vectors (biases, gains of norms), not on anything that is named
/// a bias, and not on what fixes the dynamics of a state space: A, B, D, P, Lambda, step sizes and all that is kept as
/// a logarithm, whose zero means nothing (the authors of S4, S5, LRU and Mamba leave these out).
[[nodiscard]] inline bool decay_matrices(std::string_view path, std::size_t rank) noexcept {
  constexpr std::array<std::string_view, 6> dynamics{"A", "A_im", "B", "D", "P", "Lambda"};
  if (rank < 2) return false;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('.'));
    const bool bias = name.find("bias") != std::string_view::npos;
    const bool logarithm = name.starts_with("log_") || name.ends_with("_log");
    if (bias || logarithm || std::find(dynamics.begin(), dynamics.end(), name) != dynamics.end()) return false;
    path.remove_prefix(std::min(name.size() + 1, path.size()));
  }
  return true;
}

namespace detail {

/// For every parameter in their order, whether it decays.
template <class Model>
[[nodiscard]] std::vector<bool> decaying_parameters(const Model& model, const DecayRule& rule) {
  std::vector<bool> decays;
  for_each_tensor(
      [&](const Path& path, const auto& parameter) {
        decays.push_back(rule(path.str(), std::remove_cvref_t<decltype(parameter)>::rank));
      },
      model);
  return decays;
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
