#include <conformance/session.hpp>
#include <stepscan/ops/attention_sink.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const S epsilon = static_cast<S>(golden.config.number("epsilon"));
  const Index samples = golden.config.size("samples"), layers = golden.config.size("layers"),
              heads = golden.config.size("heads"), time = golden.shape("in/attention").back();
  golden.require_shape("in/attention", {samples, layers, heads, time, time});
  std::vector<S> attention;
  for (const double value : golden.values("in/attention")) attention.push_back(static_cast<S>(value));
  golden.check_all_read();
  session.form("recurrent", false, [&](const auto& compare) {
    const Index maps = samples * layers * heads;
    std::vector<S> importance(static_cast<std::size_t>(maps * time)), percent(static_cast<std::size_t>(time));
    stepscan::attention_sink_metric<S>(attention.data(), maps, time, epsilon, {importance.data(), maps, time},
                                       percent.data());
    Results results;
    results.add("out/importance", std::span<const S>(importance));
    results.add("out/sink_percent", std::span<const S>(percent));
    compare(results, false);
  });
}

}  // namespace

Family attention_sink_metric_family() { return {"attention_sink_metric", run_case<float>, run_case<double>}; }

}  // namespace conformance
