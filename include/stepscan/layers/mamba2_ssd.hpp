#pragma once

#include <cmath>
#include <limits>
#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/step_bias.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How Mamba2SsdScan makes its steps.
struct SsdOptions {
  bool softplus = true;  ///< of dt + dt_bias
  double low = 0;        ///< steps are kept inside [low, high]
  double high = std::numeric_limits<double>::infinity();
};

/// The state space dual layer of Mamba-2 (arXiv 2405.21060, section 6), an attention by scalar decays with q = C, k = B
/// and v = x:
///   d_t = clamp(softplus(dt_t + dt_bias), low, high),   A = -exp(A_log)
///   S_t = exp(d_t A) S_(t-1) + d_t B_t x_t^T,   y_t = C_t^T S_t + D x_t
/// x = [x | dt | B | C]: x [Heads * HeadDim], dt [Heads] before the softplus, B and C [groups * StateDim], heads in a
/// row sharing a group's. Parameters A_log, D, dt_bias [Heads]; state S [batch, Heads, StateDim, HeadDim], of which the
/// paper's is the transpose. y [Heads * HeadDim].
template <Scalar S, Index Heads, Index HeadDim, Index StateDim, class Default = Chunked<>>
class Mamba2SsdScan
    : public Layer<Mamba2SsdScan<S, Heads, HeadDim, StateDim, Default>, S, Dynamic, static_product(Heads, HeadDim)> {
 public:
  static constexpr const char* name = "Mamba2SsdScan";
  static constexpr Index Inputs = Dynamic;
  static constexpr Index Outputs = static_product(Heads, HeadDim);
  using State = MatrixState<S, Heads, StateDim, HeadDim>;
  using DefaultForm = Default;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using Attention = DecayAttention<S, WeightedDecay<S>>;

  Tensor<S, Heads> A_log;
  Tensor<S, Heads> D;
  Tensor<S, Heads> dt_bias;
  SsdOptions options;

  static constexpr auto fields() {
    return std::tuple{Field{"A_log", &Mamba2SsdScan::A_log}, Field{"D", &Mamba2SsdScan::D},
                      Field{"dt_bias", &Mamba2SsdScan::dt_bias}};
  }

  /// Sizes are needed where they are Dynamic. Throws ShapeError when a size differs from a static one, ArgumentError
  /// when the groups do not divide the heads.
  explicit Mamba2SsdScan(Index groups = 1) : Mamba2SsdScan(most(Heads), most(HeadDim), most(StateDim), groups) {}
  Mamba2SsdScan(Index heads, Index head_dim, Index state_dim, Index groups = 1, const SsdOptions& given = {})
      : A_log(heads),
        D(heads),
        dt_bias(heads),
        options(given),
        head_dim_(head_dim),
        state_dim_(state_dim),
        groups_(groups) {
    if (groups < 1 || heads % groups != 0) {
      fail<ArgumentError>(std::string(name) + ": expected groups that divide the " + std::to_string(heads) +
                          " heads, found " + std::to_string(groups));
    }
  }

  /// A uniform in [1, 16], softplus(dt_bias) log-uniform in [1e-3, 1e-1], D = 1, as the reference implementation.
  void initialize(Random& random) {
    for (Index h = 0; h < heads(); ++h) {
      A_log[h] = static_cast<S>(std::log(random.uniform(1.0, 16.0)));
      D[h] = 1;
      dt_bias[h] = static_cast<S>(detail::random_step_bias(random));
    }
  }

  [[nodiscard]] Index heads() const noexcept { return A_log.size(); }
  [[nodiscard]] Index head_dim() const noexcept { return head_dim_; }
  [[nodiscard]] Index state_dim() const noexcept { return state_dim_; }
  [[nodiscard]] Index groups() const noexcept { return groups_; }
  [[nodiscard]] DecaySizes sizes() const noexcept { return {heads(), state_dim_, head_dim_}; }
  [[nodiscard]] Index input_size() const noexcept { return heads() * (head_dim_ + 1) + 2 * groups_ * state_dim_; }
  [[nodiscard]] Index output_size() const noexcept { return heads() * head_dim_; }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    return State(batch, sizes(), Attention{.sizes = sizes()}.tile_size(1) + 2 * heads());
  }

  /// The parts of an input or of its cotangent.
  template <class T>
  [[nodiscard]] SequenceView<T> values(const SequenceView<T>& x) const noexcept {
    return x.middle_features(0, Extent<Dynamic>(output_size()));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> steps(const SequenceView<T>& x) const noexcept {
    return x.middle_features(output_size(), Extent<Dynamic>(heads()));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> keys(const SequenceView<T>& x) const noexcept {
    return x.middle_features(output_size() + heads(), Extent<Dynamic>(groups_ * state_dim_));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> queries(const SequenceView<T>& x) const noexcept {
    return x.middle_features(output_size() + heads() + groups_ * state_dim_, Extent<Dynamic>(groups_ * state_dim_));
  }

  /// The operator on x; `memory` holds 2 * batch * time * heads numbers for d and d A, which are worked out here.
  [[nodiscard]] Attention attention(const SequenceView<const S>& x, S* memory) const noexcept {
    SequenceView<S> size(memory, x.batch, x.time, heads());
    SequenceView<S> log_decay(memory + x.batch * x.time * heads(), x.batch, x.time, heads());
    for (Index b = 0; b < x.batch; ++b) {
      for (Index t = 0; t < x.length(b); ++t) {
        const S* dt = steps(x).token(b, t);
        for_each_lanes<S>(heads(), [&](Index h, auto lanes) {
          Simd<S> d = lanes.load(dt + h) + lanes.load(dt_bias.data() + h);
          if (options.softplus) d = softplus(d);
          d = clamp(d, static_cast<S>(options.low), static_cast<S>(options.high));
          lanes.store(size.token(b, t) + h, d);
          lanes.store(log_decay.token(b, t) + h, Simd<S>(S{0}) - d * exp(lanes.load(A_log.data() + h)));
        });
      }
    }
    return {.sizes = sizes(),
            .policy = {{}, log_decay, size, {}, {}},
            .q = queries(x),
            .k = keys(x),
            .v = values(x),
            .shared = {.queries = heads() / groups_, .keys = heads() / groups_},
            .skip = D.data()};
  }

 private:
  friend Layer<Mamba2SsdScan, S, Inputs, Outputs>;

  static constexpr Index most(Index size) { return size == Dynamic ? 0 : size; }

  /// A member at a time, for the room of d and d A in the state is for one token.
  void run_step(State& state, MatrixView<const S> x, MatrixView<S, Dynamic, Outputs> y) const noexcept {
    S* const scratch = state.scratch.data();
    const Index state_size = heads() * state_dim_ * head_dim_;
    for (Index b = 0; b < x.rows; ++b) {
      const SequenceView<const S> token(x.row(b), 1, 1, Index{x.cols});
      const SequenceView<S> out(y.row(b), 1, 1, Index{y.cols});
      decay_attention_step(attention(token, scratch), DecayState<S>{state.matrix.data() + b * state_size}, out,
                           scratch + 2 * heads());
    }
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    S* const memory = workspace.template take<S>(2 * x.batch * x.time * heads());
    decay_attention_scan(attention(x, memory), state.view(), SequenceView<S>(y), detail::schedule_of(form),
                         std::same_as<Form, Recurrent>, workspace);
  }

  [[no_unique_address]] Extent<HeadDim> head_dim_;
  [[no_unique_address]] Extent<StateDim> state_dim_;
  Index groups_ = 1;
};

}  // namespace stepscan::inline STEPSCAN_ISA
