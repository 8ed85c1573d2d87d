#pragma once

#include <cmath>
#include <numbers>
#include <stepscan/layers/diagonal_mimo_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Where the eigenvalues of a fresh Lru lie: uniform on a ring, or a sector of it.
struct LruRing {
  double smallest_radius = 0.9;
  double largest_radius = 0.999;
  double largest_phase = 2 * std::numbers::pi;
};

/// The linear recurrent unit (LRU, arXiv 2303.06349, equations 3 to 7): with lambda = exp(-exp(nu_log) + i
/// exp(theta_log)), inside the unit circle whatever the parameters,
///   h_t = lambda h_(t-1) + exp(gamma_log) (B x_t),   y_t = Re(C h_t) + D x_t
/// x and y [batch, time, Features]; nu_log, theta_log, gamma_log [StateSize], B (complex) [StateSize, Features],
/// C (complex) [Features, StateSize], D [Features]. State h (complex) [batch, StateSize].
template <Scalar S, Index Features, Index StateSize, class Default = Chunked<>>
class Lru : public DiagonalMimoModel<Lru<S, Features, StateSize, Default>, S, Features, StateSize, false, Default> {
 public:
  static constexpr const char* name = "Lru";
  static constexpr const char* plan_name = "LruPlan";

  Tensor<S, StateSize> nu_log;
  Tensor<S, StateSize> theta_log;
  Tensor<S, StateSize> gamma_log;
  ComplexTensor<S, StateSize, Features> B;
  ComplexTensor<S, Features, StateSize> C;
  Tensor<S, Features> D;
  LruRing ring;

  static constexpr auto fields() {
    return std::tuple{Field{"nu_log", &Lru::nu_log},
                      Field{"theta_log", &Lru::theta_log},
                      Field{"gamma_log", &Lru::gamma_log},
                      Field{"B", &Lru::B},
                      Field{"C", &Lru::C},
                      Field{"D", &Lru::D}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  explicit Lru(const LruRing& start = {}) requires(Features != Dynamic && StateSize != Dynamic) : ring(start) {}
  Lru(Index features, Index state_size, const LruRing& start = {})
      : nu_log(state_size),
        theta_log(state_size),
        gamma_log(state_size),
        B(state_size, features),
        C(features, state_size),
        D(features),
        ring(start) {}

  /// Eigenvalues uniform on the ring (lemma 3.2), gamma_log = log sqrt(1 - |lambda|^2), B and C complex normal by
  /// fan-in, D normal.
  void initialize(Random& random) {
    const double low = ring.smallest_radius * ring.smallest_radius, high = ring.largest_radius * ring.largest_radius;
    for (Index p = 0; p < nu_log.size(); ++p) {
      const double nu = -0.5 * std::log(random.uniform(low, high));
      nu_log[p] = static_cast<S>(std::log(nu));
      theta_log[p] = static_cast<S>(std::log(ring.largest_phase * (1 - random.uniform())));
      // 1 - |lambda|^2 = -expm1(-2 nu) keeps its digits near |lambda| = 1.
      gamma_log[p] = static_cast<S>(0.5 * std::log(-std::expm1(-2 * nu)));
    }
    const auto fill = [&](auto& tensor, double scale) {
      for (S& value : tensor) value = static_cast<S>(scale * random.normal());
    };
    const double inputs = static_cast<double>(D.size()), states = static_cast<double>(nu_log.size());
    fill(B.re, std::sqrt(0.5 / inputs));
    fill(B.im, std::sqrt(0.5 / inputs));
    fill(C.re, std::sqrt(1 / states));
    fill(C.im, std::sqrt(1 / states));
    fill(D, 1);
  }

  [[nodiscard]] DiscreteMode mode(Index p) const noexcept {
    const double nu = std::exp(static_cast<double>(nu_log[p])), theta = std::exp(static_cast<double>(theta_log[p]));
    return {std::polar(std::exp(-nu), theta), std::exp(static_cast<double>(gamma_log[p]))};
  }
  [[nodiscard]] static constexpr double read_factor() noexcept { return 1; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
