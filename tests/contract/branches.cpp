#include <contract/contract.hpp>
#include <models/leaky.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/models/branches.hpp>
#include <stepscan/models/sequential.hpp>

using namespace stepscan;
using testing::contract;
using testing::Leaky;

namespace {

using First = Leaky<double, 3>;
using Second = Sequential<Linear<double, 3, 3>, Leaky<double, 3>>;

}  // namespace

TEST_CASE("branches, summed: contract", "[contract]") {
  contract([] { return Branches<Join::sum, First, Tanh<double, 3>>(); });
}

TEST_CASE("branches, concatenated: contract", "[contract]") {
  contract([] { return Branches<Join::concat, First, Linear<double, 3, 2>>(); });
}

TEST_CASE("branches, averaged by a gate: contract", "[contract]") {
  contract([] { return Branches<Join::gated_average, First, Second, First>(); });
}
