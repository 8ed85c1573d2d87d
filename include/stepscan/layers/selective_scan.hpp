#pragma once

#include <cmath>
#include <numbers>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/planes_tensor.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/layers/step_bias.hpp>
#include <stepscan/ops/selective_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Which parts a SelectiveScan has.
struct SelectiveScanOptions {
  bool delta_softplus = true;  ///< dt = softplus(delta + delta_bias); without it dt = delta + delta_bias
  bool delta_bias = true;
  bool skip = true;        ///< D u is added to what is read
  bool gate = true;        ///< an input z: the output is multiplied by silu(z)
  bool variable_B = true;  ///< B is an input; without it, a parameter [features, state_size]
  bool variable_C = true;
};

/// h [batch, StateSize, Features], channels contiguous, so that a step loads and stores whole registers of channels;
/// and the scratch of one step.
template <Scalar S, Index Features, Index StateSize, std::size_t P = 1>
struct SelectiveScanState {
  PlanesTensor<P, S, Dynamic, StateSize, Features> h;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &SelectiveScanState::h}}; }
};

namespace detail {

/// The sizes and options of a SelectiveScan, and where its inputs lie in x = [u | delta | B | C | z].
struct SelectiveShape {
  Index features = 0;
  Index state_size = 0;
  Index groups = 1;
  SelectiveScanOptions options;
  Index planes = 1;

  [[nodiscard]] constexpr Index weights() const noexcept { return planes * groups * state_size; }
  [[nodiscard]] constexpr Index inputs() const noexcept {
    return (options.gate ? 3 : 2) * features + (options.variable_B ? weights() : 0) +
           (options.variable_C ? weights() : 0);
  }
  template <Scalar S>
  [[nodiscard]] constexpr SelectiveLayout layout() const noexcept {
    return SelectiveLayout::of<S>(features, state_size, groups);
  }
  template <class T>
  [[nodiscard]] SelectiveSequences<T> slice(const SequenceView<T>& x) const noexcept {
    Index at = 0;
    const auto next = [&](bool present, Index count) {
      SequenceView<T> part = x.middle_features(at, Extent<Dynamic>(count));
      if (!present) part.data = nullptr;
      if (present) at += count;
      return part;
    };
    SelectiveSequences<T> parts;
    parts.u = next(true, features);
    parts.delta = next(true, features);
    parts.B = next(options.variable_B, weights());
    parts.C = next(options.variable_C, weights());
    parts.z = next(options.gate, features);
    return parts;
  }
};

}  // namespace detail

/// What a SelectiveScan and its plan share. Self provides shape() and parameters().
template <class Self, Scalar S, Index Features, Index StateSize, class Math, class Default, std::size_t P>
class SelectiveScanLayer : public Layer<Self, S, Dynamic, Features> {
 public:
  using State = SelectiveScanState<S, Features, StateSize, P>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using DefaultForm = Default;

  [[nodiscard]] Index input_size() const noexcept { return self().shape().inputs(); }
  [[nodiscard]] Index output_size() const noexcept { return self().shape().features; }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    const detail::SelectiveShape shape = self().shape();
    return {decltype(State::h)(batch, shape.state_size, shape.features),
            Scratch<S>(selective_step_room<S, P>(shape.template layout<S>()))};
  }

 protected:
  SelectiveScanLayer() = default;

 private:
  friend Layer<Self, S, Dynamic, Features>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S> x, MatrixView<S, Dynamic, Features> y) const noexcept {
    selective_scan_step<Math, S>(self().parameters(), self().shape().slice(one_token(x)), planes_data(state.h),
                                 one_token(y), state.scratch.data());
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    selective_scan<Math, S>(pack_parameters(self().parameters(), workspace), self().shape().slice(x),
                            planes_data(state.h), y, detail::schedule_of(form), workspace);
  }
};

/// A SelectiveScan ready for inference: its parameters as strips of channels.
template <Scalar S, Index Features, Index StateSize, class Math, class Default, std::size_t P = 1>
class SelectiveScanPlan : public SelectiveScanLayer<SelectiveScanPlan<S, Features, StateSize, Math, Default, P>, S,
                                                    Features, StateSize, Math, Default, P> {
 public:
  static constexpr const char* name = "SelectiveScanPlan";

  SelectiveScanPlan(const detail::SelectiveShape& shape, const SelectiveParameters<S, P>& p)
      : shape_(shape),
        softplus_(p.delta_softplus),
        A_(p.A.packed_size(p.layout)),
        B_(shape.options.variable_B ? 0 : p.B.packed_size(p.layout)),
        C_(shape.options.variable_C ? 0 : p.C.packed_size(p.layout)),
        skip_(p.skip == nullptr ? 0 : shape.features),
        delta_bias_(p.delta_bias == nullptr ? 0 : shape.features) {
    static_cast<void>(p.A.pack(p.layout, A_.data()));
    if (!B_.empty()) static_cast<void>(p.B.pack(p.layout, B_.data()));
    if (!C_.empty()) static_cast<void>(p.C.pack(p.layout, C_.data()));
    std::copy_n(p.skip, skip_.size(), skip_.data());
    std::copy_n(p.delta_bias, delta_bias_.size(), delta_bias_.data());
  }

  [[nodiscard]] const detail::SelectiveShape& shape() const noexcept { return shape_; }
  [[nodiscard]] SelectiveParameters<S, P> parameters() const noexcept {
    const auto matrix = [&](const auto& tensor, bool largest) {
      SelectiveMatrix<S, P> m;
      m.plain.fill({nullptr, shape_.features, shape_.state_size});
      m.largest = largest;
      m.packed = tensor.data();
      return m;
    };
    const auto or_null = [](const auto& tensor) { return tensor.empty() ? nullptr : tensor.data(); };
    return {shape_.template layout<S>(), matrix(A_, true), matrix(B_, false), matrix(C_, false), or_null(skip_),
            or_null(delta_bias_),        softplus_};
  }

 private:
  detail::SelectiveShape shape_;
  bool softplus_;
  Tensor<S, Dynamic> A_, B_, C_, skip_, delta_bias_;
};

/// The selective scan of Mamba (S6; arXiv 2312.00752, algorithm 2) on inputs that somebody projected: with
/// dt = softplus(delta + delta_bias),
///   h' = exp(dt A) h + dt u B,   y = (C h + D u) silu(z)
/// x [batch, time, 3 Features + 2 Groups StateSize], the features being u, delta, B [Groups, StateSize], C and z one
/// behind the other; y [batch, time, Features]. Channel d uses B and C of group d / (Features / Groups).
/// A [Features, StateSize], negative for decays; D and delta_bias [Features]; B and C [Features, StateSize] where they
/// are no inputs. A parameter that the options leave out is empty. State h [batch, StateSize, Features].
/// With P = 2 (ComplexSelectiveScan) A, B, C and h are complex, half of conjugate pairs, and C h counts as 2 Re(C h):
/// each is two tensors, named A.re, A.im and so on, and each of B and C as an input is its real parts [Groups,
/// StateSize], then its imaginary ones.
template <Scalar S, Index Features, Index StateSize, Index Groups = 1, class Default = Chunked<>, std::size_t P = 1>
class SelectiveScan : public SelectiveScanLayer<SelectiveScan<S, Features, StateSize, Groups, Default, P>, S, Features,
                                                StateSize, Exact, Default, P> {
  static constexpr bool is_static = Features != Dynamic && StateSize != Dynamic && Groups != Dynamic;
  static_assert(!is_static || (Groups > 0 && Features % Groups == 0),
                "stepscan: the features of a SelectiveScan are a multiple of its groups");

 public:
  static constexpr const char* name = "SelectiveScan";

  PlanesTensor<P, S, Features, StateSize> A;
  Tensor<S, Dynamic> D;
  Tensor<S, Dynamic> delta_bias;
  PlanesTensor<P, S, Dynamic, StateSize> B;
  PlanesTensor<P, S, Dynamic, StateSize> C;

  static constexpr auto fields() {
    return std::tuple{Field{"A", &SelectiveScan::A}, Field{"D", &SelectiveScan::D},
                      Field{"delta_bias", &SelectiveScan::delta_bias}, Field{"B", &SelectiveScan::B},
                      Field{"C", &SelectiveScan::C}};
  }

  /// All parameters zero. Throws ShapeError when the features are no multiple of the groups.
  explicit SelectiveScan(const SelectiveScanOptions& options = {}) requires(is_static)
      : SelectiveScan(Features, StateSize, Groups, options) {}
  SelectiveScan(Index features, Index state_size, Index groups = 1, const SelectiveScanOptions& options = {})
      : A(features, state_size),
        D(options.skip ? features : 0),
        delta_bias(options.delta_bias ? features : 0),
        B(options.variable_B ? 0 : features, state_size),
        C(options.variable_C ? 0 : features, state_size),
        groups_(groups),
        options_(options) {
    if (groups < 1 || features % groups != 0) {
      fail<ShapeError>("SelectiveScan: expected features in groups of one size, found " + std::to_string(features) +
                       " features and " + std::to_string(groups) + " groups");
    }
  }

  /// A[d, n] = -(n + 1) (S4D-Real), or complex -1/2 + i pi n (S4D-Lin, arXiv 2206.11893); D = 1; softplus(delta_bias)
  /// log-uniform in [0.001, 0.1]; a constant B is 1, a constant C standard normal.
  void initialize(Random& random) {
    const Index states = shape().state_size;
    for (Index i = 0; i < shape().features * states; ++i) {
      const Index n = i % states;
      if constexpr (P == 1) {
        A[i] = -static_cast<S>(n + 1);
      } else {
        A.re[i] = S(-0.5);
        A.im[i] = static_cast<S>(std::numbers::pi * static_cast<double>(n));
      }
    }
    D.fill(S{1});
    for (S& value : delta_bias) value = static_cast<S>(detail::random_step_bias(random));
    std::fill_n(planes_data(B)[0], planes_view(B)[0].rows * states, S{1});
    for (const MatrixView<S>& plane : planes_view(C)) {
      for (Index i = 0; i < plane.rows * states; ++i) {
        plane.data[i] = static_cast<S>(random.normal() / std::sqrt(static_cast<double>(P)));
      }
    }
  }

  [[nodiscard]] detail::SelectiveShape shape() const noexcept {
    const MatrixView<const S> matrix = planes_view(A)[0];
    return {matrix.rows, matrix.cols, groups_, options_, static_cast<Index>(P)};
  }

  /// The parameters as they lie in memory.
  [[nodiscard]] SelectiveParameters<S, P> parameters() const noexcept {
    const auto constant = [](const auto& tensor) -> SelectiveMatrix<S, P> {
      return {tensor.empty() ? Planes<MatrixView<const S>, P>() : planes_view(tensor)};
    };
    return {shape().template layout<S>(),
            {planes_view(A), selective_rates<S, P>(), true},
            constant(B),
            constant(C),
            D.empty() ? nullptr : D.data(),
            delta_bias.empty() ? nullptr : delta_bias.data(),
            options_.delta_softplus};
  }
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    return SelectiveScanPlan<S, Features, StateSize, Chosen, Default, P>(shape(), parameters());
  }

 private:
  [[no_unique_address]] Extent<Groups> groups_;
  SelectiveScanOptions options_;
};

/// A SelectiveScan of complex A, B, C and states.
template <Scalar S, Index Features, Index StateSize, Index Groups = 1, class Default = Chunked<>>
using ComplexSelectiveScan = SelectiveScan<S, Features, StateSize, Groups, Default, 2>;

}  // namespace stepscan::inline STEPSCAN_ISA
