#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "support.hpp"

namespace bench {

/// The states of all heads as a library of tensors works on them: each operation passes all of them, through memory,
/// before the next one starts.
class MatrixStates {
 public:
  MatrixStates(Index heads, Index keys, Index values)
      : heads_(heads), keys_(keys), values_(values), state_(heads * keys, values), update_(heads * keys, values) {}

  /// S = exp(g) * S, with so many log decays: one per head, or one per head and key channel.
  void decay(const float* g, Index decays) {
    const Index numbers = state_.size() / decays;
    for (Index i = 0; i < decays; ++i) {
      const float factor = std::exp(g[i]);
      for (Index j = 0; j < numbers; ++j) state_[i * numbers + j] *= factor;
    }
  }

  /// U = k v^T; S = S + U
  void add(const float* k, const float* v) {
    for (Index r = 0; r < heads_ * keys_; ++r) {
      for (Index j = 0; j < values_; ++j) update_(r, j) = k[r] * v[r / keys_ * values_ + j];
    }
    for (Index i = 0; i < state_.size(); ++i) state_[i] += update_[i];
  }

  /// The delta rule: S = S + k (beta (v - S^T k))^T
  void correct(const float* k, const float* v, const float* beta) {
    std::vector<float> error(static_cast<std::size_t>(heads_ * values_));
    read(k, 1, error.data());
    for (Index h = 0; h < heads_; ++h) {
      for (Index i = h * values_; i < (h + 1) * values_; ++i) {
        float& e = error[static_cast<std::size_t>(i)];
        e = beta[h] * (v[i] - e);
      }
    }
    add(k, error.data());
  }

  /// y = scale S^T q
  void read(const float* q, float scale, float* y) const {
    std::fill_n(y, heads_ * values_, 0.0F);
    for (Index r = 0; r < heads_ * keys_; ++r) {
      for (Index j = 0; j < values_; ++j) y[r / keys_ * values_ + j] += scale * q[r] * state_(r, j);
    }
  }

  /// Rows of keys or queries, each divided by sqrt(|x|^2 + 1e-6).
  [[nodiscard]] std::vector<float> unit_length(const float* x) const {
    std::vector<float> unit(x, x + heads_ * keys_);
    for (auto row = unit.begin(); row != unit.end(); row += keys_) {
      const float length = std::sqrt(std::inner_product(row, row + keys_, row, 1e-6F));
      for (auto i = row; i != row + keys_; ++i) *i /= length;
    }
    return unit;
  }

 private:
  Index heads_, keys_, values_;
  Tensor<float, Dynamic, Dynamic> state_, update_;
};

}  // namespace bench
