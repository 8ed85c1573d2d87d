#pragma once

#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/selective_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// conv [batch, Width - 1, Inner], what entered the convolution last; ssm [batch, StateSize, Inner]; and the scratch of
/// one step.
template <Scalar S, Index Inner, Index StateSize, Index Width>
struct MambaState {
  CausalConv1dState<S, Inner, Width> conv;
  SelectiveScanState<S, Inner, StateSize> ssm;
  Scratch<S> scratch;
  static constexpr auto fields() {
    constexpr auto scan_state = [](auto& state) -> auto& { return state.ssm.h; };
    return std::tuple{Field{"", &MambaState::conv}, Field{"ssm", scan_state}};
  }
};

namespace detail {

/// What lies between the parts of a Mamba block, for some tokens; made(features) gives room for one of them.
template <Scalar S>
struct MambaTokens {
  SequenceView<S> xz, x, weights, delta, y;
  Index inner, rank, states;

  template <class Make>
  MambaTokens(Index inner_size, Index delta_rank, Index state_size, Make&& make)
      : xz(make(2 * inner_size)),
        x(make(inner_size)),
        weights(make(delta_rank + 2 * state_size)),
        delta(make(inner_size)),
        y(make(inner_size)),
        inner(inner_size),
        rank(delta_rank),
        states(state_size) {}

  [[nodiscard]] static constexpr Index features(Index inner, Index rank, Index states) noexcept {
    return 5 * inner + rank + 2 * states;
  }

  [[nodiscard]] SequenceView<S> before_conv() const noexcept { return xz.middle_features(0, Extent<Dynamic>(inner)); }
  [[nodiscard]] SequenceView<S> z() const noexcept { return xz.middle_features(inner, Extent<Dynamic>(inner)); }
  [[nodiscard]] SequenceView<S> r() const noexcept { return weights.middle_features(0, Extent<Dynamic>(rank)); }
  [[nodiscard]] SelectiveSequences<S> sequences() const noexcept {
    return {x, delta, weights.middle_features(rank, Extent<Dynamic>(states)),
            weights.middle_features(rank + states, Extent<Dynamic>(states)), z()};
  }
  [[nodiscard]] SelectiveInputs<S> inputs() const noexcept {
    const SelectiveSequences<S> all = sequences();
    return {all.u, all.delta, all.B, all.C, all.z};
  }
};

}  // namespace detail

/// What a Mamba block and its plan share. Self has the members in_proj, conv, x_proj, dt_proj and out_proj, layers or
/// plans, and provides scan_parameters().
template <class Self, Scalar S, Index Model, Index Inner, Index StateSize, Index Width, class Math, class Default>
class MambaLayer : public Layer<Self, S, Model, Model> {
 public:
  using State = MambaState<S, Inner, StateSize, Width>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using DefaultForm = Default;
  template <class Form>
  static constexpr Index block_tokens =
      detail::PartsBlock<std::conditional_t<std::same_as<Form, OwnForm>, Default, Form>>::tokens;

  [[nodiscard]] Index input_size() const noexcept { return self().in_proj.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return self().out_proj.output_size(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    const SelectiveLayout layout = self().scan_parameters().layout;
    const Index token = detail::MambaTokens<S>::features(layout.features, rank(), layout.state_size);
    return {self().conv.initial_state(batch),
            {decltype(SelectiveScanState<S, Inner, StateSize>::h)(batch, layout.state_size, layout.features),
             Scratch<S>(selective_step_room<S>(layout))},
            Scratch<S>(batch * token)};
  }

 protected:
  MambaLayer() = default;

 private:
  friend Layer<Self, S, Model, Model>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] Index rank() const noexcept { return self().dt_proj.input_size(); }

  void run_step(State& state, MatrixView<const S, Dynamic, Model> u, MatrixView<S, Dynamic, Model> out) const noexcept {
    const SelectiveParameters<S> p = self().scan_parameters();
    S* next = state.scratch.data();
    const detail::MambaTokens<S> m(p.layout.features, rank(), p.layout.state_size, [&](Index features) {
      S* data = next;
      next += u.rows * features;
      return SequenceView<S>(data, Index{u.rows}, 1, features);
    });
    NoState none;
    self().in_proj.step(none, u, m.xz.frame(0));
    self().conv.step(state.conv, m.before_conv().frame(0), m.x.frame(0));
    self().x_proj.step(none, m.x.frame(0), m.weights.frame(0));
    self().dt_proj.step(none, m.r().frame(0), m.delta.frame(0));
    selective_scan_step<Math, S>(p, m.inputs(), planes_data(state.ssm.h), m.y, state.ssm.scratch.data());
    self().out_proj.step(none, m.y.frame(0), out);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Model> u, SequenceView<S, Model> out,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const SelectiveParameters<S> p = pack_parameters(self().scan_parameters(), workspace);
    NoState none;
    for (Index start = 0; start < u.time; start += block_tokens<Form>) {
      const Workspace::Scope block(workspace);
      const Index count = std::min(block_tokens<Form>, u.time - start);
      const SequenceView<const S, Model> in = u.slice(start, count);
      const detail::MambaTokens<S> m(p.layout.features, rank(), p.layout.state_size, [&](Index features) {
        return workspace.template sequence<S>(in, Extent<Dynamic>(features));
      });
      self().in_proj.scan(none, in, m.xz, workspace, form);
      self().conv.scan(state.conv, m.before_conv(), m.x, workspace, form);
      self().x_proj.scan(none, m.x, m.weights, workspace, form);
      self().dt_proj.scan(none, m.r(), m.delta, workspace, form);
      selective_scan<Math, S>(p, m.inputs(), planes_data(state.ssm.h), m.y, detail::schedule_of(form), workspace);
      self().out_proj.scan(none, m.y, out.slice(start, count), workspace, form);
    }
  }
};

/// A Mamba ready for inference: the plans of its parts, and A = -exp(A_log) worked out.
template <Scalar S, Index Model, Index Inner, Index StateSize, Index Width, class Math, class Default, class InProj,
          class Conv, class XProj, class DtProj, class OutProj>
class MambaPlan : public MambaLayer<
                      MambaPlan<S, Model, Inner, StateSize, Width, Math, Default, InProj, Conv, XProj, DtProj, OutProj>,
                      S, Model, Inner, StateSize, Width, Math, Default> {
 public:
  static constexpr const char* name = "MambaPlan";

  InProj in_proj;
  Conv conv;
  XProj x_proj;
  DtProj dt_proj;
  OutProj out_proj;

  MambaPlan(InProj in, Conv convolution, XProj x, DtProj dt, OutProj out, const SelectiveParameters<S>& p)
      : in_proj(std::move(in)),
        conv(std::move(convolution)),
        x_proj(std::move(x)),
        dt_proj(std::move(dt)),
        out_proj(std::move(out)),
        scan_({p.layout.features, p.layout.state_size, 1, {.delta_bias = false}}, p) {}

  [[nodiscard]] SelectiveParameters<S> scan_parameters() const noexcept { return scan_.parameters(); }

 private:
  SelectiveScanPlan<S, Inner, StateSize, Math, Default> scan_;
};

/// Whether projections and the convolution of a Mamba have biases; dt_proj always has one.
struct MambaBiases {
  bool projections = false;
  bool conv = true;
};

/// The Mamba block (arXiv 2312.00752, section 3.4 and figure 3):
///   (x, z) = in_proj u,   x = silu(conv x),   (r, B, C) = x_proj x,   dt = softplus(dt_proj r),   A = -exp(A_log)
///   y = selective_scan(x, dt, A, B, C, D, gate z),   out = out_proj y
/// u, out [batch, time, Model]. in_proj [2 Inner, Model], conv [Inner, Width], x_proj [Rank + 2 StateSize, Inner],
/// dt_proj [Inner, Rank], A_log [Inner, StateSize], D [Inner], out_proj [Model, Inner]. State conv [batch, Width - 1,
/// Inner] and ssm [batch, StateSize, Inner]. The paper takes Inner = 2 Model, StateSize 16, Width 4 and Rank
/// ceil(Model / 16).
template <Scalar S, Index Model, Index Inner, Index StateSize, Index Width, Index Rank,
          MambaBiases Biases = MambaBiases{}, class Default = Chunked<>>
class Mamba : public MambaLayer<Mamba<S, Model, Inner, StateSize, Width, Rank, Biases, Default>, S, Model, Inner,
                                StateSize, Width, Exact, Default> {
 public:
  static constexpr const char* name = "Mamba";

  Linear<S, Model, static_product(2, Inner), Biases.projections> in_proj;
  CausalConv1d<S, Inner, Width, Biases.conv> conv;
  Linear<S, Inner, static_sum(Rank, static_product(2, StateSize)), false> x_proj;
  Linear<S, Rank, Inner> dt_proj;
  Tensor<S, Inner, StateSize> A_log;
  Tensor<S, Inner> D;
  Linear<S, Inner, Model, Biases.projections> out_proj;

  static constexpr auto fields() {
    return std::tuple{Field{"in_proj", &Mamba::in_proj},  Field{"conv", &Mamba::conv},
                      Field{"x_proj", &Mamba::x_proj},    Field{"dt_proj", &Mamba::dt_proj},
                      Field{"A_log", &Mamba::A_log},      Field{"D", &Mamba::D},
                      Field{"out_proj", &Mamba::out_proj}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  Mamba() requires(Inner != Dynamic && Width != Dynamic) = default;
  Mamba(Index model, Index inner, Index state_size, Index width, Index delta_rank)
      : in_proj(model, 2 * inner),
        conv(inner, width),
        x_proj(inner, delta_rank + 2 * state_size),
        dt_proj(delta_rank, inner),
        A_log(inner, state_size),
        D(inner),
        out_proj(inner, model) {}

  /// The parts as they initialise themselves; A_log[d, n] = log(n + 1), D = 1, dt_proj.weight uniform in
  /// +-1 / sqrt(Rank), softplus(dt_proj.bias) log-uniform in [0.001, 0.1].
  void initialize(Random& random) {
    in_proj.initialize(random);
    conv.initialize(random);
    x_proj.initialize(random);
    dt_proj.initialize(random);
    for (S& value : dt_proj.bias) value = static_cast<S>(detail::random_step_bias(random));
    const Index states = A_log.extent(1);
    for (Index i = 0; i < A_log.size(); ++i) A_log[i] = static_cast<S>(std::log(static_cast<double>(i % states + 1)));
    D.fill(S{1});
    out_proj.initialize(random);
  }

  /// A, as the scan takes it, and D.
  [[nodiscard]] SelectiveParameters<S> scan_parameters() const noexcept {
    SelectiveParameters<S> p;
    p.layout = SelectiveLayout::of<S>(A_log.extent(0), A_log.extent(1), 1);
    p.A = {{A_log}, selective_rates<S>(), true};
    p.A.of_logarithm = true;
    p.skip = D.data();
    return p;
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    return plan_of<Chosen>(in_proj.template plan<Stored, Math>(), conv.template plan<Stored, Math>(),
                           x_proj.template plan<Stored, Math>(), dt_proj.template plan<Stored, Math>(),
                           out_proj.template plan<Stored, Math>());
  }

 private:
  template <class Math, class... Plans>
  [[nodiscard]] auto plan_of(Plans... plans) const {
    return MambaPlan<S, Model, Inner, StateSize, Width, Math, Default, Plans...>(std::move(plans)...,
                                                                                 scan_parameters());
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
