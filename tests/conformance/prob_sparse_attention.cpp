#include <conformance/attention.hpp>
#include <stepscan/ops/prob_sparse_backward.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const AttentionCase<S> attention(golden);
  stepscan::ProbSparse options;
  options.causal = config.flag("causal");
  options.samples = config.size("samples", 0);
  options.top = config.size("top", 0);
  const Index factor = config.size("factor");
  if (options.samples != options.default_count(factor, attention.keys()) ||
      options.top != options.default_count(factor, attention.queries())) {
    stepscan::fail<FileError>("config: expected samples and top to follow from factor");
  }
  golden.require_shape("in/sample_index", {attention.queries(), options.samples});
  const std::vector<std::int64_t> drawn = golden.integers("in/sample_index");
  const std::vector<Index> sample_index(drawn.begin(), drawn.end());
  options.sample_index = sample_index;
  golden.check_all_read();
  const auto run = [&] {
    using Sequence = typename AttentionCase<S>::Sequence;
    const auto in = attention.inputs();
    stepscan::Workspace workspace;
    Sequence y(attention.dy().shape());
    Sequence dq(in.q.batch, in.q.time, in.q.features), dk(in.k.batch, in.k.time, in.k.features),
        dv(in.v.batch, in.v.time, in.v.features);
    const auto choice = stepscan::choose_queries<S>(in, options);
    stepscan::prob_sparse_attention<S>(in, options, choice, y, workspace);
    stepscan::prob_sparse_attention_backward<S>(in, options, choice, {y, attention.dy(), {}, dq, dk, dv}, workspace);
    Results results;
    results.add("out/y", std::as_const(y).span());
    results.add("out/measure", choice.measure.span());
    const std::vector<double> selected(choice.selected.begin(), choice.selected.end());
    results.add("out/selected", std::span<const double>(selected));
    results.add("grad/in/q", std::as_const(dq).span());
    results.add("grad/in/k", std::as_const(dk).span());
    results.add("grad/in/v", std::as_const(dv).span());
    return results;
  };
  session.form("chunked", false, [&](const auto& compare) { compare(run(), true); });
}

}  // namespace

Family prob_sparse_attention_family() { return {"prob_sparse_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
