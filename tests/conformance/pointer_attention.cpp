#include <conformance/trees.hpp>
#include <stepscan/layers/pointer_attention_backward.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  using Sequence = detail::Sequence<S>;
  Config& config = golden.config;
  stepscan::PointerAttention<S> layer(config.size("memory_features"), config.size("query_features"),
                                      config.size("attention_features"));
  layer.logit_clip = static_cast<S>(config.number("logit_clip"));
  detail::read_tree(golden, "param/", own_name, 0, layer);
  const Sequence items = detail::read_sequence<S>(golden, "in/e", false, layer.w1.extent(1));
  const Sequence queries = detail::read_sequence<S>(golden, "in/d", false, layer.w2.extent(1));
  const Index batch = items.extent(0), count = items.extent(1), asked = queries.extent(1);
  golden.require_shape("in/mask", {batch, asked, count});
  golden.require_shape("in/d", {batch, asked, queries.extent(2)});
  std::vector<std::uint8_t> allowed;
  for (const auto value : golden.integers("in/mask")) allowed.push_back(value != 0);
  const stepscan::PointerMask mask{allowed.data(), asked, count};
  const auto cotangent = [&](const std::string& name, Index features) {
    Sequence d(batch, asked, features);
    if (!golden.has(name)) return d;
    golden.require_shape(name, {batch, asked, features});
    d = detail::read_sequence<S>(golden, name, false, features);
    return d;
  };
  const Sequence dlog_probs = cotangent("cot/log_probs", count), dprobs = cotangent("cot/probs", count),
                 dcontext = cotangent("cot/context", items.extent(2));
  golden.check_all_read();

  const auto run = [&](bool one_by_one) {
    stepscan::Workspace workspace;
    Sequence log_probs(batch, asked, count), probs(log_probs.shape()), context(batch, asked, items.extent(2));
    std::vector<Index> choice(static_cast<std::size_t>(batch * asked)), one(static_cast<std::size_t>(batch));
    const auto projected = layer.remember(items);
    const stepscan::SequenceView<S> all_logs(log_probs), all_probs(probs), all_contexts(context);
    const stepscan::SequenceView<const S> all_queries(queries);
    if (!one_by_one)
      layer.point(projected, items, queries, mask, {all_logs, all_probs, all_contexts, choice.data()}, workspace);
    for (Index t = 0; one_by_one && t < asked; ++t) {
      std::vector<std::uint8_t> own;
      for (Index b = 0; b < batch; ++b) {
        const auto row = allowed.begin() + (b * asked + t) * count;
        own.insert(own.end(), row, row + count);
      }
      layer.point(projected, items, all_queries.slice(t, 1), {own.data(), 1, count},
                  {all_logs.slice(t, 1), all_probs.slice(t, 1), all_contexts.slice(t, 1), one.data()}, workspace);
      for (Index b = 0; b < batch; ++b)
        choice[static_cast<std::size_t>(b * asked + t)] = one[static_cast<std::size_t>(b)];
    }
    stepscan::PointerAttention<S> gradient = stepscan::zeros_like(layer);
    Sequence ditems(items.shape()), dqueries(queries.shape());
    stepscan::pointer_backward<S>(
        layer, projected, items, queries, mask,
        {all_logs, all_probs, all_contexts, dlog_probs, dprobs, dcontext, {}, {}, {}, nullptr}, gradient, ditems,
        dqueries, workspace);
    Results results;
    results.add("out/log_probs", std::as_const(log_probs).span());
    results.add("out/probs", std::as_const(probs).span());
    results.add("out/context", std::as_const(context).span());
    const std::vector<double> choices(choice.begin(), choice.end());
    results.add("out/choice", std::span<const double>(choices));
    results.add("grad/in/e", std::as_const(ditems).span());
    results.add("grad/in/d", std::as_const(dqueries).span());
    detail::add_tree(results, "grad/param/", own_name, 0, gradient);
    return results;
  };
  session.form("recurrent", false, [&](const auto& compare) { compare(run(true), true); });
  session.form("chunked", false, [&](const auto& compare) { compare(run(false), true); });
}

}  // namespace

Family pointer_attention_family() { return {"pointer_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
