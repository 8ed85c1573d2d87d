#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/transformer.hpp>

using namespace stepscan;
using testing::contract;

namespace {

/// As multi_head_attention's, and Mamba's rates.
const testing::Options options{.valid_parameter = [](const std::string& name, double value) {
  if (name.find("q_norm") != std::string::npos || name.find("k_norm") != std::string::npos)
    return std::clamp(value, -1.0, 1.0);
  return name.ends_with("A_log") ? std::clamp(value, -3.0, 3.0) : value;
}};

}  // namespace

TEST_CASE("hybrid of a transformer block and a mamba block: contract", "[contract]") {
  contract(
      [] {
        constexpr MultiHeadOptions heads{.positions = Positions::rotary, .head_norm = true};
        return Sequential(
            transformer_block(MultiHeadAttention<double, 4, 2, 1, 2, heads>({.capacity = 30}), SwiGlu<double, 4, 5>()),
            transformer_block(Mamba<double, 4, 6, 2, 3, 1>(), GeluFeedForward<double, 4, 3>()));
      },
      options);
}
