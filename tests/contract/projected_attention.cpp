#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/projected_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("linear attention with projections: contract", "[contract]") {
  contract([] { return LinearAttention<double, 2, 2, 1, 3>(); }, {.positive_state = "z"});
}

TEST_CASE("retention with projections: contract", "[contract]") {
  contract([] { return Retention<double, 2, 2, 1, 3>(); });
}

TEST_CASE("lightning attention with projections: contract", "[contract]") {
  contract([] { return LightningAttention<double, 2, 2, 1, 3>(); });
}

TEST_CASE("scalar gated attention with projections: contract", "[contract]") {
  contract([] { return ScalarGatedAttention<double, 2, 2, 1, 3>(); });
}

TEST_CASE("mlstm with projections: contract", "[contract]") {
  contract([] { return Mlstm<double, 2, 2, 1, 3>(); });
}

TEST_CASE("delta net: contract", "[contract]") {
  contract([] { return DeltaNet<double, 2, 2, 1, 3>(); });
}

TEST_CASE("gated delta net: contract", "[contract]") {
  contract([] { return GatedDeltaNet<double, 5, 2, 3, 4>(); },
           {.valid_parameter = [](const std::string& name, double value) {
             return name.ends_with("A_log") ? std::clamp(value, -20.0, 20.0) : value;
           }});
}
