#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/lightning_attention.hpp>
#include <stepscan/layers/linear_attention.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/projected_attention.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>
#include <utility>

#include "job.hpp"

namespace {

using namespace stepscan;

constexpr Index heads = 4;
constexpr Index any = Dynamic;

/// Four heads of `width` channels together, keys as wide as values.
template <class L>
L of_width(Index width) {
  return L(heads, width / heads, width / heads);
}

/// Behind q, k and v come the gates.
Index behind_values(Index width) { return 3 * width; }
Index behind_betas(Index width) { return behind_values(width) + heads; }

/// Such a scan between projections from and to `width` features, with these gates.
template <class L, class... Gates>
L projected(Index width, Gates... gates) {
  return L(width, of_width<decltype(L::scan_layer)>(width), width, std::move(gates)...);
}
/// The SiLU of queries, keys and values.
Silu<float, any> silu(Index width) { return Silu<float, any>(3 * width); }

}  // namespace

std::vector<main_job::Entry> main_job::decay_layers() {
  const Sigmoid<float, any> beta(heads);
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
      entry("linear_attention_layer",
            [](Index width) { return projected<LinearAttention<float, any, any, any, any>>(width); }),
      entry("retention_layer", [](Index width) { return projected<Retention<float, any, any, any, any>>(width); }),
      entry("lightning_attention_layer",
            [](Index width) { return projected<LightningAttention<float, any, any, any, any>>(width, silu(width)); }),
      entry("scalar_gated_attention_layer",
            [](Index width) {
              const Activation<float, any, IdentityActivation> plain(3 * width);
              const Activation<float, any, LogSigmoidActivation<16>> gate(heads);
              return projected<ScalarGatedAttention<float, any, any, any, any>>(width, Parts(plain, gate));
            }),
      entry("mlstm_layer", [](Index width) { return projected<Mlstm<float, any, any, any, any>>(width); }),
      entry(
          "delta_net",
          [=](Index width) { return projected<DeltaNet<float, any, any, any, any>>(width, Parts(silu(width), beta)); }),
      entry("gated_delta_net",
            [=](Index width) {
              return projected<GatedDeltaNet<float, any, any, any, any>>(
                  width, Parts(silu(width), beta, LearnedDecay<float, any>(heads)));
            }),
  };
}
