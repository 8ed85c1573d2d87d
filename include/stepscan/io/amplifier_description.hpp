#pragma once

#include <optional>
#include <stepscan/core/config.hpp>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// The recurrence of an amplifier model.
enum class AmplifierCell {
  lstm,  ///< gates i, f, g, o; c' = f c + i g, h' = o tanh(c')
  gru    ///< gates r, z, n; n = tanh(W x + b + r (U h + b_hn)), h' = (1 - z) n + z h
};

/// One recurrent layer of G gates (LSTM 4, GRU 3), I inputs (the model's for the first layer, then H) and H units. All
/// matrices are row-major, their rows in blocks of H, one block a gate, in the order of AmplifierCell.
struct AmplifierLayer {
  std::vector<float> weight_ih;  ///< [G H, I]
  std::vector<float> weight_hh;  ///< [G H, H]
  std::vector<float> bias_ih;    ///< [G H]
  std::vector<float> bias_hh;    ///< [G H]
  std::vector<float> initial_h;  ///< [H]
  std::vector<float> initial_c;  ///< [H]; empty for a GRU
};

/// A guitar amplifier or pedal as a recurrent network, as read from a file: per sample y = head_weight h + head_bias,
/// plus the first input where `skip` is set, with h the last layer's output. All lengths are checked, all numbers
/// finite.
struct AmplifierDescription {
  AmplifierCell cell = AmplifierCell::lstm;
  Index input_size = 1;  ///< 1: audio; more: audio and the positions of knobs
  Index hidden_size = 0;
  bool skip = false;
  std::optional<double> sample_rate;  ///< Hz, where the file says
  std::vector<AmplifierLayer> layers;
  std::vector<float> head_weight;  ///< [H]
  float head_bias = 0;
};

namespace detail {

/// Larger sizes are refused before anything is computed from them.
inline constexpr Index most_amplifier_units = 65536;
inline constexpr Index most_amplifier_layers = 64;

/// The largest model file that is read, in bytes.
inline constexpr std::size_t largest_amplifier_file = std::size_t{64} << 20;

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
