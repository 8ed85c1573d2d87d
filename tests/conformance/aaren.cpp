#include <cmath>
#include <conformance/stack.hpp>
#include <stepscan/layers/aaren_backward.hpp>

/// aaren: also state.lse = m + log u and state.mean = w / u of the last state, which do not depend on m.
namespace conformance {

namespace {

template <class L>
void derive_views(Case& golden, Stack<L>& stack) {
  using S = typename L::scalar_type;
  using State = typename L::State;
  stack.derive = [](const State& end, Results& results) {
    std::vector<S> lse, mean;
    for (Index i = 0; i < end.scan.sum.size(); ++i) lse.push_back(end.scan.maximum[i] + std::log(end.scan.sum[i]));
    const Index values = end.scan.weighted.extent(2);
    for (Index i = 0; i < end.scan.weighted.size(); ++i)
      mean.push_back(end.scan.weighted[i] / end.scan.sum[i / values]);
    results.add("out/state.lse", std::span<const S>(lse));
    results.add("out/state.mean", std::span<const S>(mean));
  };
  const auto read = [&](const char* name) { return golden.has(name) ? golden.values(name) : std::vector<double>(); };
  stack.derive_cotangents = [dlse = read("cot/state.lse"), dmean = read("cot/state.mean")](const State& end,
                                                                                           State& dend) {
    const Index values = end.scan.weighted.extent(2);
    for (std::size_t i = 0; i < dmean.size(); ++i) {
      const auto at = static_cast<Index>(i);
      const S u = end.scan.sum[at / values], d = static_cast<S>(dmean[i]);
      dend.scan.weighted[at] += d / u;
      dend.scan.sum[at / values] -= d * end.scan.weighted[at] / (u * u);
    }
    for (std::size_t i = 0; i < dlse.size(); ++i) {
      const auto at = static_cast<Index>(i);
      dend.scan.maximum[at] += static_cast<S>(dlse[i]);
      dend.scan.sum[at] += static_cast<S>(dlse[i]) / end.scan.sum[at];
    }
  };
}

template <Scalar S, bool WithBias>
void run_aaren(Case& golden, Session& session) {
  using L = stepscan::Aaren<S, Dynamic, Dynamic, WithBias>;
  L layer(golden.config.size("features"), golden.config.size("heads"));
  layer.scale = static_cast<S>(golden.config.number("scale"));
  static_cast<void>(golden.config.flag("initial_state"));  // whether in/state. is there
  Stack<L> stack;
  stack.layers.push_back(std::move(layer));
  derive_views(golden, stack);
  run_stack(golden, session, stack);
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  golden.config.flag("bias") ? run_aaren<S, true>(golden, session) : run_aaren<S, false>(golden, session);
}

}  // namespace

Family aaren_family() { return {"aaren", run_case<float>, run_case<double>}; }

}  // namespace conformance
