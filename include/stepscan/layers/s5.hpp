#pragma once

#include <algorithm>
#include <stepscan/layers/diagonal_mimo_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What an S5 is beside its parameters.
struct S5Options {
  Discretization discretization = zero_order_hold;
  /// Each state stands for itself and its conjugate: y reads twice the real part.
  bool conj_sym = true;
  /// Real parts of eigenvalues are kept at or below -1e-4, and have no gradient beyond.
  bool clip_eigs = false;
  /// Multiplies every step size: 1/2 for an input that is sampled at twice the rate of training.
  double step_scale = 1;
  /// Of how many HiPPO systems, one beside the other, fresh parameters consist.
  Index blocks = 1;
};

/// S5 (arXiv 2208.04933, equations 2 and 6): one diagonal state space of all features. With dt = step_scale
/// exp(log_step), (abar, w) the discretisation of Lambda by dt (ops/discretize.hpp), and f = 2 if conj_sym, 1 if not,
///   h_t = abar h_(t-1) + w (B x_t),   y_t = f Re(C h_t) + D x_t
/// BothWays: beside h, r_t = abar r_(t+1) + w (B x_t) runs backwards from the last token and starts at 0, and C reads
/// [h_t; r_t]; such a layer has no step.
/// x and y [batch, time, Features]; Lambda (complex) and log_step [StateSize], B (complex) [StateSize, Features],
/// C (complex) [Features, StateSize, or twice that], D [Features]. State h (complex) [batch, StateSize].
template <Scalar S, Index Features, Index StateSize, bool BothWays = false, class Default = Chunked<>>
class S5 : public DiagonalMimoModel<S5<S, Features, StateSize, BothWays, Default>, S, Features, StateSize, BothWays,
                                    Default> {
  static constexpr Index directions = BothWays ? 2 : 1;

 public:
  static constexpr const char* name = "S5";
  static constexpr const char* plan_name = "S5Plan";

  ComplexTensor<S, StateSize> Lambda;
  ComplexTensor<S, StateSize, Features> B;
  ComplexTensor<S, Features, static_product(directions, StateSize)> C;
  Tensor<S, Features> D;
  Tensor<S, StateSize> log_step;
  S5Options options;

  static constexpr auto fields() {
    return std::tuple{Field{"Lambda", &S5::Lambda}, Field{"B", &S5::B}, Field{"C", &S5::C}, Field{"D", &S5::D},
                      Field{"log_step", &S5::log_step}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  explicit S5(const S5Options& how = {}) requires(Features != Dynamic && StateSize != Dynamic) : options(how) {}
  S5(Index features, Index state_size, const S5Options& how = {})
      : Lambda(state_size),
        B(state_size, features),
        C(features, directions * state_size),
        D(features),
        log_step(state_size),
        options(how) {}

  /// Eigenvalues of `blocks` normal parts of HiPPO-LegS, B and C in their eigenvectors, dt log-uniform in
  /// [0.001, 0.1], D normal (section 4.3 and appendix B.1.1). Throws ArgumentError when the states do not divide into
  /// blocks. Compiled by those who include <stepscan/layers/backward.hpp>.
  void initialize(Random& random) { Initialization<S5>::run(*this, random); }

  [[nodiscard]] bool clips(Index p) const noexcept {
    return options.clip_eigs && static_cast<double>(Lambda.re[p]) > largest_real;
  }
  [[nodiscard]] std::complex<double> eigenvalue(Index p) const noexcept {
    const std::complex<double> own = detail::complex_at(Lambda, p);
    return clips(p) ? std::complex<double>(largest_real, own.imag()) : own;
  }
  [[nodiscard]] double step_size(Index p) const noexcept {
    return options.step_scale * std::exp(static_cast<double>(log_step[p]));
  }
  [[nodiscard]] DiscreteMode mode(Index p) const noexcept {
    return discretize(eigenvalue(p), step_size(p), options.discretization);
  }
  [[nodiscard]] double read_factor() const noexcept { return options.conj_sym ? 2 : 1; }

 private:
  static constexpr double largest_real = -1e-4;
};

/// An S5 that reads the sequence in both directions.
template <Scalar S, Index Features, Index StateSize, class Default = Chunked<>>
using BidirectionalS5 = S5<S, Features, StateSize, true, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
