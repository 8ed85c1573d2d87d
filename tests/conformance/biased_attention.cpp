#include <conformance/attention.hpp>

namespace conformance {

namespace {

/// A parameter [heads, dim], [dim] or [heads], and its gradient.
template <Scalar S>
struct Bias {
  std::vector<S> values, gradient;

  Bias(Case& golden, const std::string& name, const std::vector<Index>& shape) {
    golden.require_shape(name, shape);
    for (const double value : golden.values(name)) values.push_back(static_cast<S>(value));
    gradient.resize(values.size());
  }
  Bias() = default;
  [[nodiscard]] const S* data() const { return values.empty() ? nullptr : values.data(); }
  S* cleared() {
    std::fill(gradient.begin(), gradient.end(), S{0});
    return values.empty() ? nullptr : gradient.data();
  }
};

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const AttentionCase<S> attention(golden);
  const bool causal = golden.config.flag("causal"), per_head = golden.config.flag("per_head");
  const bool with_value = golden.config.flag("v_bias");
  const std::size_t kind = golden.config.choice("kind", {"key_bias", "sink_logit", "value_bias"});
  const auto shape = [&](Index dim) {
    return per_head ? std::vector<Index>{attention.n.heads, dim} : std::vector<Index>{dim};
  };
  Bias<S> key, value, logits;
  if (kind == 0) key = Bias<S>(golden, "param/k_bias", shape(attention.n.key_dim));
  if (kind == 1) logits = Bias<S>(golden, "param/sink_logit", {attention.n.heads});
  if (kind == 2 || with_value) value = Bias<S>(golden, "param/v_bias", shape(attention.n.value_dim));
  const stepscan::AttentionStart<S> start{logits.data(), key.data(), kind == 0 ? value.data() : nullptr,
                                          kind == 2 ? value.data() : nullptr, !per_head};
  run_attention_forms(golden, session, [&](const auto& schedule, bool one_by_one) {
    S* const dvalue = value.cleared();
    Results results = attention.run(
        stepscan::SoftmaxWeights<S>(), CausalOrFull(causal), schedule, start,
        {logits.cleared(), key.cleared(), kind == 0 ? dvalue : nullptr, kind == 2 ? dvalue : nullptr},
        attention.step_over(stepscan::SoftmaxWeights<S>(), keys_seen(one_by_one, causal, attention.keys())));
    const auto add = [&](const char* name, const Bias<S>& bias) {
      if (!bias.values.empty()) results.add(name, std::span<const S>(bias.gradient));
    };
    add("grad/param/k_bias", key);
    add("grad/param/v_bias", value);
    add("grad/param/sink_logit", logits);
    return results;
  });
}

}  // namespace

Family biased_attention_family() { return {"biased_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
