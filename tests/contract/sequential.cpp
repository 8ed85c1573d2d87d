#include <contract/contract.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/models/sequential.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("sequential: contract", "[contract]") {
  contract([] { return Sequential<Lstm<double, 3, 5>, Tanh<double, 5>, Gru<double, 5, 4>, Linear<double, 4, 2>>(); });
}

TEST_CASE("sequential of dynamic sizes: contract", "[contract]") {
  contract([] { return Sequential(Linear<double, Dynamic, Dynamic>(3, 7), Gru<double, Dynamic, Dynamic>(7, 5)); });
}
