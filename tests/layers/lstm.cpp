#include <stepscan/layers/lstm.hpp>

#include "recurrence.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

struct LstmReference {
  template <class L>
  ReferenceStep operator()(const L& layer) const {
    return [&layer](const double* x, std::vector<std::vector<double>>& state) {
      std::vector<double>&h = state[0], &c = state[1];
      const Index hidden = layer.output_size();
      const std::vector<double> before = h;
      for (Index u = 0; u < hidden; ++u) {
        const auto a = [&](Index gate) {
          const Index row = gate * hidden + u;
          return row_times(layer.weight_ih.data(), row, layer.input_size(), x) + layer.bias_ih[row] +
                 row_times(layer.weight_hh.data(), row, hidden, before.data()) + layer.bias_hh[row];
        };
        const auto i = static_cast<std::size_t>(u);
        c[i] = sigmoid_of(a(1)) * c[i] + sigmoid_of(a(0)) * std::tanh(a(2));
        h[i] = sigmoid_of(a(3)) * std::tanh(c[i]);
      }
    };
  }
};

using DynamicLstm = Lstm<double, Dynamic, Dynamic>;

}  // namespace

TEST_CASE("Lstm is its equations, in every form, static and dynamic, planned or not", "[layers]") {
  check_recurrence(Lstm<double, 3, 8>(), DynamicLstm(3, 8), LstmReference());
  check_recurrence(Lstm<double, 1, 5>(), Lstm<double, 1, Dynamic>(1, 5), LstmReference());
}

TEST_CASE("Lstm in float and with weights of 16 bits", "[layers]") {
  check_precision(Lstm<float, 3, 20>(), DynamicLstm(3, 20), 1e-6, 1e-3, 8e-3);
}

TEST_CASE("Lstm has PyTorch's parameters, start and names", "[layers]") {
  Lstm<float, 3, 16> layer;
  initialize(layer, 1);
  std::vector<std::string> names;
  for_each_parameter(
      [&](const Path& path, const auto& tensor) { names.push_back(path.str() + " " + shape_text(tensor.shape())); },
      layer);
  CHECK(names == std::vector<std::string>{"weight_ih [64, 3]", "weight_hh [64, 16]", "bias_ih [64]", "bias_hh [64]"});
  for (const double value : numbers(layer)) CHECK(std::abs(value) <= 0.25);
  auto same = layer;
  initialize(same, 1);
  CHECK(numbers(same) == numbers(layer));
  initialize(same, 2);
  CHECK(numbers(same) != numbers(layer));
}

TEST_CASE("Lstm refuses sizes that are not its own", "[layers]") {
  check_refusals(DynamicLstm(3, 4));
  CHECK_THROWS_AS((Lstm<double, 3, 8>(3, 9)), ShapeError);
}
