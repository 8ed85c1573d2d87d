#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/lightning_attention.hpp>
#include <stepscan/layers/linear_attention.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>

#include "job.hpp"

namespace {

constexpr stepscan::Index heads = 4;

/// Four heads of `width` channels together, keys as wide as values.
template <class L>
L of_width(stepscan::Index width) {
  return L(heads, width / heads, width / heads);
}

/// Behind q, k and v come the gates.
stepscan::Index behind_values(stepscan::Index width) { return 3 * width; }
stepscan::Index behind_betas(stepscan::Index width) { return behind_values(width) + heads; }

}  // namespace

std::vector<main_job::Entry> main_job::decay_layers() {
  constexpr Index any = Dynamic;
  return {
      entry("linear_attention", of_width<LinearAttentionScan<float, any, any, any>>),
      entry("retention", of_width<RetentionScan<float, any, any, any>>),
      entry("lightning_attention", of_width<LightningAttentionScan<float, any, any, any>>),
      entry("scalar_gated_attention", of_width<ScalarGatedAttentionScan<float, any, any, any>>, behind_values),
      entry("gated_linear_attention", of_width<GatedLinearAttentionScan<float, any, any, any>>, behind_values),
      entry("mamba2_ssd", of_width<Mamba2SsdScan<float, any, any, any>>),
      entry("mlstm", of_width<MlstmScan<float, any, any, any>>),
      entry("delta_rule", of_width<DeltaRuleScan<float, any, any, any>>),
      entry("gated_delta_rule", of_width<GatedDeltaRuleScan<float, any, any, any>>, behind_betas),
  };
}
