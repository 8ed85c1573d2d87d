#include <cmath>
#include <stepscan/ops/attention.hpp>
#include <stepscan/ops/attention_sink.hpp>
#include <stepscan/ops/attention_weights.hpp>
#include <stepscan/ops/block_topk.hpp>
#include <stepscan/ops/prob_sparse.hpp>
#include <stepscan/ops/vertical_slash.hpp>

#include "job.hpp"

// Attention whose keys, or queries, are chosen by a look at whole sequences cannot be streamed and is no layer.

namespace {

using namespace stepscan;
using namespace stepscan::patterns;

constexpr Index heads = 4;

/// x = [q | k | v], four heads each.
class ChoosingAttention : public main_job::Face {
 public:
  explicit ChoosingAttention(Index width) : width_(width) {}

  [[nodiscard]] Index input_size() const { return 3 * width_; }
  [[nodiscard]] Index output_size() const { return width_; }

 protected:
  [[nodiscard]] AttentionInputs<float> inputs(const SequenceView<const float>& x) const {
    const auto part = [&](Index i) { return x.middle_features(i * width_, Extent<Dynamic>(width_)); };
    const Index dim = width_ / heads;
    return {{heads, heads, dim, dim}, 1 / std::sqrt(static_cast<float>(dim)), part(0), part(1), part(2)};
  }

  /// To what a pattern shows of the past: one query after another, or blocks of them.
  template <class Form, class Pattern>
  static void attend(const Form&, const AttentionInputs<float>& in, const Pattern& pattern, SequenceView<float> y,
                     Workspace& workspace) {
    const Index together = std::same_as<Form, Recurrent> ? 1 : 0;
    attention_scan(SoftmaxWeights<float>(), And(Causal(), pattern), in, y, {together, false}, workspace);
  }

 private:
  Index width_;
};

/// 64 columns and 64 distances, estimated from the last 64 queries.
struct VerticalSlashAttention : ChoosingAttention {
  using ChoosingAttention::ChoosingAttention;

  template <class Form>
  void scan(NoState&, SequenceView<const float> x, SequenceView<float> y, Workspace& workspace,
            const Form& form) const {
    const AttentionInputs<float> in = inputs(x);
    const auto lines = estimate_vertical_slash<float>(in, {64, 64, 64, 30, 30}, workspace);
    attend(form, in, Or(lines.columns(), lines.slashes()), y, workspace);
  }
};

/// The four likeliest blocks of 64 keys for every 64 queries.
struct BlockTopkAttention : ChoosingAttention {
  using ChoosingAttention::ChoosingAttention;

  template <class Form>
  void scan(NoState&, SequenceView<const float> x, SequenceView<float> y, Workspace& workspace,
            const Form& form) const {
    const AttentionInputs<float> in = inputs(x);
    const auto choice = choose_blocks<float>(in, 64, 4);
    attend(form, in, choice.pattern(), y, workspace);
  }
};

/// The queries that the paper's factor of 5 takes, causal; samples are drawn for every scan.
struct ProbSparseAttention : ChoosingAttention {
  using ChoosingAttention::ChoosingAttention;
  static constexpr bool any_form = true;

  void scan(NoState&, SequenceView<const float> x, SequenceView<float> y, Workspace& workspace, OwnForm) const {
    const Index count = ProbSparse::default_count(5, x.time);
    std::vector<Index> drawn(static_cast<std::size_t>(x.time * count));
    Random random(1);
    for (Index& key : drawn) key = static_cast<Index>(random.below(static_cast<std::uint32_t>(x.time)));
    const ProbSparse options{drawn, count, count, true};
    const AttentionInputs<float> in = inputs(x);
    prob_sparse_attention<float>(in, options, choose_queries<float>(in, options), y, workspace);
  }
};

/// How much attention every token gets from those behind it, per head: of weights that a causal attention writes out.
struct AttentionSinkMetric : ChoosingAttention {
  using ChoosingAttention::ChoosingAttention;
  static constexpr bool any_form = true;

  [[nodiscard]] Index output_size() const { return heads; }

  void scan(NoState&, SequenceView<const float> x, SequenceView<float> y, Workspace& workspace, OwnForm) const {
    const Workspace::Scope scope(workspace);
    const AttentionInputs<float> in = inputs(x);
    float* const weights = workspace.take<float>(heads * x.time * x.time);
    const MatrixView<float> importance(workspace.take<float>(heads * x.time), heads, x.time);
    float* const percent = workspace.take<float>(x.time);
    for (Index b = 0; b < x.batch; ++b) {
      for (Index h = 0; h < heads; ++h) {
        attention_weights<SoftmaxWeights<float>, Causal, float>(
            {}, {}, in, b, h, {weights + h * x.time * x.time, x.time, x.time}, workspace);
      }
      attention_sink_metric<float>(weights, heads, x.time, 0.3F, importance, percent);
      for (Index t = 0; t < x.time; ++t) {
        for (Index h = 0; h < heads; ++h) y.token(b, t)[h] = importance(h, t);
      }
    }
  }
};

}  // namespace

std::vector<main_job::Entry> main_job::chosen_attention() {
  return {faced<VerticalSlashAttention>("vertical_slash_attention"), faced<BlockTopkAttention>("block_topk_attention"),
          faced<ProbSparseAttention>("prob_sparse_attention"), faced<AttentionSinkMetric>("attention_sink_metric")};
}
