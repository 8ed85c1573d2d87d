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
  using Folded = Projected<SoftmaxScan<S, Dynamic, Dynamic, Default>, Linear<S, Features, Dynamic>,
                           Linear<S, Dynamic, Features>>;
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
  [[nodiscard]] S query_feature(Index i) const noexcept { return dot(wq.data() + i * query.size(), query.data(), query.size()) + bq[i]; }

  /// f [Features] of head h; returns its scale q_h.bk_h.
  S fold_query(Index h, S* f) const noexcept {
    const Index features = query.size();
    S offset{0};
    std::fill_n(f, features, S{0});
    for (Index i = h * head_dim(); i < (h + 1) * head_dim(); ++i) {
      const S q = scale * query_feature(i);
      const S* const row = wk.data() + i * features;
      for_each_lanes<S>(features, [&](Index c, auto lanes) {
        lanes.store(f + c, fma(Simd<S>(q), lanes.load(row + c), lanes.load(f + c)));
      });
      offset += q * bk[i];
    }
    return offset;
  }

  /// The same layer, the query folded in.
  [[nodiscard]] Folded folded() const {
    const Index features = query.size();
    Linear<S, Features, Dynamic> before(features, heads_ + features);
    fold_into(before.weight, before.bias.data());
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

  /// Weights [heads + Features, Features] and bias of the projection to logits and values.
  void fold_into(MatrixView<S> weight, S* bias) const noexcept {
    for (Index h = 0; h < heads_; ++h) bias[h] = fold_query(h, weight.row(h));
    std::copy(wv.begin(), wv.end(), weight.row(heads_));
    std::copy(bv.begin(), bv.end(), bias + heads_);
  }

  /// From logits on; `pre` holds them and has room for the values, `between` for what the heads give.
  void finish_step(State& state, MatrixView<S> pre, S* between, MatrixView<const S> x, MatrixView<S> y) const noexcept {
    const Index features = query.size(), rows = x.rows;
    plain_linear<S>(wv, bv.data(), x, pre.middle_cols(heads_, features));
    SequenceView<const S> logits(pre.data, rows, 1, Index{heads_});
    SequenceView<const S> values(pre.data + heads_, rows, 1, features);
    logits.batch_stride = values.batch_stride = pre.stride;
    softmax_scan_step<S>({heads_, head_dim(), logits, values}, state.scan.view(), {between, rows, 1, features});
    plain_linear<S>(wo, bo.data(), MatrixView<const S>(between, rows, features), y);
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    const Index width = heads_ + query.size();
    const MatrixView<S> pre(state.between.data(), Index{x.rows}, width);
    S* const between = pre.data + x.rows * width;  // holds f until the logits are there
    for (Index h = 0; h < heads_ && x.rows > 0; ++h) {
      const S offset = fold_query(h, between);
      for (Index b = 0; b < x.rows; ++b) pre(b, h) = dot<S>(between, x.row(b), query.size()) + offset;
    }
    finish_step(state, pre, between, x, y);
  }

  void run_scan(Recurrent, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const Index features = query.size(), width = heads_ + features;
    const MatrixView<S> weight = workspace.template matrix<S>(width, Extent<Dynamic>(features));
    S* const bias = workspace.template take<S>(width);
    fold_into(weight, bias);
    const MatrixView<S> pre = workspace.template matrix<S>(1, Extent<Dynamic>(width));
    S* const between = workspace.template take<S>(features);
    SoftmaxState<S> all = state.scan.view();
    for (Index b = 0; b < x.batch; ++b) {
      const SoftmaxState<S> own{all.maximum + b * heads_, all.sum + b * heads_, all.weighted + b * features};
      for (Index t = 0; t < x.length(b); ++t) {
        for (Index h = 0; h < heads_; ++h) pre(0, h) = dot<S>(weight.row(h), x.token(b, t), features) + bias[h];
        finish_row(own, pre, between, x.token(b, t), y.token(b, t));
      }
    }
    clear_padding(x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const;

  [[no_unique_address]] Extent<Heads> heads_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
