#include <conformance/attention.hpp>
#include <stepscan/ops/vertical_slash.hpp>

namespace conformance {

namespace {

using namespace stepscan::patterns;

/// The pairs that a pattern shows to every head of every batch member.
template <Scalar S, class Pattern>
std::vector<double> mask_of(const AttentionCase<S>& attention, const Pattern& pattern) {
  std::vector<double> mask;
  for (Index b = 0; b < attention.batch(); ++b) {
    for (Index h = 0; h < attention.n.heads; ++h) {
      const AttentionHead head{b, h, h / attention.n.group()};
      for (Index i = 0; i < attention.queries(); ++i) {
        for (Index j = 0; j < attention.keys(); ++j) mask.push_back((pattern.row(head, i, j) & 1) != 0 ? 1 : 0);
      }
    }
  }
  return mask;
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const AttentionCase<S> attention(golden);
  if (attention.keys() != attention.queries()) stepscan::fail<ShapeError>("in/k: expected as many keys as queries");
  const bool exact = config.choice("cover", {"exact", "block"}) == 0;
  const Index block = config.size("block_q");
  const stepscan::VerticalSlashOptions options{config.size("vertical_size", 0), config.size("slash_size", 0),
                                               config.size("last_q"), config.size("forced_vertical", 0),
                                               config.size("forced_slash", 0)};
  run_attention_forms(golden, session, [&](const auto& schedule, bool) {
    stepscan::Workspace workspace;
    const auto lines = stepscan::estimate_vertical_slash<S>(attention.inputs(), options, workspace);
    const auto run = [&](const auto& pattern) {
      Results results = attention.run(stepscan::SoftmaxWeights<S>(), pattern, schedule);
      const std::vector<double> mask = mask_of(attention, pattern);
      results.add("out/mask", std::span<const double>(mask));
      return results;
    };
    const auto cover = stepscan::cover_slashes(lines, attention.queries(), block);
    Results results = exact ? run(And(Causal(), Or(lines.columns(), lines.slashes())))
                            : run(And(Causal(), Or(lines.columns(), cover.pattern())));
    results.add("out/vertical_score", lines.vertical_score.span());
    results.add("out/slash_score", lines.slash_score.span());
    for (const auto& [name, chosen] : {std::pair{"out/vertical", &lines.vertical}, {"out/slash", &lines.slash}}) {
      const std::vector<double> positions(chosen->begin(), chosen->end());
      results.add(name, std::span<const double>(positions));
    }
    return results;
  });
}

}  // namespace

Family vertical_slash_attention_family() { return {"vertical_slash_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
