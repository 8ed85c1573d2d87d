#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/mamba.hpp>

using namespace stepscan;
using testing::contract;

namespace {

/// A = -exp(A_log) has to be a number.
const testing::Options options{.valid_parameter = [](const std::string& name, double value) {
  return name == "A_log" ? std::clamp(value, -8.0, 4.0) : value;
}};

}  // namespace

TEST_CASE("mamba: contract", "[contract]") {
  contract([] { return Mamba<double, 3, 7, 2, 4, 2>(); }, options);
}

TEST_CASE("mamba in float, of dynamic sizes, with biases: contract", "[contract]") {
  contract(
      [] {
        return Mamba<float, Dynamic, Dynamic, Dynamic, Dynamic, Dynamic, MambaBiases{.projections = true}>(4, 9, 3, 3,
                                                                                                           1);
      },
      options);
}
