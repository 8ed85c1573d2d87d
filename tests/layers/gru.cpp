#include <stepscan/layers/gru.hpp>

#include "recurrence.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

template <Reset Where>
struct GruReference {
  double (*phi)(double);

  template <class L>
  ReferenceStep operator()(const L& layer) const {
    return [&layer, phi = phi](const double* x, std::vector<std::vector<double>>& state) {
      const Index hidden = layer.output_size();
      const std::vector<double> before = state[0];
      const auto w = [&](Index gate, Index u) {
        return row_times(layer.weight_ih.data(), gate * hidden + u, layer.input_size(), x) +
               layer.bias_ih[gate * hidden + u];
      };
      const auto recur = [&](Index gate, Index u, const std::vector<double>& h) {
        return row_times(layer.weight_hh.data(), gate * hidden + u, hidden, h.data()) +
               layer.bias_hh[gate * hidden + u];
      };
      std::vector<double> reset(before.size()), gated(before.size());
      for (Index u = 0; u < hidden; ++u) {
        const auto i = static_cast<std::size_t>(u);
        reset[i] = sigmoid_of(w(0, u) + recur(0, u, before));
        gated[i] = reset[i] * before[i];
      }
      for (Index u = 0; u < hidden; ++u) {
        const auto i = static_cast<std::size_t>(u);
        const double z = sigmoid_of(w(1, u) + recur(1, u, before));
        const double late = Where == Reset::after ? reset[i] * recur(2, u, before) : recur(2, u, gated);
        state[0][i] = (1 - z) * phi(w(2, u) + late) + z * before[i];
      }
    };
  }
};

double tanh_of(double x) { return std::tanh(x); }
double relu_of(double x) { return std::max(x, 0.0); }

}  // namespace

TEST_CASE("Gru with the reset behind the product is its equations", "[layers]") {
  const GruReference<Reset::after> reference{tanh_of};
  check_recurrence(Gru<double, 3, 8>(), Gru<double, Dynamic, Dynamic>(3, 8), reference);
  check_recurrence(Gru<double, 2, 5>(), Gru<double, Dynamic, 5>(2, 5), reference);
}

TEST_CASE("Gru with the reset before the product is its equations", "[layers]") {
  check_recurrence(Gru<double, 3, 9, Reset::before>(), Gru<double, Dynamic, Dynamic, Reset::before>(3, 9),
                   GruReference<Reset::before>{tanh_of});
}

TEST_CASE("Gru with a rectified candidate is its equations", "[layers]") {
  check_recurrence(Gru<double, 3, 6, Reset::before, ReluActivation>(),
                   Gru<double, Dynamic, Dynamic, Reset::before, ReluActivation>(3, 6),
                   GruReference<Reset::before>{relu_of});
  check_recurrence(Gru<double, 3, 6, Reset::after, ReluActivation>(),
                   Gru<double, Dynamic, Dynamic, Reset::after, ReluActivation>(3, 6),
                   GruReference<Reset::after>{relu_of});
}

TEST_CASE("Gru in float and with weights of 16 bits", "[layers]") {
  check_precision(Gru<float, 3, 20>(), Gru<double, Dynamic, Dynamic>(3, 20), 1e-6, 1e-3, 8e-3);
}

TEST_CASE("Gru has PyTorch's parameters", "[layers]") {
  const Gru<float, 3, 8> layer;
  CHECK(layer.weight_ih.shape() == std::array<Index, 2>{24, 3});
  CHECK(layer.weight_hh.shape() == std::array<Index, 2>{24, 8});
  CHECK(element_count(layer) == 24 * 3 + 24 * 8 + 48);
}

TEST_CASE("Gru refuses sizes that are not its own", "[layers]") { check_refusals(Gru<double, Dynamic, Dynamic>(3, 4)); }
