#include <contract/contract.hpp>
#include <stepscan/layers/sigmoid_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("sigmoid_attention, normalised: contract", "[contract]") {
  contract([] {
    using enum Similarity;
    return SigmoidAttentionScan<double, Dynamic, Dynamic, Dynamic, Dynamic, sigmoid, true>({2, 1, 3, 2}, 9);
  });
}
