#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("mamba2_ssd: contract", "[contract]") {
  contract([] { return Mamba2SsdScan<double, Dynamic, Dynamic, Dynamic>(4, 3, 5, 2); },
           {.valid_parameter = [](const std::string& name, double value) {
             return name == "A_log" ? std::clamp(value, -20.0, 20.0) : value;
           }});
}
