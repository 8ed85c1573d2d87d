#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/multihead_elman.hpp>
#include <stepscan/layers/multihead_gru.hpp>
#include <stepscan/layers/multihead_lstm.hpp>

#include "recurrence.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// Pre-activations of unit u: what the input, the state and the bias add to a gate.
template <class L>
struct HeadGates {
  const L& layer;
  const double* x;
  const std::vector<double>& before;
  Index u;

  [[nodiscard]] Index hidden() const { return layer.output_size(); }
  [[nodiscard]] double input(Index gate) const {
    return row_times(layer.weight_x.data(), gate * hidden() + u, layer.input_size(), x);
  }
  [[nodiscard]] double recurrent(Index gate) const {
    const Index dim = layer.head_dim();
    return row_times(layer.recurrent.data(), gate * hidden() + u, dim, before.data() + u / dim * dim);
  }
  [[nodiscard]] double bias(Index gate) const { return layer.bias[gate * hidden() + u]; }
};

/// `advance` makes the next state of one unit from its gates and the state's values.
template <class Advance>
struct MultiheadReference {
  Advance advance;

  template <class L>
  ReferenceStep operator()(const L& layer) const {
    return [&layer, advance = advance](const double* x, std::vector<std::vector<double>>& state) {
      const std::vector<double> before = state[0];
      for (Index u = 0; u < layer.output_size(); ++u) {
        advance(HeadGates<L>{layer, x, before, u}, state, static_cast<std::size_t>(u));
      }
    };
  }
};
template <class Advance>
MultiheadReference(Advance) -> MultiheadReference<Advance>;

}  // namespace

TEST_CASE("MultiheadLstm is its equations, heads apart", "[layers]") {
  const MultiheadReference reference{[](const auto& gates, auto& state, std::size_t i) {
    const auto a = [&](Index gate) { return gates.input(gate) + gates.recurrent(gate) + gates.bias(gate); };
    state[1][i] = sigmoid_of(a(1)) * state[1][i] + sigmoid_of(a(0)) * std::tanh(a(2));
    state[0][i] = sigmoid_of(a(3)) * std::tanh(state[1][i]);
  }};
  check_recurrence(MultiheadLstm<double, 3, 2, 5>(), MultiheadLstm<double, Dynamic, Dynamic, Dynamic>(3, 2, 5),
                   reference);
}

TEST_CASE("MultiheadGru is its equations, heads apart", "[layers]") {
  const MultiheadReference reference{[](const auto& gates, auto& state, std::size_t i) {
    const double g = gates.recurrent(0) + gates.bias(0);
    const double r = sigmoid_of(gates.input(0) + gates.recurrent(1) + gates.bias(1));
    const double z = sigmoid_of(gates.input(1) + gates.recurrent(2) + gates.bias(2));
    const double n = std::tanh(gates.input(2) + gates.bias(3) + r * g);
    state[0][i] = z * state[0][i] + (1 - z) * n;
  }};
  check_recurrence(MultiheadGru<double, 3, 2, 5>(), MultiheadGru<double, Dynamic, Dynamic, Dynamic>(3, 2, 5),
                   reference);
}

TEST_CASE("MultiheadElman is its equation, heads apart", "[layers]") {
  const MultiheadReference reference{[](const auto& gates, auto& state, std::size_t i) {
    state[0][i] = std::tanh(gates.input(0) + gates.recurrent(0) + gates.bias(0));
  }};
  check_recurrence(MultiheadElman<double, 3, 3, 2>(), MultiheadElman<double, Dynamic, Dynamic, Dynamic>(3, 3, 2),
                   reference);
}

TEST_CASE("one head is the layer without heads", "[layers]") {
  const auto x = random_sequence<double>(2, 20, 3, 2);
  MultiheadLstm<double, 3, 1, 6> heads;
  Lstm<double, 3, 6> whole;
  randomize(heads, 1);
  std::copy(heads.weight_x.begin(), heads.weight_x.end(), whole.weight_ih.begin());
  std::copy(heads.recurrent.begin(), heads.recurrent.end(), whole.weight_hh.begin());
  std::copy(heads.bias.begin(), heads.bias.end(), whole.bias_ih.begin());
  CHECK(distance(scanned(heads, x), scanned(whole, x)) < 1e-13);
}

TEST_CASE("multihead layers in float and with weights of 16 bits", "[layers]") {
  check_precision(MultiheadLstm<float, 3, 2, 8>(), MultiheadLstm<double, Dynamic, Dynamic, Dynamic>(3, 2, 8), 1e-6,
                  1e-3, 8e-3);
}

TEST_CASE("multihead layers refuse sizes that are not their own", "[layers]") {
  check_refusals(MultiheadGru<double, Dynamic, Dynamic, Dynamic>(3, 2, 4));
}
