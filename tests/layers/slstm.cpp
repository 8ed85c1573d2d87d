#include <stepscan/layers/slstm.hpp>

#include "recurrence.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// State h, c, n, m; gates i, f, z, o; heads mix only within themselves.
struct SlstmReference {
  bool floor_at_one = false;

  template <class L>
  ReferenceStep operator()(const L& layer) const {
    return [&layer, *this](const double* x, std::vector<std::vector<double>>& state) {
      const Index heads = layer.head_count(), dim = layer.head_dim(), hidden = heads * dim;
      const std::vector<double> before = state[0];
      for (Index u = 0; u < hidden; ++u) {
        const auto a = [&](Index gate) {
          const Index row = gate * hidden + u, head = u / dim;
          double sum = layer.bias[row] + row_times(layer.recurrent.data(), row, dim, before.data() + head * dim);
          if constexpr (requires { layer.weight_x; }) {
            sum += row_times(layer.weight_x.data(), row, layer.input_size(), x);
          } else {
            sum += x[row];
          }
          return sum;
        };
        const auto i = static_cast<std::size_t>(u);
        double &c = state[1][i], &n = state[2][i], &m = state[3][i];
        const double log_forget = -std::log1p(std::exp(-a(1)));
        const double new_m = n == 0 ? a(0) : std::max(a(0), log_forget + m);
        const double input = std::exp(a(0) - new_m), forget = n == 0 ? 0 : std::exp(log_forget + m - new_m);
        c = forget * c + input * std::tanh(a(2));
        n = forget * n + input;
        if (floor_at_one) n = std::max(n, 1.0);
        m = new_m;
        state[0][i] = sigmoid_of(a(3)) * c / n;
      }
    };
  }
};

using DynamicSlstm = Slstm<double, Dynamic, Dynamic, Dynamic>;

}  // namespace

TEST_CASE("Slstm is its equations, heads apart", "[layers]") {
  check_recurrence(Slstm<double, 3, 2, 5>(), DynamicSlstm(3, 2, 5), SlstmReference{});
  check_recurrence(Slstm<double, 3, 1, 8>(), Slstm<double, Dynamic, 1, Dynamic>(3, 1, 8), SlstmReference{});
}

TEST_CASE("Slstm with a normaliser of at least one is its equations", "[layers]") {
  check_recurrence(Slstm<double, 3, 2, 4, NormalizerFloor::one>(),
                   Slstm<double, Dynamic, Dynamic, Dynamic, NormalizerFloor::one>(3, 2, 4), SlstmReference{true});
}

TEST_CASE("Slstm on pre-activations of its own is its equations", "[layers]") {
  check_recurrence(SlstmOnGates<double, 2, 4>(), SlstmOnGates<double, Dynamic, Dynamic>(2, 4), SlstmReference{});
}

TEST_CASE("Slstm begins from nothing and stays finite under gates of any strength", "[layers]") {
  Slstm<double, 1, 2, 3> layer;
  randomize(layer, 1);
  for (const double strength : {-800.0, -100.0, 0.0, 100.0, 800.0}) {
    for (const double forget : {-800.0, -14.0, 16.0, 800.0}) {
      for (Index u = 0; u < 6; ++u) {
        layer.bias[u] = strength;
        layer.bias[6 + u] = forget;
      }
      const auto x = random_sequence<double>(2, 40, 1, 3);
      for (const auto& y : {scanned(layer, x, Recurrent{}), scanned(prepare(layer), x)}) {
        for (const double value : y) CHECK(std::abs(value) <= 1);
      }
    }
  }
}

TEST_CASE("Slstm starts with forget gates for memories of every length", "[layers]") {
  Slstm<double, 3, 2, 5> layer;
  initialize(layer, 1);
  for (const Index head : {0, 1}) {
    CHECK(layer.bias(SlstmCell<>::forget, head, 0) == 5.0);
    CHECK(layer.bias(SlstmCell<>::forget, head, 2) == Approx(5 - 12 * std::pow(0.5, 0.3)));
    CHECK(layer.bias(SlstmCell<>::forget, head, 4) == -7.0);
    CHECK(layer.bias(SlstmCell<>::input, head, 2) == 0.0);
  }
  Random random(1);
  layer.initialize(random, 1.0);
  CHECK(layer.bias(SlstmCell<>::forget, 0, 2) == Approx(5 - 12 * std::pow(0.5, 1.6)));
}

TEST_CASE("Slstm in float and with weights of 16 bits", "[layers]") {
  check_precision(Slstm<float, 3, 2, 8>(), DynamicSlstm(3, 2, 8), 3e-6, 2e-3, 2e-2);
}

TEST_CASE("Slstm refuses sizes that are not its own", "[layers]") { check_refusals(DynamicSlstm(3, 2, 4)); }
