#include <stepscan/layers/elman_rnn.hpp>

#include "recurrence.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

struct ElmanReference {
  double (*phi)(double);

  template <class L>
  ReferenceStep operator()(const L& layer) const {
    return [&layer, phi = phi](const double* x, std::vector<std::vector<double>>& state) {
      const std::vector<double> before = state[0];
      for (Index u = 0; u < layer.output_size(); ++u) {
        state[0][static_cast<std::size_t>(u)] =
            phi(row_times(layer.weight_ih.data(), u, layer.input_size(), x) + layer.bias_ih[u] +
                row_times(layer.weight_hh.data(), u, layer.output_size(), before.data()) + layer.bias_hh[u]);
      }
    };
  }
};

}  // namespace

TEST_CASE("ElmanRnn is its equation", "[layers]") {
  const ElmanReference reference{[](double x) { return std::tanh(x); }};
  check_recurrence(ElmanRnn<double, 3, 8>(), ElmanRnn<double, Dynamic, Dynamic>(3, 8), reference);
  check_recurrence(ElmanRnn<double, 1, 3>(), ElmanRnn<double, 1, Dynamic>(1, 3), reference);
}

TEST_CASE("ElmanRnn with max(0, x) is its equation", "[layers]") {
  check_recurrence(ElmanRnn<double, 3, 5, ReluActivation>(), ElmanRnn<double, Dynamic, Dynamic, ReluActivation>(3, 5),
                   ElmanReference{[](double x) { return std::max(x, 0.0); }});
}

TEST_CASE("ElmanRnn in float and with weights of 16 bits", "[layers]") {
  check_precision(ElmanRnn<float, 3, 8>(), ElmanRnn<double, Dynamic, Dynamic>(3, 8), 1e-5, 4e-3, 4e-2);
}

TEST_CASE("ElmanRnn refuses sizes that are not its own", "[layers]") {
  check_refusals(ElmanRnn<double, Dynamic, Dynamic>(3, 4));
}
