#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/decay_backward.hpp>
#include <stepscan/layers/parts_backward.hpp>
#include <stepscan/layers/projected_attention.hpp>
#include <stepscan/layers/projected_backward.hpp>
#include <stepscan/ops/delta_rule_backward.hpp>

#include "network.hpp"

namespace {

using namespace stepscan;

/// 2 s(x): a beta up to 2, with which I - beta k k^T has eigenvalues down to -1 (arXiv 2411.12537).
struct DoubleSigmoid {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return SigmoidActivation::apply<Math>(x) * V(2);
  }
  template <class V>
  static V slope_at(V x) noexcept {
    return SigmoidActivation::slope_at(x) * V(2);
  }
};

template <class Beta>
using Delta = detail::ModelProjected<DeltaRuleScan<float, 2, 8, 8>, examples::model_features, false,
                                     Parts<detail::SiluHeads<float, 2, 8, 8>, Activation<float, 2, Beta>>>;

}  // namespace

std::vector<examples::Entry> examples::delta_rules() {
  return {
      entry("delta rule, beta to 1", false, [] { return Delta<SigmoidActivation>(); }),
      entry("delta rule, beta to 2", true, [] { return Delta<DoubleSigmoid>(); }),
  };
}
