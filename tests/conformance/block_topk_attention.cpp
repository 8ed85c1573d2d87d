#include <conformance/attention.hpp>
#include <stepscan/ops/block_topk.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const AttentionCase<S> attention(golden);
  if (attention.keys() != attention.queries()) stepscan::fail<ShapeError>("in/k: expected as many keys as queries");
  const Index block = golden.config.size("block"), top_k = golden.config.size("top_k");
  run_attention_forms(golden, session, [&](const auto& schedule, bool) {
    const auto choice = stepscan::choose_blocks<S>(attention.inputs(), block, top_k);
    Results results = attention.run(stepscan::SoftmaxWeights<S>(),
                                    stepscan::patterns::And(stepscan::patterns::Causal(), choice.pattern()), schedule);
    results.add("out/block_score", choice.block_score.span());
    const std::vector<double> selected(choice.chosen.begin(), choice.chosen.end());
    results.add("out/selected", std::span<const double>(selected));
    return results;
  });
}

}  // namespace

Family block_topk_attention_family() { return {"block_topk_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
