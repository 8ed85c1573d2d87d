#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/layers/selective_scan_backward.hpp>

#include "gradient_case.hpp"

namespace {

using namespace peers;

constexpr Index any = Dynamic;

/// Sizes: batch, time, channels, state. The step size behind a softplus, no gate, and D.
SelectiveScan<float, any, any> selective(const Sizes& n) {
  return {n.at(2), n.at(3), 1, SelectiveScanOptions{.delta_bias = false, .gate = false}};
}

/// Sizes: batch, time, heads, key_dim, value_dim.
template <class L>
L heads(const Sizes& n) {
  return L(n.at(2), n.at(3), n.at(4));
}

/// Keys of length one come in.
DeltaRuleScan<float, any, any, any> delta_rule(const Sizes& n) {
  auto layer = heads<DeltaRuleScan<float, any, any, any>>(n);
  layer.unit_length = false;
  return layer;
}

/// Sizes: batch, time, features, state.
S4d<float, any, any> s4d(const Sizes& n) { return {n.at(2), n.at(3)}; }

/// The impulse response from the parameters.
class KernelCase : public Case {
 public:
  explicit KernelCase(const Sizes& n) : layer_(s4d(n)), y_(n.at(2), n.at(1)) {
    add_tensor("y", y_);
    add_parameters("", layer_);
  }
  void start() override {}
  void run() override { layer_.kernel(y_, workspace_); }

 private:
  S4d<float, any, any> layer_;
  Tensor<float, Dynamic, Dynamic> y_;
  Workspace workspace_;
};

/// A sequence from the parameters, which a plan would have discretised before.
class UnpreparedCase : public Case {
 public:
  explicit UnpreparedCase(const Sizes& n)
      : layer_(s4d(n)), state_(layer_.initial_state(n.at(0))), x_(n.at(0), n.at(1), n.at(2)), y_(x_.shape()) {
    add_tensor("x", x_);
    add_tensor("y", y_);
    add_parameters("", layer_);
  }
  void start() override { state_ = layer_.initial_state(x_.extent(0)); }
  void run() override { layer_.scan(state_, x_, y_, workspace_); }

 private:
  S4d<float, any, any> layer_;
  S4d<float, any, any>::State state_;
  Sequences x_, y_;
  Workspace workspace_;
};

/// A case of the layer that make(sizes) makes.
template <template <class> class CaseOf, class Make>
auto of(Make make) {
  return [make](const Sizes& n) {
    return std::make_unique<CaseOf<decltype(make(n))>>(make(n), n.at(0), n.at(1));
  };
}

}  // namespace

void peers::add_scan_cases(Makers& makers) {
  makers["selective_scan/step"] = makers["selective_scan/scan"] = of<ForwardCase>(selective);
  makers["selective_scan/training"] = of<GradientCase>(selective);
  makers["gated_linear_attention/step"] = makers["gated_linear_attention/scan"] =
      of<ForwardCase>(heads<GatedLinearAttentionScan<float, any, any, any>>);
  makers["delta_rule/step"] = makers["delta_rule/scan"] = of<ForwardCase>(delta_rule);
  makers["s4d/kernel"] = [](const Sizes& n) { return std::make_unique<KernelCase>(n); };
  makers["s4d, parameters/scan"] = [](const Sizes& n) { return std::make_unique<UnpreparedCase>(n); };
  makers["s4d/scan"] = of<ForwardCase>(s4d);
}
