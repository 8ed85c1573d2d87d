#include <conformance/trees.hpp>
#include <stepscan/layers/softmax_scan_backward.hpp>

/// softmax_scan: the layer's operator, for its log sums, which the layer does not give.
namespace conformance {

namespace {

using detail::Sequence;

template <Scalar S>
struct SoftmaxCase {
  using State = stepscan::SoftmaxScanState<S, Dynamic, Dynamic>;
  Index heads, value_dim;
  Sequence<S> logits, v, dy, dlse;
  State start;

  SoftmaxCase(Case& golden, Index head_count, Index values)
      : heads(head_count),
        value_dim(values),
        logits(detail::read_sequence<S>(golden, "in/logits", false, heads)),
        v(detail::read_sequence<S>(golden, "in/v", false, heads * value_dim)),
        dy(v.shape()),
        dlse(logits.shape()),
        start(logits.extent(0), heads, value_dim) {
    golden.require_shape("in/v", {logits.extent(0), logits.extent(1), heads, value_dim});
    if (golden.has("cot/y")) dy = detail::read_sequence<S>(golden, "cot/y", false, heads * value_dim);
    if (golden.has("cot/lse")) dlse = detail::read_sequence<S>(golden, "cot/lse", false, heads);
    detail::read_tree(golden, "in/state.", own_name, 0, start);
  }

  Results run(const stepscan::ScanSchedule& schedule) {
    const stepscan::SoftmaxScanInputs<S> in{heads, value_dim, std::as_const(logits), std::as_const(v)};
    stepscan::Workspace workspace;
    Sequence<S> y(v.shape()), lse(logits.shape()), dlogits(logits.shape()), dv(v.shape());
    State end = start, dstate(logits.extent(0), heads, value_dim);
    stepscan::softmax_scan<S>(in, end.view(), y, lse, schedule, workspace);
    stepscan::softmax_scan_backward<S>(in, start.view(), {y, lse, std::as_const(dy), std::as_const(dlse), dlogits, dv},
                                       dstate.view(), schedule, workspace);
    Results results;
    const auto add = [&](const char* name, const auto& tensor) { results.add(name, tensor.span()); };
    add("out/y", std::as_const(y));
    add("out/lse", std::as_const(lse));
    add("grad/in/logits", std::as_const(dlogits));
    add("grad/in/v", std::as_const(dv));
    detail::add_tree(results, "out/state.", own_name, 0, end);
    detail::add_tree(results, "grad/in/state.", own_name, 0, dstate);
    return results;
  }
};

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const Index heads = golden.config.size("heads"), value_dim = golden.config.size("value_dim");
  SoftmaxCase<S> softmax(golden, heads, value_dim);
  golden.check_all_read();
  const auto form = [&](const char* name, const std::vector<stepscan::ScanSchedule>& schedules) {
    session.form(name, false, [&](const auto& compare) {
      for (const auto& schedule : schedules) compare(softmax.run(schedule), true);
    });
  };
  form("recurrent", {{1, false}});
  form("chunked", {{0, false}, {4, false}});
  form("parallel", {{0, true}, {1, true}, {4, true}});
}

}  // namespace

Family softmax_scan_family() { return {"softmax_scan", run_case<float>, run_case<double>}; }

}  // namespace conformance
