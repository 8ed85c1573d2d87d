#pragma once

#include <cmath>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/projected.hpp>
#include <stepscan/layers/softmax_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Attention as a recurrence ("Attention as an RNN", arXiv 2405.13956, section 3.3): a learned query attends to all
/// tokens so far, in constant memory.
///   q = wq query + bq,   k_t = wk x_t + bk,   v_t = wv x_t + bv,   split into heads
///   o_t = softmax over j <= t of (scale q.k_j), times v_j, of every head;   y_t = wo o_t + bo
/// x, y [batch, time, Features], Features a multiple of Heads. Parameters query [Features], wq, wk, wv, wo [Features,
/// Features], and with WithBias bq, bk, bv, bo [Features]; state m, u, w of SoftmaxScan. As the query does not change,
/// the keys are never made: with f_h = scale wk_h^T q_h a logit is f_h.x_t + scale q_h.bk_h, and the layer a
/// SoftmaxScan between two projections, which is what its plan is.
template <Scalar S, Index Features, Index Heads, bool WithBias = true, class Default = Chunked<>>
class Aaren : public Layer<Aaren<S, Features, Heads, WithBias, Default>, S, Features, Features> {
 public:
  static constexpr const char* name = "Aaren";
  /// What the layer is once its query is folded into the keys' weights.
  using Folded =
      Projected<SoftmaxScan<S, Dynamic, Dynamic, Default>, Linear<S, Features, Dynamic>, Linear<S, Dynamic, Features>>;
  using State = typename Folded::State;
  using DefaultForm = Default;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  template <class Form>
  static constexpr Index block_tokens =
      detail::PartsBlock<std::conditional_t<std::same_as<Form, OwnForm>, Default, Form>>::tokens;

  Tensor<S, Features> query;
  Tensor<S, Features, Features> wq, wk, wv, wo;
  Tensor<S, Features> bq, bk, bv, bo;  ///< zero, and no parameters, without WithBias
  S scale{1};                          ///< multiplies q.k; (Features / Heads)^-0.5 unless set

  static constexpr auto fields() {
    const auto weights = std::tuple{Field{"query", &Aaren::query}, Field{"wq", &Aaren::wq}, Field{"wk", &Aaren::wk},
                                    Field{"wv", &Aaren::wv}, Field{"wo", &Aaren::wo}};
    if constexpr (WithBias) {
      return std::tuple_cat(weights, std::tuple{Field{"bq", &Aaren::bq}, Field{"bk", &Aaren::bk},
                                                Field{"bv", &Aaren::bv}, Field{"bo", &Aaren::bo}});
    } else {
      return weights;
    }
  }

  Aaren() : Aaren(std::max<Index>(Features, 0), std::max<Index>(Heads, 0)) {}
  /// All parameters zero. Throws ShapeError when heads do not divide features or a size differs from a static one.
  Aaren(Index features, Index heads)
      : query(features),
        wq(features, features),
        wk(features, features),
        wv(features, features),
        wo(features, features),
        bq(features),
        bk(features),
        bv(features),
        bo(features),
        heads_(heads) {
    if (heads > 0 ? features % heads != 0 : features != 0) {
      fail<ShapeError>(std::string(name) + ": expected features that are a multiple of heads, found " +
                       std::to_string(features) + " and " + std::to_string(heads));
    }
    if (features > 0) scale = static_cast<S>(1 / std::sqrt(static_cast<double>(features / heads)));
  }

  /// The query from the unit normal distribution, weights with a variance of 1 / Features, biases zero. The paper gives
  /// none.
  void initialize(Random& random) {
    const double deviation = 1 / std::sqrt(static_cast<double>(query.size()));
    for (S& value : query) value = static_cast<S>(random.normal());
    for (auto* weight : {&wq, &wk, &wv, &wo}) {
      for (S& value : *weight) value = static_cast<S>(deviation * random.normal());
    }
    for (auto* bias : {&bq, &bk, &bv, &bo}) bias->fill(S{0});
  }

  [[nodiscard]] Index heads() const noexcept { return heads_; }
  [[nodiscard]] Index head_dim() const noexcept { return heads_ == 0 ? 0 : query.size() / heads_; }
  [[nodiscard]] Index input_size() const noexcept { return query.size(); }
  [[nodiscard]] Index output_size() const noexcept { return query.size(); }

  /// No token seen.
  [[nodiscard]] State initial_state(Index batch) const {
    return {attention().initial_state(batch), Scratch<S>(2 * batch * attention().input_size())};
  }

  /// Feature i of the query as all heads see it.
  [[nodiscard]] S query_feature(Index i) const noexcept {
    return dot(wq.data() + i * query.size(), query.data(), query.size()) + bq[i];
  }

  /// f [Features] of head h; returns its scale q_h.bk_h.
  S fold_query(Index h, S* f) const noexcept {
    const Index features = query.size();
    S offset{0};
    std::fill_n(f, features, S{0});
    for (Index i = h * head_dim(); i < (h + 1) * head_dim(); ++i) {
      const S q = scale * query_feature(i);
      add_scaled(q, wk.data() + i * features, f, features);
      offset += q * bk[i];
    }
    return offset;
  }

  /// The same layer, the query folded in.
  [[nodiscard]] Folded folded() const {
    const Index features = query.size();
    Linear<S, Features, Dynamic> before(features, heads_ + features);
    for (Index h = 0; h < heads_; ++h) before.bias[h] = fold_query(h, before.weight.data() + h * features);
    std::copy(wv.begin(), wv.end(), before.weight.begin() + heads_ * features);
    std::copy(bv.begin(), bv.end(), before.bias.begin() + heads_);
    Linear<S, Dynamic, Features> behind(features, features);
    std::copy(wo.begin(), wo.end(), behind.weight.begin());
    std::copy(bo.begin(), bo.end(), behind.bias.begin());
    return Folded(std::move(before), attention(), std::move(behind));
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return folded().template plan<Stored, Math>();
  }

 private:
  friend Layer<Aaren, S, Features, Features>;

  [[nodiscard]] SoftmaxScan<S, Dynamic, Dynamic, Default> attention() const { return {heads_, head_dim()}; }

  /// The part of a state that is a batch member's.
  [[nodiscard]] SoftmaxState<S> member(State& state, Index b) const noexcept {
    const SoftmaxState<S> all = state.scan.view();
    return {all.maximum + b * heads_, all.sum + b * heads_, all.weighted + b * query.size()};
  }

  /// One token from its logits on, behind which there is room for the values.
  void finish_token(const SoftmaxState<S>& state, S* logits, S* heads_out, const S* x, S* y) const noexcept {
    const Index features = query.size();
    S* const values = logits + heads_;
    plain_linear<S>(wv, bv.data(), {x, 1, features}, {values, 1, features});
    softmax_scan_step<S>({heads_, head_dim(), {logits, 1, 1, Index{heads_}}, {values, 1, 1, features}}, state,
                         {heads_out, 1, 1, features});
    plain_linear<S>(wo, bo.data(), {heads_out, 1, features}, {y, 1, features});
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    const Index features = query.size();
    const MatrixView<S> pre(state.between.data(), Index{x.rows}, heads_ + features);
    S* const folded_query = pre.row(x.rows);  // and then what the heads give
    for (Index h = 0; h < heads_ && x.rows > 0; ++h) {
      const S offset = fold_query(h, folded_query);
      for (Index b = 0; b < x.rows; ++b) pre(b, h) = dot<S>(folded_query, x.row(b), features) + offset;
    }
    for (Index b = 0; b < x.rows; ++b) finish_token(member(state, b), pre.row(b), folded_query, x.row(b), y.row(b));
  }

  void run_scan(Recurrent, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const Index features = query.size(), width = heads_ + features;
    const MatrixView<S> weight = workspace.template matrix<S>(heads_, Extent<Dynamic>(features));
    S *const offsets = workspace.template take<S>(heads_), *const pre = workspace.template take<S>(width),
             *const heads_out = workspace.template take<S>(features);
    for (Index h = 0; h < heads_; ++h) offsets[h] = fold_query(h, weight.row(h));
    for (Index b = 0; b < x.batch; ++b) {
      for (Index t = 0; t < x.length(b); ++t) {
        for (Index h = 0; h < heads_; ++h) pre[h] = dot<S>(weight.row(h), x.token(b, t), features) + offsets[h];
        finish_token(member(state, b), pre, heads_out, x.token(b, t), y.token(b, t));
      }
    }
    clear_padding(x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const Index features = query.size(), width = heads_ + features;
    const MatrixView<S> weight = workspace.template matrix<S>(width, Extent<Dynamic>(features));
    S* const bias = workspace.template take<S>(width);
    for (Index h = 0; h < heads_; ++h) bias[h] = fold_query(h, weight.row(h));
    std::copy(wv.begin(), wv.end(), weight.row(heads_));
    std::copy(bv.begin(), bv.end(), bias + heads_);
    const auto before = packed<S, Dynamic, Features>(weight, workspace);
    const auto behind = packed<S, Features, Features>(wo, workspace);
    for (Index first = 0; first < x.time; first += block_tokens<Form>) {
      const Workspace::Scope block(workspace);
      const Index count = std::min(block_tokens<Form>, x.time - first);
      const SequenceView<const S, Features> in = x.slice(first, count);
      const SequenceView<S> pre = workspace.template sequence<S>(in, Extent<Dynamic>(width));
      const SequenceView<S, Features> heads_out = workspace.template sequence<S>(in, query_extent());
      linear_tokens(before, bias, in, pre);
      softmax_scan<S>(attention().inputs(pre), state.scan.view(), heads_out, {}, detail::schedule_of(form), workspace);
      linear_tokens(behind, bo.data(), SequenceView<const S, Features>(heads_out), y.slice(first, count));
    }
  }

  [[nodiscard]] Extent<Features> query_extent() const noexcept { return query.size(); }

  [[no_unique_address]] Extent<Heads> heads_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
