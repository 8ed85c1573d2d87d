#pragma once

#include <cmath>
#include <stepscan/layers/diagonal_layer.hpp>
#include <stepscan/ops/discretize.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What an S4d runs in unless told otherwise: token by token, which is faster wherever its channels fill a register.
template <Scalar S, Index Features>
using S4dForm = std::conditional_t<(Features != Dynamic && Features < simd_width<S>), Chunked<>, Recurrent>;

/// What an S4d is beside its parameters.
struct S4dOptions {
  Discretization discretization = zero_order_hold;
  /// Multiplies every step size: 1/2 for an input that is sampled at twice the rate of training.
  double step_scale = 1;
};

/// S4D (arXiv 2206.11893): a diagonal state-space system per feature, with A = -exp(log_A_real) + i A_im and
/// dt = step_scale exp(log_dt). Discretised by zero-order hold (abar = exp(dt A), cbar = C (abar - 1) / A) or another
/// rule of ops/discretize.hpp,
///   h' = abar h + u,   y = 2 Re sum_n cbar h' + D u
/// B is 1, or part of C. The StateSize numbers of a state are conjugate pairs, of which one each is kept.
/// x and y [batch, time, Features]; log_A_real, A_im, C (complex) [Features, StateSize / 2]; log_dt, D [Features].
/// State h (complex) [batch, StateSize / 2, Features].
template <Scalar S, Index Features, Index StateSize, class Default = S4dForm<S, Features>>
class S4d : public DiagonalLayer<S4d<S, Features, StateSize, Default>, S, Features,
                                 StateSize == Dynamic ? Dynamic : StateSize / 2, Default> {
  static_assert(StateSize == Dynamic || (StateSize > 0 && StateSize % 2 == 0),
                "stepscan: the state of an S4d consists of conjugate pairs, so its size is even");
  static constexpr Index Modes = StateSize == Dynamic ? Dynamic : StateSize / 2;

 public:
  static constexpr const char* name = "S4d";
  static constexpr const char* plan_name = "S4dPlan";
  static constexpr bool has_input = false;

  Tensor<S, Features, Modes> log_A_real;
  Tensor<S, Features, Modes> A_im;
  ComplexTensor<S, Features, Modes> C;
  Tensor<S, Features> log_dt;
  Tensor<S, Features> D;
  S4dOptions options;

  static constexpr auto fields() {
    return std::tuple{Field{"log_A_real", &S4d::log_A_real}, Field{"A_im", &S4d::A_im}, Field{"C", &S4d::C},
                      Field{"log_dt", &S4d::log_dt}, Field{"D", &S4d::D}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic. Throws ShapeError when the state size is odd.
  explicit S4d(const S4dOptions& how = {}) requires(Features != Dynamic && StateSize != Dynamic) : options(how) {}
  S4d(Index features, Index state_size, const S4dOptions& how = {})
      : log_A_real(features, state_size / 2),
        A_im(features, state_size / 2),
        C(features, state_size / 2),
        log_dt(features),
        D(features),
        options(how) {
    if (state_size < 2 || state_size % 2 != 0) {
      fail<ShapeError>("S4d: expected an even state size, of conjugate pairs, found " + std::to_string(state_size));
    }
  }

  /// S4D-Lin: A = -1/2 + i pi n; C complex normal, D normal, dt log-uniform in [0.001, 0.1].
  void initialize(Random& random) {
    for (Index f = 0; f < input_size(); ++f) {
      for (Index n = 0; n < modes(); ++n) {
        log_A_real(f, n) = static_cast<S>(std::log(0.5));
        A_im(f, n) = static_cast<S>(std::numbers::pi * static_cast<double>(n));
        C.re(f, n) = static_cast<S>(random.normal() * std::numbers::sqrt2 / 2);
        C.im(f, n) = static_cast<S>(random.normal() * std::numbers::sqrt2 / 2);
      }
      log_dt[f] = static_cast<S>(random.uniform(std::log(0.001), std::log(0.1)));
      D[f] = static_cast<S>(random.normal());
    }
  }

  [[nodiscard]] Index input_size() const noexcept { return log_A_real.extent(0); }
  [[nodiscard]] Index modes() const noexcept { return log_A_real.extent(1); }

  /// A of mode n, and the step size of a feature.
  [[nodiscard]] std::complex<double> eigenvalue(Index f, Index n) const noexcept {
    return {-std::exp(static_cast<double>(log_A_real(f, n))), static_cast<double>(A_im(f, n))};
  }
  [[nodiscard]] double step_size(Index f) const noexcept {
    return options.step_scale * std::exp(static_cast<double>(log_dt[f]));
  }
  [[nodiscard]] std::complex<double> weight(Index f, Index n) const noexcept { return detail::complex_at(C, f, n); }

  [[nodiscard]] SystemMode mode(Index f, Index n) const noexcept {
    const DiscreteMode d = discretize(eigenvalue(f, n), step_size(f), options.discretization);
    return {d.transition, 2.0 * weight(f, n) * d.input};
  }
  [[nodiscard]] double skip(Index f) const noexcept { return static_cast<double>(D[f]); }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return LinearSystemPlan<S4d>(*this);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
