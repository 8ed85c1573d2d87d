#pragma once

#include <conformance/trees.hpp>
#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/attention_step.hpp>

/// What cases of attention share: queries, keys and values with their own numbers of tokens and heads, a cache in front
/// of the keys, log sums. They run the operator.
namespace conformance {

using stepscan::AttentionHead;
using stepscan::TokenRange;
using stepscan::Visibility;

/// Causal or full, as the case says.
struct CausalOrFull : stepscan::patterns::Interval<CausalOrFull> {
  bool causal = true;
  explicit CausalOrFull(bool is_causal) : causal(is_causal) {}
  [[nodiscard]] TokenRange seen(Index query) const noexcept {
    return causal ? TokenRange{0, query + 1} : stepscan::patterns::everywhere;
  }
};

template <Scalar S>
class AttentionCase {
 public:
  using Sequence = detail::Sequence<S>;

  stepscan::AttentionSizes n;
  S scale{1};

  explicit AttentionCase(Case& golden)
      : golden_(golden), cached_(golden.config.has("state_keys") && golden.config.size("state_keys", 0) > 0) {
    const std::vector<Index>&q = golden.shape("in/q"), &k = golden.shape("in/k"), &v = golden.shape("in/v");
    if (q.size() != 4 || k.size() != 4 || v.size() != 4) {
      stepscan::fail<ShapeError>("in/q, in/k, in/v: expected [batch, time, heads, dim]");
    }
    n = {golden.config.size("heads"), k[2], golden.config.size("head_dim"), v[3]};
    if (golden.config.has("kv_heads")) n.kv_heads = golden.config.size("kv_heads");
    if (golden.config.has("value_dim")) n.value_dim = golden.config.size("value_dim");
    if (n.heads % n.kv_heads != 0) stepscan::fail<ShapeError>("config: expected heads to be a multiple of kv_heads");
    scale = static_cast<S>(golden.config.number("scale"));
    q_ = read("in/q", n.heads, n.key_dim);
    k_ = with_cache("in/", "k", n.key_dim);
    v_ = with_cache("in/", "v", n.value_dim);
    if (k_.extent(0) != q_.extent(0) || v_.extent(0) != q_.extent(0) || v_.extent(1) != k_.extent(1)) {
      stepscan::fail<ShapeError>("in/q, in/k, in/v: expected one batch, and as many values as keys");
    }
    dy_ = Sequence(q_.extent(0), q_.extent(1), n.heads * n.value_dim);
    dlse_ = Sequence(q_.extent(0), q_.extent(1), n.heads);
    if (golden.has("cot/y")) dy_ = read("cot/y", n.heads, n.value_dim);
    if (golden.has("cot/lse")) dlse_ = detail::read_sequence<S>(golden, "cot/lse", false, n.heads);
    require_like(dy_, "cot/y");
    require_like(dlse_, "cot/lse");
    lengths_.assign(static_cast<std::size_t>(q_.extent(0)), k_.extent(1));
    const bool padded = golden.config.has("key_lengths") && golden.config.flag("key_lengths");
    if (padded) {
      golden.require_shape("in/key_lengths", {q_.extent(0)});
      const std::vector<std::int64_t> lengths = golden.integers("in/key_lengths");
      for (std::size_t b = 0; b < lengths.size(); ++b) {
        if (lengths[b] < 0 || lengths[b] > k_.extent(1)) {
          stepscan::fail<ShapeError>("in/key_lengths: expected numbers of keys");
        }
        lengths_[b] = static_cast<Index>(lengths[b]);
      }
    }
    position = k_.extent(1) - q_.extent(1);
  }

  Index position = 0;  ///< of the first query among the keys
  [[nodiscard]] Index queries() const noexcept { return q_.extent(1); }
  [[nodiscard]] Index keys() const noexcept { return k_.extent(1); }
  [[nodiscard]] Index batch() const noexcept { return q_.extent(0); }
  [[nodiscard]] const Sequence& dy() const noexcept { return dy_; }

  [[nodiscard]] stepscan::AttentionInputs<S> inputs(const stepscan::AttentionStart<S>& start = {}) const {
    const stepscan::SequenceView<const S> k(k_), v(v_);
    return {n, scale, q_, k.ragged(lengths_), v.ragged(lengths_), start, position};
  }

  /// How query t of batch member b is taken alone.
  using Step =
      std::function<void(const stepscan::AttentionInputs<S>&, Index b, Index t, S* y, S* scratch, S* maximum, S* sum)>;
  /// A step that sees the first count(position) keys.
  template <class Fold>
  [[nodiscard]] Step step_over(const Fold& fold, const std::function<Index(Index)>& count) const {
    if (!count) return {};
    return [=, this](const auto& in, Index b, Index t, S* y, S* scratch, S* maximum, S* sum) {
      const Index seen = std::clamp<Index>(count(position + t), 0, lengths_[static_cast<std::size_t>(b)]);
      stepscan::attention_step(fold, in, in.query(b, 0, t), in.k.token(b, 0), in.v.token(b, 0), seen, y, scratch,
                               maximum, sum);
    };
  }

  /// Outputs and gradients of the operator; of queries one by one where a step is given.
  template <class Fold, class Pattern>
  Results run(const Fold& fold, const Pattern& pattern, const stepscan::ScanSchedule& schedule,
              const stepscan::AttentionStart<S>& start = {}, const stepscan::AttentionStartCotangents<S>& dstart = {},
              const Step& step = {}) const {
    const auto in = inputs(start);
    stepscan::Workspace workspace;
    Sequence y(dy_.shape()), maximum(dlse_.shape()), sum(dlse_.shape()), lse(dlse_.shape());
    Sequence dq(q_.shape()), dk(k_.shape()), dv(v_.shape());
    if (step) {
      Tensor<S, Dynamic> scratch(stepscan::detail::attention_step_size(n));
      for (Index b = 0; b < batch(); ++b) {
        for (Index t = 0; t < queries(); ++t) {
          step(in, b, t, &y(b, t, 0), scratch.data(), &maximum(b, t, 0), &sum(b, t, 0));
        }
      }
    } else {
      stepscan::attention_scan<Fold, Pattern, S>(fold, pattern, in, y, schedule, workspace, {maximum, sum});
    }
    const stepscan::AttentionCotangents<S> to{y, std::as_const(dy_), std::as_const(dlse_), dq, dk, dv};
    stepscan::attention_scan_backward<Fold, Pattern, S>(fold, pattern, in, {maximum, sum}, to, workspace);
    stepscan::attention_start_backward<S>(in, {maximum, sum}, to, dstart);
    Results results;
    results.add("out/y", std::as_const(y).span());
    if constexpr (Fold::shifts) {
      stepscan::attention_log_sums<S>({maximum, sum}, lse);
      results.add("out/lse", std::as_const(lse).span());
    }
    results.add("grad/in/q", std::as_const(dq).span());
    add_keys(results, "k", k_, dk, n.key_dim);
    add_keys(results, "v", v_, dv, n.value_dim);
    return results;
  }

 private:
  Sequence read(const std::string& name, Index heads, Index dim) {
    const std::vector<Index>& shape = golden_.shape(name);
    golden_.require_shape(name, {shape[0], shape[1], heads, dim});
    return detail::read_sequence<S>(golden_, name, false, heads * dim);
  }
  void require_like(const Sequence& sequence, const std::string& name) const {
    if (sequence.extent(0) != q_.extent(0) || sequence.extent(1) != q_.extent(1)) {
      stepscan::fail<ShapeError>(name + ": expected the batch and time of in/q");
    }
  }
  /// The cache of keys or values, and the new ones behind it.
  Sequence with_cache(const std::string& prefix, const std::string& name, Index dim) {
    const Sequence added = read(prefix + name, n.kv_heads, dim);
    if (!cached_) return added;
    const Sequence before = read(prefix + "state." + name, n.kv_heads, dim);
    if (before.extent(0) != added.extent(0))
      stepscan::fail<ShapeError>("in/state." + name + ": expected the batch of in/" + name);
    cache_ = before.extent(1);
    Sequence all(added.extent(0), cache_ + added.extent(1), added.extent(2));
    for (Index b = 0; b < all.extent(0) && all.size() > 0; ++b) {
      std::copy_n(before.data() + b * cache_ * all.extent(2), cache_ * all.extent(2), &all(b, 0, 0));
      std::copy_n(added.data() + b * added.extent(1) * all.extent(2), added.extent(1) * all.extent(2),
                  &all(b, cache_, 0));
    }
    return all;
  }
  /// The last cache, which is all keys, and the gradients, with the cotangent of that cache.
  void add_keys(Results& results, const std::string& name, const Sequence& all, Sequence& d, Index dim) const {
    if (cached_) results.add("out/state." + name, all.span());
    if (golden_.has("cot/state." + name)) {
      const auto cotangent = detail::read_sequence<S>(golden_, "cot/state." + name, false, n.kv_heads * dim);
      if (cotangent.shape() != d.shape()) stepscan::fail<ShapeError>("cot/state." + name + ": expected all keys");
      for (Index i = 0; i < d.size(); ++i) d[i] += cotangent[i];
    }
    const Index row = d.extent(2), rows = d.extent(1);
    for (Index b = 0; b < d.extent(0); ++b) {
      const std::span<const S> own = std::as_const(d).span().subspan(static_cast<std::size_t>(b * rows * row),
                                                                     static_cast<std::size_t>(rows * row));
      const auto split = static_cast<std::size_t>(cache_ * row);
      if (cached_) results.add("grad/in/state." + name, own.first(split));
      results.add("grad/in/" + name, own.subspan(split));
    }
  }

  Case& golden_;
  bool cached_ = false;
  Index cache_ = 0;
  Sequence q_, k_, v_, dy_, dlse_;
  std::vector<Index> lengths_;
};

/// Reads what a run reads of the case besides, then runs an attention that sees all keys, or all up to its own, in
/// every form.
template <class Run>
void run_attention_forms(Case& golden, Session& session, Run&& run) {
  for (const char* name : {"cot/state.k", "cot/state.v"}) {
    if (golden.has(name)) static_cast<void>(golden.values(name));
  }
  golden.check_all_read();
  using Schedule = stepscan::ScanSchedule;
  session.form("recurrent", false, [&](const auto& compare) { compare(run(Schedule{1, false}, true), true); });
  session.form("chunked", false, [&](const auto& compare) {
    for (const Index chunk : {0, 4}) compare(run(Schedule{chunk, false}, false), true);
  });
  session.form("parallel", false, [&](const auto& compare) {
    for (const Index chunk : {0, 4}) compare(run(Schedule{chunk, true}, false), true);
  });
}

/// The keys that query i sees, for queries taken one by one.
inline std::function<Index(Index)> keys_seen(bool one_by_one, bool causal, Index keys) {
  if (!one_by_one) return {};
  return [=](Index i) { return causal ? i + 1 : keys; };
}

}  // namespace conformance
