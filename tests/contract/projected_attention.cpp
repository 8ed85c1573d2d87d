#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/projected_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("gated delta net: contract", "[contract]") {
  contract([] { return GatedDeltaNet<double, 5, 2, 3, 4>(); },
           {.valid_parameter = [](const std::string& name, double value) {
             return name.ends_with("A_log") ? std::clamp(value, -20.0, 20.0) : value;
           }});
}
