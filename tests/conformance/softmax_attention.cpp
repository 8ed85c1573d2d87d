#include <conformance/attention.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const AttentionCase<S> attention(golden);
  const bool causal = golden.config.flag("causal");
  run_attention_forms(golden, session, [&](const auto& schedule, bool one_by_one) {
    return attention.run(
        stepscan::SoftmaxWeights<S>(), CausalOrFull(causal), schedule, {}, {},
        attention.step_over(stepscan::SoftmaxWeights<S>(), keys_seen(one_by_one, causal, attention.keys())));
  });
}

}  // namespace

Family softmax_attention_family() { return {"softmax_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
