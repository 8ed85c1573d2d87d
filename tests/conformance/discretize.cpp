#include <conformance/initial.hpp>
#include <stepscan/ops/discretize_hold.hpp>

/// discretize: a dense system at several step sizes, always in double.
namespace conformance {

namespace {

using stepscan::DenseSystem;
using stepscan::Discretization;

/// The rule of a method; its alpha stands beside it, null for zero-order hold.
Discretization rule_of(Config& config) {
  const std::size_t method =
      config.choice("method", {"zoh", "bilinear", "forward_euler", "backward_euler", "generalized_bilinear"});
  const bool none = config.is_null("alpha");
  const double alpha = none ? 0 : config.number("alpha");
  const Discretization rules[] = {stepscan::zero_order_hold, stepscan::bilinear, stepscan::forward_euler,
                                  stepscan::backward_euler, stepscan::generalized_bilinear(alpha)};
  if (none != (method == 0) || alpha != rules[method].alpha) {
    stepscan::fail<FileError>("config: \"alpha\": expected that of the method, or null for zoh");
  }
  return rules[method];
}

/// A and B one behind the other.
struct System {
  Index size = 0;
  std::vector<double> A, B;

  explicit System(Index n) : size(n), A(static_cast<std::size_t>(n * n)), B(static_cast<std::size_t>(n)) {}
  [[nodiscard]] DenseSystem<double> view() { return {{A.data(), size, size}, {B.data(), size, Index{1}}}; }
};

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const Index size = golden.config.size("state_size");
  const Discretization rule = rule_of(golden.config);
  System system(size);
  golden.require_shape("param/A", {size, size});
  golden.require_shape("param/B", {size});
  golden.read("param/A", system.A.data());
  golden.read("param/B", system.B.data());
  const std::vector<double> steps = golden.values("in/dt");
  const auto cotangents = [&](const std::string& name) {
    return golden.has(name) ? golden.values(name) : std::vector<double>();
  };
  const std::vector<double> dA = cotangents("cot/Abar"), dB = cotangents("cot/Bbar");
  run_initial<S>(golden, session, [&](Values& values) {
    System bar(size), dbar(size), gradient(size);
    for (std::size_t k = 0; k < steps.size(); ++k) {
      stepscan::discretize<double>(system.view(), steps[k], rule, bar.view());
      values["out/Abar"].insert(values["out/Abar"].end(), bar.A.begin(), bar.A.end());
      values["out/Bbar"].insert(values["out/Bbar"].end(), bar.B.begin(), bar.B.end());
      if (!golden.has_gradients()) continue;
      if (!dA.empty()) std::copy_n(dA.data() + k * dbar.A.size(), dbar.A.size(), dbar.A.data());
      if (!dB.empty()) std::copy_n(dB.data() + k * dbar.B.size(), dbar.B.size(), dbar.B.data());
      values["grad/in/dt"].push_back(stepscan::discretize_backward<double>(system.view(), steps[k], rule, bar.view(),
                                                                           dbar.view(), gradient.view()));
    }
    values["grad/param/A"] = gradient.A;
    values["grad/param/B"] = gradient.B;
  });
}

}  // namespace

Family discretize_family() { return {"discretize", run_case<float>, run_case<double>}; }

}  // namespace conformance
