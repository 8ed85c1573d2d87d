#include <algorithm>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/slstm.hpp>

#include "network.hpp"

std::vector<examples::Entry> examples::nonlinear_recurrences() {
  constexpr Index n = model_features;
  // Forget gates that start open (Gers et al. 2000): as PyTorch starts them, half of a cell is gone after every token.
  const auto remember = [](auto& lstm) { std::fill_n(lstm.bias_ih.data() + n, n, 1.0F); };
  return {
      entry(
          "LSTM", true, [] { return stepscan::Lstm<float, n, n>(); }, remember),
      entry("GRU", true, [] { return stepscan::Gru<float, n, n>(); }),
      entry("sLSTM", true, [] { return stepscan::Slstm<float, n, 1, n>(); }),
  };
}
