#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>

using namespace stepscan;
using testing::contract;

namespace {

/// Where one key has all the weight, what queries get is zero but for rounding, which no two forms share, as they
/// project differently. So logits stay of usual size at all strengths; softmax_attention is held to its contract
/// without that.
testing::Options bounded(const std::string& part, double most) {
  return {.valid_parameter = [=](const std::string& name, double value) {
    return name.find(part) != std::string::npos ? std::clamp(value, -most, most) : value;
  }};
}

}  // namespace

TEST_CASE("multi_head_attention with normalised heads and rotary positions: contract", "[contract]") {
  contract(
      [] {
        constexpr MultiHeadOptions options{Positions::rotary, true, true, true};
        return MultiHeadAttention<double, 5, 4, 2, 6, options>({.capacity = 40, .rotary = {.dim = 4}});
      },
      bounded("_norm", 1));
}

TEST_CASE("multi_head_attention of dynamic sizes, with ALiBi, sinks and a window: contract", "[contract]") {
  contract(
      [] {
        constexpr MultiHeadOptions options{.positions = Positions::alibi};
        return MultiHeadAttention<double, Dynamic, Dynamic, Dynamic, Dynamic, options>(
            {.model = 6, .heads = 2, .kv_heads = 1, .capacity = 7, .sinks = 2});
      },
      bounded("q_proj", 1e-6));
}
