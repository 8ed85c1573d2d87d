#include <contract/decay_layers.hpp>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>

using namespace stepscan;
using testing::contract;
using testing::Options;

namespace {

/// Inputs from `first` on are beta in [0, 1.9] and, behind them, log decays: a beta beyond 2 lets the state grow.
Options with_betas(Index first, Index heads) {
  Options options;
  options.valid_input = [=](Index feature, double value) {
    if (feature < first) return value;
    return feature < first + heads ? std::min(std::abs(value), 1.9) : -std::abs(value);
  };
  return options;
}

}  // namespace

TEST_CASE("delta_rule: contract", "[contract]") {
  contract([] { return DeltaRuleScan<double, 2, 3, 5>(); }, with_betas(22, 2));
}

TEST_CASE("gated_delta_rule of dynamic sizes: contract", "[contract]") {
  contract([] { return GatedDeltaRuleScan<double, Dynamic, Dynamic, Dynamic>(2, 4, 3); }, with_betas(22, 2));
}

TEST_CASE("gated_delta_rule in float: contract", "[contract]") {
  contract([] { return GatedDeltaRuleScan<float, 1, 9, 8>(); }, with_betas(26, 1));
}
