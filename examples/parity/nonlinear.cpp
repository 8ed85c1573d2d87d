#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/slstm.hpp>

#include "network.hpp"

std::vector<examples::Entry> examples::nonlinear_recurrences() {
  constexpr Index n = model_features;
  return {
      entry("LSTM", true, [] { return stepscan::Lstm<float, n, n>(); }),
      entry("GRU", true, [] { return stepscan::Gru<float, n, n>(); }),
      entry("sLSTM", true, [] { return stepscan::Slstm<float, n, 1, n>(); }),
  };
}
