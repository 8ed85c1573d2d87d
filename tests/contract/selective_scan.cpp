#include <contract/contract.hpp>
#include <stepscan/layers/selective_scan.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("selective_scan: contract", "[contract]") {
  contract([] { return SelectiveScan<double, 6, 3, 2>(); });
}

TEST_CASE("selective_scan of complex states: contract", "[contract]") {
  contract([] { return ComplexSelectiveScan<double, 6, 3, 2>(); });
}

TEST_CASE("selective_scan in float, of dynamic sizes, with a constant B: contract", "[contract]") {
  contract([] { return SelectiveScan<float, Dynamic, Dynamic>(19, 4, 1, {.skip = false, .variable_B = false}); });
}
