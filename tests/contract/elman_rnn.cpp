#include <contract/contract.hpp>
#include <stepscan/layers/elman_rnn.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("elman rnn: contract", "[contract]") {
  contract([] { return ElmanRnn<double, 5, 7>(); });
}

TEST_CASE("elman rnn of dynamic sizes: contract", "[contract]") {
  contract([] { return ElmanRnn<double, Dynamic, Dynamic>(3, 13); });
}

TEST_CASE("elman rnn with relu: contract", "[contract]") {
  contract([] { return ElmanRnn<double, 3, 5, ReluActivation>(); });
}

TEST_CASE("elman rnn in float: contract", "[contract]") {
  contract([] { return ElmanRnn<float, 3, 13>(); });
}
