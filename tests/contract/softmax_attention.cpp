#include <contract/contract.hpp>
#include <stepscan/layers/softmax_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("softmax_attention, keys kept: contract", "[contract]") {
  contract([] { return SoftmaxAttentionScan<double, 2, 1, 5, 3>({2, 1, 5, 3}, 40); });
}

TEST_CASE("softmax_attention of dynamic sizes, with sinks and a window shorter than the sequences: contract",
          "[contract]") {
  contract([] { return SoftmaxAttentionScan<double, Dynamic, Dynamic, Dynamic, Dynamic>({2, 2, 3, 4}, 7, 2); });
}
