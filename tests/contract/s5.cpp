#include <contract/contract.hpp>
#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/s5.hpp>

using namespace stepscan;
using testing::contract;

namespace {

/// Logarithms whose exponentials stay in range, and eigenvalues of states that do not grow.
testing::Options mild() {
  testing::Options options;
  options.valid_parameter = [](const std::string& name, double value) {
    if (name.ends_with("_log") || name == "log_step") return std::clamp(value, -30.0, 3.0);
    return name == "Lambda.re" ? std::min(value, -0.01) : value;
  };
  return options;
}

}  // namespace

TEST_CASE("s5: contract", "[contract]") {
  contract([] { return S5<double, 5, 6>(); }, mild());
}

TEST_CASE("s5 of dynamic sizes, in both directions, bilinear: contract", "[contract]") {
  contract(
      [] { return BidirectionalS5<double, Dynamic, Dynamic>(3, 5, {.discretization = bilinear, .conj_sym = false}); },
      mild());
}

TEST_CASE("lru in float: contract", "[contract]") {
  contract([] { return Lru<float, Dynamic, Dynamic>(13, 19); }, mild());
}

TEST_CASE("lru: contract", "[contract]") {
  contract([] { return Lru<double, 5, 3>(); }, mild());
}
