#pragma once

#include <cmath>
#include <stepscan/kernels/complex_math.hpp>
#include <stepscan/layers/diagonal_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a Dss is beside its parameters.
struct DssOptions {
  Index kernel_length = 1024;  ///< L, over which the kernel is normalised
  double eps = 1e-7;           ///< of the reciprocal
  double step_scale = 1;       ///< multiplies every step size
};

/// DSS (arXiv 2203.14343, proposition 1, DSS-softmax): a diagonal state-space system per feature whose kernel is a
/// softmax over its L taps, so that eigenvalues A may have real parts of any sign. With dt = step_scale exp(log_dt),
/// x = A dt, xn = -x where Re A > 0 and x elsewhere, and r(q) = conj(q) / (|q|^2 + eps),
///   w = C expm1(xn) r(A expm1(L xn)),   K[l] = Re sum_n w exp(x (l - (L - 1) [Re A > 0])),   y = K * u + D u
/// A step is h' = exp(x) h + s u, y = Re sum_n w s h' + D u with s = exp(-x (L - 1) / 2) where Re A > 0 and 1
/// elsewhere: the shift by L - 1 is shared by input and output, so that a growing mode stays below exp(Re x (L - 1) /
/// 2) for the L tokens that the kernel describes. All forms are finite, and right, while Re x L < 170 in float and 700
/// in double. Behind token L the system goes on: a growing mode grows. x and y [batch, time, Features]; A, C (complex)
/// [Features, StateSize]; log_dt, D [Features]. State h (complex) [batch, StateSize, Features].
template <Scalar S, Index Features, Index StateSize, class Default = Chunked<>>
class Dss : public DiagonalLayer<Dss<S, Features, StateSize, Default>, S, Features, StateSize, Default> {
 public:
  static constexpr const char* name = "Dss";
  static constexpr const char* plan_name = "DssPlan";
  static constexpr bool has_input = true;

  ComplexTensor<S, Features, StateSize> A;
  ComplexTensor<S, Features, StateSize> C;
  Tensor<S, Features> log_dt;
  Tensor<S, Features> D;
  DssOptions options;

  static constexpr auto fields() {
    return std::tuple{Field{"A", &Dss::A}, Field{"C", &Dss::C}, Field{"log_dt", &Dss::log_dt}, Field{"D", &Dss::D}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic. Throws ArgumentError when the kernel has no tap.
  explicit Dss(const DssOptions& how = {}) requires(Features != Dynamic && StateSize != Dynamic)
      : Dss(Features, StateSize, how) {}
  Dss(Index features, Index state_size, const DssOptions& how = {})
      : A(features, state_size), C(features, state_size), log_dt(features), D(features), options(how) {
    if (how.kernel_length < 1) {
      fail<ArgumentError>("Dss: expected a kernel of at least 1 tap, found " + std::to_string(how.kernel_length));
    }
  }

  /// A the eigenvalues of HiPPO-LegS's normal part; C complex normal, D normal, dt log-uniform in [0.001, 0.1].
  /// Compiled by those who include <stepscan/layers/backward.hpp>.
  void initialize(Random& random) { Initialization<Dss>::run(*this, random); }

  [[nodiscard]] Index input_size() const noexcept { return A.re.extent(0); }
  [[nodiscard]] Index modes() const noexcept { return A.re.extent(1); }

  [[nodiscard]] std::complex<double> eigenvalue(Index f, Index n) const noexcept { return detail::complex_at(A, f, n); }
  [[nodiscard]] std::complex<double> weight(Index f, Index n) const noexcept { return detail::complex_at(C, f, n); }
  [[nodiscard]] double step_size(Index f) const noexcept {
    return options.step_scale * std::exp(static_cast<double>(log_dt[f]));
  }

  [[nodiscard]] SystemMode mode(Index f, Index n) const noexcept {
    const std::complex<double> a = eigenvalue(f, n), x = step_size(f) * a;
    const bool grows = a.real() > 0;
    const std::complex<double> xn = grows ? -x : x;
    const double taps = static_cast<double>(options.kernel_length);
    const std::complex<double> q = complex_expm1(taps * xn) * a;
    const std::complex<double> w = weight(f, n) * complex_expm1(xn) * std::conj(q) / (std::norm(q) + options.eps);
    const std::complex<double> shift = grows ? std::exp(-x * ((taps - 1) / 2)) : 1.0;
    return {std::exp(x), w * shift, shift};
  }
  [[nodiscard]] double skip(Index f) const noexcept { return static_cast<double>(D[f]); }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return LinearSystemPlan<Dss>(*this);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
