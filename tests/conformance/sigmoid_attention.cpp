#include <conformance/attention.hpp>

namespace conformance {

namespace {

using stepscan::Similarity;

template <Scalar S, Similarity Kind, bool Normalised>
void run_fold(Case& golden, Session& session) {
  const AttentionCase<S> attention(golden);
  const bool causal = golden.config.flag("causal");
  const stepscan::SimilarityWeights<S, Kind, Normalised> fold{static_cast<S>(golden.config.number("bias")),
                                                              static_cast<S>(golden.config.number("eps"))};
  run_attention_forms(golden, session, [&](const auto& schedule, bool one_by_one) {
    return attention.run(fold, CausalOrFull(causal), schedule, {}, {},
                         attention.step_over(fold, keys_seen(one_by_one, causal, attention.keys())));
  });
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const bool elu = golden.config.choice("similarity", {"sigmoid", "elu"}) == 1,
             normalised = golden.config.flag("normalize");
  if (elu) {
    normalised ? run_fold<S, Similarity::elu, true>(golden, session)
               : run_fold<S, Similarity::elu, false>(golden, session);
  } else {
    normalised ? run_fold<S, Similarity::sigmoid, true>(golden, session)
               : run_fold<S, Similarity::sigmoid, false>(golden, session);
  }
}

}  // namespace

Family sigmoid_attention_family() { return {"sigmoid_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
