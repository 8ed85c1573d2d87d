#include <contract/contract.hpp>
#include <models/leaky.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/repeat.hpp>
#include <stepscan/models/residual.hpp>

using namespace stepscan;
using testing::contract;
using testing::Leaky;

TEST_CASE("repeat: contract", "[contract]") {
  using Block = PreNorm<Linear<double, 3, 5>, Leaky<double, 5>, Tanh<double, 5>, Linear<double, 5, 3>>;
  contract([] { return Repeat<3, Block>(); });
}
