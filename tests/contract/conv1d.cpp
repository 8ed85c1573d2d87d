#include <contract/contract.hpp>
#include <stepscan/layers/conv1d.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("conv1d: contract", "[contract]") {
  contract([] { return Conv1d<double, 5, 7, 3>({.left = 1, .right = 2}); });
}

TEST_CASE("conv1d of dynamic sizes, in groups, with a stride and a dilation: contract", "[contract]") {
  contract([] {
    return Conv1d<double, Dynamic, Dynamic, Dynamic>(4, 6, 3,
                                                     {.stride = 2, .dilation = 2, .left = 3, .right = 3, .groups = 2});
  });
}
