#include <contract/contract.hpp>
#include <stepscan/layers/lssl.hpp>
#include <stepscan/layers/lssl_backward.hpp>

using namespace stepscan;
using testing::contract;

namespace {

/// Step sizes that stay in range.
testing::Options mild() {
  testing::Options options;
  options.valid_parameter = [](const std::string& name, double value) {
    return name == "log_dt" ? std::clamp(value, -30.0, 0.0) : value;
  };
  return options;
}

}  // namespace

TEST_CASE("lssl: contract", "[contract]") {
  contract([] { return Lssl<double, 3, 5, 2>(); }, mild());
}

TEST_CASE("lssl in float, of dynamic sizes: contract", "[contract]") {
  contract([] { return Lssl<float, Dynamic, Dynamic>(19, 6); }, mild());
}
