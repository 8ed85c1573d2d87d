#include <contract/contract.hpp>
#include <stepscan/layers/s4d_backward.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("s4d: contract", "[contract]") {
  contract([] { return S4d<double, 5, 6>(); });
}

TEST_CASE("s4d in float, of dynamic sizes, bilinear: contract", "[contract]") {
  contract([] { return S4d<float, Dynamic, Dynamic>(19, 18, {.discretization = bilinear}); });
}
