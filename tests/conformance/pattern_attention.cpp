#include <algorithm>
#include <conformance/attention.hpp>
#include <stepscan/ops/key_lists.hpp>
#include <stepscan/ops/pattern_step.hpp>
#include <support/any_pattern.hpp>

namespace conformance {

namespace {

using namespace stepscan::patterns;
using stepscan::testing::AnyPattern;

/// The pairs that a pattern shows, as the case writes them: a mask, and its blocks.
void add_blocks(Results& results, const AnyPattern& pattern, const stepscan::AttentionSizes& n, Index heads,
                Index position, Index queries, Index keys, Index block_q, Index block_k) {
  std::vector<double> mask, ptr, index, full;
  for (Index h = 0; h < heads; ++h) {
    const AttentionHead head{0, h, h / n.group()};
    const auto sees = [&](Index r, Index j) { return (pattern.row(head, position + r, j) & 1) != 0; };
    for (Index r = 0; r < queries; ++r) {
      for (Index j = 0; j < keys; ++j) mask.push_back(sees(r, j) ? 1 : 0);
    }
    ptr.push_back(static_cast<double>(index.size()));
    for (Index a = 0; a < queries; a += block_q) {
      for (Index c = 0; c < keys; c += block_k) {
        const Index end_q = std::min(a + block_q, queries), end_k = std::min(c + block_k, keys);
        Index seen = 0;
        for (Index r = a; r < end_q; ++r) {
          for (Index j = c; j < end_k; ++j) seen += sees(r, j) ? 1 : 0;
        }
        if (seen == 0) continue;
        index.push_back(static_cast<double>(c / block_k));
        full.push_back(seen == (end_q - a) * (end_k - c) ? 1 : 0);
      }
      ptr.push_back(static_cast<double>(index.size()));
    }
  }
  results.add("out/mask", std::span<const double>(mask));
  results.add("out/block_ptr", std::span<const double>(ptr));
  results.add("out/block_index", std::span<const double>(index));
  results.add("out/block_full", std::span<const double>(full));
}

template <Scalar S>
void run_pattern(Case& golden, Session& session, const AttentionCase<S>& attention, const AnyPattern& pattern) {
  const Index block_q = golden.config.size("block_q"), block_k = golden.config.size("block_k");
  const Index heads = golden.shape("out/mask").front();
  if (heads != 1 && heads != attention.n.heads)
    stepscan::fail<ShapeError>("out/mask: expected one of all heads or one");
  // One query after another where none sees a later key.
  const bool streams = golden.config.flag("causal") && attention.position == attention.keys() - attention.queries();
  run_attention_forms(golden, session, [&](const auto& schedule, bool one_by_one) {
    const auto step = [&](const auto& in, Index b, Index t, S* y, S* scratch, S* maximum, S* sum) {
      const stepscan::KeptTokens kept{attention.position + t + 1, attention.keys(), 0};
      stepscan::pattern_step(stepscan::SoftmaxWeights<S>(), pattern, kept, b, in, in.query(b, 0, t), in.k.token(b, 0),
                             in.v.token(b, 0), y, scratch, maximum, sum);
    };
    using Step = typename AttentionCase<S>::Step;
    Results results = attention.run(stepscan::SoftmaxWeights<S>(), pattern, schedule, {}, {},
                                    one_by_one && streams ? Step(step) : Step());
    add_blocks(results, pattern, attention.n, heads, attention.position, attention.queries(), attention.keys(), block_q,
               block_k);
    return results;
  });
}

/// A list [heads, count] of positions.
struct Positions {
  std::vector<Index> values;
  Index count = 0;

  Positions(Case& golden, const std::string& name, Index heads) : count(golden.shape(name).back()) {
    golden.require_shape(name, {heads, count});
    for (const auto value : golden.integers(name)) values.push_back(static_cast<Index>(value));
    for (Index h = 0; h < heads; ++h) std::sort(values.begin() + h * count, values.begin() + (h + 1) * count);
  }
  [[nodiscard]] PositionLists lists(Index heads) const { return {values, heads, count}; }
};

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  AttentionCase<S> attention(golden);
  if (config.has("offset")) attention.position = config.size("offset", 0);
  const CausalOrFull causal(config.flag("causal"));
  const Index heads = attention.n.heads;
  const std::vector<std::string> kinds{"sliding_window", "sink_window",  "tri_shape",     "dilated",
                                       "strided",        "block_sparse", "vertical_slash"};
  const std::size_t kind = config.choice("kind", kinds);
  if (kind <= 2) {
    const Window<> window(config.size("window"));
    const Sinks<> sinks(kind == 0 ? 0 : config.size("sink", 0));
    const LastQueries last{kind == 2 ? attention.position + attention.queries() - config.size("last", 0)
                                     : everywhere.end};
    run_pattern(golden, session, attention, AnyPattern(And(causal, Or(window, sinks, last))));
  } else if (kind == 3) {
    const Index dilation = config.size("dilation");
    run_pattern(golden, session, attention,
                AnyPattern(And(causal, Window<>(config.size("window") * dilation), Dilation{dilation})));
  } else if (kind == 4) {
    const Index kv_heads = attention.n.kv_heads, dense = config.size("dense_heads", 0);
    const Strided strided{config.size("local_blocks", 0), config.size("stride"), config.size("head_step", 0),
                          config.size("head_offset", 0), kv_heads - dense};
    run_pattern(golden, session, attention, AnyPattern(And(causal, Blocks<Strided>{config.size("block"), strided})));
  } else if (kind == 5) {
    const std::vector<Index> shape = golden.shape("in/layout");
    if (shape.size() != 3 || (shape[0] != 1 && shape[0] != heads)) {
      stepscan::fail<ShapeError>("in/layout: expected [heads or 1, query blocks, key blocks]");
    }
    std::vector<std::uint8_t> layout;
    for (const auto value : golden.integers("in/layout")) layout.push_back(value != 0);
    run_pattern(golden, session, attention,
                AnyPattern(And(causal, Blocks<Layout>{config.size("block"), {layout, shape[0], shape[1], shape[2]}})));
  } else {
    const Positions columns(golden, "in/vertical", heads), distances(golden, "in/slash", heads);
    run_pattern(golden, session, attention,
                AnyPattern(And(causal, Or(Columns{columns.lists(heads)}, Slashes{distances.lists(heads)}))));
  }
}

}  // namespace

Family pattern_attention_family() { return {"pattern_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
