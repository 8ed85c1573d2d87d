#pragma once

#include <stepscan/core/complex_tensor.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/diagonal_mimo.hpp>
#include <stepscan/ops/discretize.hpp>

/// What diagonal state spaces of many inputs and outputs share: S5, LRU.
namespace stepscan::inline STEPSCAN_ISA {

/// h [batch, StateSize] and the scratch of one step.
template <Scalar S, Index StateSize>
struct DiagonalMimoState {
  ComplexTensor<S, Dynamic, StateSize> h;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &DiagonalMimoState::h}}; }

  [[nodiscard]] Planes<MatrixView<S>, 2> view() noexcept { return {MatrixView<S>(h.re), MatrixView<S>(h.im)}; }
  [[nodiscard]] Planes<MatrixView<const S>, 2> view() const noexcept {
    return {MatrixView<const S>(h.re), MatrixView<const S>(h.im)};
  }
};

namespace detail {

template <class T>
[[nodiscard]] Planes<MatrixView<T>, 2> rows_of(const Planes<MatrixView<T>, 2>& states, Index first,
                                               Index count) noexcept {
  return {states[0].middle_rows(first, count), states[1].middle_rows(first, count)};
}

/// A system as the parameters of a layer stand, for one token at a time without packing them:
///   h' = a h + b (B x),   y = factor Re(C h') + D x
template <Scalar S>
struct PlainMimo {
  Planes<const S*, 2> a;
  Planes<const S*, 2> b;             ///< [P]
  Planes<MatrixView<const S>, 2> B;  ///< [P, features]
  Planes<MatrixView<const S>, 2> C;  ///< [features, P]
  const S* skip;
  S factor;

  void project(MatrixView<const S> x, MatrixView<S> h) const noexcept {
    const Index states = B[0].rows;
    for (Index r = 0; r < x.rows; ++r) {
      std::fill_n(h.row(r), Index{h.cols}, S{0});
      for (Index k = 0; k < 2; ++k) {
        plain_multiply_add<S>(B[static_cast<std::size_t>(k)], x.middle_rows(r, 1),
                              row_view(h.row(r) + k * states, states));
      }
      const Planes<S*, 2> v = split_row(h.row(r), states);
      for_each_lanes<S>(states, [&](Index i, auto lanes) {
        store_planes(lanes, v, i, multiply(load_planes(lanes, b, i), load_planes(lanes, v, i)));
      });
    }
  }

  void read(MatrixView<const S> h, MatrixView<const S> x, MatrixView<S> y) const noexcept {
    const Index states = B[0].rows;
    scale_rows<S>(skip, x, y);
    for (Index r = 0; r < x.rows; ++r) {
      for (Index i = 0; i < y.cols; ++i) {
        const S re = dot(C[0].row(i), h.row(r), states), im = dot(C[1].row(i), h.row(r) + states, states);
        y(r, i) += factor * (re - im);
      }
    }
  }
};

/// The matrices of a DiagonalMimo before they are packed.
template <Scalar S>
struct DiagonalMimoMatrices {
  Planes<const S*, 2> a;
  MatrixView<S> input;   ///< [2 P, features]
  MatrixView<S> output;  ///< [features, directions * 2 P]

  [[nodiscard]] Index width() const noexcept { return input.rows; }
  [[nodiscard]] MatrixView<const S> output_of(Index direction) const noexcept {
    return output.middle_cols(direction * width(), width());
  }
};

}  // namespace detail

/// A layer or plan. Self provides input_size(), state_size(), modes_room(), the numbers of scratch that step_system(S*)
/// fills, and with_systems(workspace, f), which calls f(a DiagonalMimo per direction).
template <class Self, Scalar S, Index Features, Index StateSize, bool BothWays, class Default>
class DiagonalMimoLayer : public Layer<Self, S, Features, Features> {
 public:
  using State = DiagonalMimoState<S, StateSize>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using DefaultForm = Default;
  static constexpr bool causal = !BothWays;
  static constexpr bool time_invariant = true;

  [[nodiscard]] Index output_size() const noexcept { return self().input_size(); }

  /// All zero. A layer, which discretises in its step, and its plan make the same state.
  [[nodiscard]] State initial_state(Index batch) const {
    const Index states = self().state_size();
    return {decltype(State::h)(batch, states), Scratch<S>((4 + 2 * batch) * states)};
  }

 protected:
  static constexpr Index directions = BothWays ? 2 : 1;

  DiagonalMimoLayer() = default;

 private:
  friend Layer<Self, S, Features, Features>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    S* scratch = state.scratch.data();
    diagonal_mimo_step<S>(self().step_system(scratch), state.view(), x, y, scratch + self().modes_room());
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    if constexpr (std::same_as<Form, Recurrent> && !BothWays) {
      const auto system = self().step_system(workspace.take<S>(self().modes_room()));
      S* room = workspace.take<S>(2 * self().state_size() * x.batch);
      for (Index t = 0; t < x.time; ++t) {
        for_each_active_run(x, y, t, [&](Index first, Index count) {
          diagonal_mimo_step<S>(system, detail::rows_of(state.view(), first, count), x.frame(t, first, count),
                                y.frame(t, first, count), room);
        });
      }
      clear_padding(x, y);
    } else {
      const ScanSchedule schedule = std::same_as<Form, Recurrent> ? ScanSchedule{1, false} : detail::schedule_of(form);
      self().with_systems(workspace, [&](const auto& systems) {
        diagonal_mimo_scan<S>(systems[0], Direction::forward, state.view(), x, y, schedule, workspace);
        if constexpr (BothWays) {
          const Index count = x.batch * self().state_size();
          const Planes<MatrixView<S>, 2> behind{workspace.matrix<S, Dynamic>(x.batch, self().state_size()),
                                                workspace.matrix<S, Dynamic>(x.batch, self().state_size())};
          for (const MatrixView<S>& plane : behind) std::fill_n(plane.data, count, S{0});
          diagonal_mimo_scan<S>(systems[1], Direction::backward, behind, x, y, schedule, workspace);
        }
      });
    }
  }
};

/// A layer L ready for inference: its matrices discretised and packed.
template <class L, Scalar S, Index Features, Index StateSize, bool BothWays, class Default, class Stored>
class DiagonalMimoPlan
    : public DiagonalMimoLayer<DiagonalMimoPlan<L, S, Features, StateSize, BothWays, Default, Stored>, S, Features,
                               StateSize, BothWays, Default> {
  static constexpr Index Width = static_product(2, StateSize);
  static constexpr std::size_t count = BothWays ? 2 : 1;

 public:
  static constexpr const char* name = L::plan_name;

  explicit DiagonalMimoPlan(const L& layer)
      : a_(2 * layer.state_size()), skip_(layer.input_size()), zeros_(2 * layer.state_size()) {
    Workspace workspace;
    const auto matrices = layer.matrices(workspace);
    std::copy_n(matrices.a[0], a_.size(), a_.data());
    std::copy_n(layer.D.data(), skip_.size(), skip_.data());
    input_ = PackedMatrix<S, Width, Features, Stored>(matrices.input);
    for (std::size_t k = 0; k < count; ++k) {
      output_[k] = PackedMatrix<S, Features, Width, Stored>(matrices.output_of(static_cast<Index>(k)));
    }
  }

  [[nodiscard]] Index input_size() const noexcept { return skip_.size(); }
  [[nodiscard]] Index state_size() const noexcept { return a_.size() / 2; }
  [[nodiscard]] static constexpr Index modes_room() noexcept { return 0; }
  [[nodiscard]] auto step_system(S*) const noexcept { return system(0); }

  template <class F>
  void with_systems(Workspace&, F&& f) const {
    std::array<DiagonalMimo<S, Dynamic, Dynamic, Stored>, count> systems;
    for (std::size_t k = 0; k < count; ++k) systems[k] = system(k).dynamic();
    f(systems);
  }

 private:
  [[nodiscard]] DiagonalMimo<S, Features, StateSize, Stored> system(std::size_t direction) const noexcept {
    return {detail::split_row(a_.data(), state_size()), input_.view(), output_[direction].view(),
            direction == 0 ? skip_.data() : nullptr, zeros_.data()};
  }

  Tensor<S, Width> a_;
  PackedMatrix<S, Width, Features, Stored> input_;
  std::array<PackedMatrix<S, Features, Width, Stored>, count> output_;
  Tensor<S, Features> skip_;
  Tensor<S, Width> zeros_;
};

/// A layer whose system follows from parameters. Self has B (complex) [P, features], C (complex) [features,
/// directions * P], D [features], and provides mode(p), transition and weight of B of state p, and read_factor().
template <class Self, Scalar S, Index Features, Index StateSize, bool BothWays, class Default>
class DiagonalMimoModel : public DiagonalMimoLayer<Self, S, Features, StateSize, BothWays, Default> {
  using Base = DiagonalMimoLayer<Self, S, Features, StateSize, BothWays, Default>;

 public:
  [[nodiscard]] Index input_size() const noexcept { return self().D.size(); }
  [[nodiscard]] Index state_size() const noexcept { return self().B.re.extent(0); }
  [[nodiscard]] Index modes_room() const noexcept { return 4 * state_size(); }

  [[nodiscard]] detail::PlainMimo<S> step_system(S* scratch) const noexcept {
    const Index states = state_size();
    for (Index p = 0; p < states; ++p) {
      const DiscreteMode mode = self().mode(p);
      scratch[p] = static_cast<S>(mode.transition.real());
      scratch[states + p] = static_cast<S>(mode.transition.imag());
      scratch[2 * states + p] = static_cast<S>(mode.input.real());
      scratch[3 * states + p] = static_cast<S>(mode.input.imag());
    }
    const auto planes = [](const auto& tensor) {
      return Planes<MatrixView<const S>, 2>{MatrixView<const S>(tensor.re), MatrixView<const S>(tensor.im)};
    };
    return {detail::split_row<const S>(scratch, states),
            detail::split_row<const S>(scratch + 2 * states, states),
            planes(self().B),
            planes(self().C),
            self().D.data(),
            static_cast<S>(self().read_factor())};
  }

  /// The discretised matrices, in the workspace.
  [[nodiscard]] detail::DiagonalMimoMatrices<S> matrices(Workspace& workspace) const {
    const Index states = state_size(), features = input_size();
    S* a = workspace.take<S>(2 * states);
    const detail::DiagonalMimoMatrices<S> out{detail::split_row<const S>(a, states),
                                              workspace.matrix<S, Dynamic>(2 * states, features),
                                              workspace.matrix<S, Dynamic>(features, Base::directions * 2 * states)};
    for (Index p = 0; p < states; ++p) {
      const DiscreteMode mode = self().mode(p);
      a[p] = static_cast<S>(mode.transition.real());
      a[states + p] = static_cast<S>(mode.transition.imag());
      for (Index f = 0; f < features; ++f) {
        const std::complex<double> b = mode.input * detail::complex_at(self().B, p, f);
        out.input(p, f) = static_cast<S>(b.real());
        out.input(states + p, f) = static_cast<S>(b.imag());
      }
    }
    const double factor = self().read_factor();
    for (Index f = 0; f < features; ++f) {
      for (Index p = 0; p < Base::directions * states; ++p) {
        const std::complex<double> c = factor * detail::complex_at(self().C, f, p);
        const Index at = p / states * 2 * states + p % states;
        out.output(f, at) = static_cast<S>(c.real());
        out.output(f, at + states) = static_cast<S>(-c.imag());
      }
    }
    return out;
  }

  /// Calls f(a DiagonalMimo per direction), of panels in the workspace.
  template <class F>
  void with_systems(Workspace& workspace, F&& f) const {
    const detail::DiagonalMimoMatrices<S> all = matrices(workspace);
    const PanelsView<S> input = packed<S>(all.input, workspace);
    S* zeros = workspace.take<S>(all.width());
    std::fill_n(zeros, all.width(), S{0});
    std::array<DiagonalMimo<S>, static_cast<std::size_t>(Base::directions)> systems;
    for (std::size_t k = 0; k < systems.size(); ++k) {
      systems[k] = {all.a, input, packed<S>(all.output_of(static_cast<Index>(k)), workspace),
                    k == 0 ? self().D.data() : nullptr, zeros};
    }
    f(systems);
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return DiagonalMimoPlan<Self, S, Features, StateSize, BothWays, Default, Stored>(self());
  }

 protected:
  DiagonalMimoModel() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
};

}  // namespace stepscan::inline STEPSCAN_ISA
