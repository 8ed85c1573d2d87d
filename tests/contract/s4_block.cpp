#include <contract/contract.hpp>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/glu_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/s4_block.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("s4 block: contract", "[contract]") {
  contract([] { return S4Block<S4d<double, 3, 4>>(); });
}
