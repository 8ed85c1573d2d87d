#pragma once

#include <cmath>
#include <stepscan/layers/linear_system_layer.hpp>
#include <stepscan/ops/cauchy_kernel.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What an S4 is beside its parameters.
struct S4Options {
  double step_scale = 1;  ///< multiplies every step size
};

/// S4 (arXiv 2111.00396): a state-space system per feature with A = diag(Lambda) - P P^H (diagonal plus low rank), in
/// conjugate pairs of which one each is kept, and dt = step_scale exp(log_dt), discretised by the bilinear rule:
///   x' = Abar x + Bbar u,   y = 2 Re sum_n C x' + D u
/// A step takes O(StateSize) (ops/dplr_system.hpp). The impulse response, for the Convolution form, is that of the
/// paper (ops/cauchy_kernel.hpp); C is the output weight itself, not the truncated C~. The chunked forms take one dense
/// power of Abar (ops/dplr_operators.hpp). Re Lambda is negative. x and y [batch, time, Features]; Lambda, P, B, C
/// (complex) [Features, StateSize / 2]; log_dt, D [Features]. State h (complex) [batch, StateSize / 2, Features].
template <Scalar S, Index Features, Index StateSize, class Default = Chunked<>>
class S4 : public LinearSystemLayer<S4<S, Features, StateSize, Default>, S, Features, Features,
                                    ModeState<S, Features, StateSize == Dynamic ? Dynamic : StateSize / 2>, Default> {
  static_assert(StateSize == Dynamic || (StateSize > 0 && StateSize % 2 == 0),
                "stepscan: the state of an S4 consists of conjugate pairs, so its size is even");
  static constexpr Index Modes = StateSize == Dynamic ? Dynamic : StateSize / 2;
  using Complexes = ComplexTensor<S, Features, Modes>;

 public:
  using State = ModeState<S, Features, Modes>;
  static constexpr const char* name = "S4";
  static constexpr const char* plan_name = "S4Plan";
  static constexpr bool dense = true;

  Complexes Lambda;
  Complexes P;
  Complexes B;
  Complexes C;
  Tensor<S, Features> log_dt;
  Tensor<S, Features> D;
  S4Options options;

  static constexpr auto fields() {
    return std::tuple{Field{"Lambda", &S4::Lambda}, Field{"P", &S4::P},           Field{"B", &S4::B},
                      Field{"C", &S4::C},           Field{"log_dt", &S4::log_dt}, Field{"D", &S4::D}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic. Throws ShapeError when the state size is odd.
  explicit S4(const S4Options& how = {}) requires(Features != Dynamic && StateSize != Dynamic) : options(how) {}
  S4(Index features, Index state_size, const S4Options& how = {})
      : Lambda(features, state_size / 2),
        P(features, state_size / 2),
        B(features, state_size / 2),
        C(features, state_size / 2),
        log_dt(features),
        D(features),
        options(how) {
    if (state_size < 2 || state_size % 2 != 0) {
      fail<ShapeError>("S4: expected an even state size, of conjugate pairs, found " + std::to_string(state_size));
    }
  }

  /// HiPPO-LegS in its diagonal-plus-low-rank form; C complex normal, D normal, dt log-uniform in [0.001, 0.1].
  /// Compiled by those who include <stepscan/layers/backward.hpp>.
  void initialize(Random& random) { Initialization<S4>::run(*this, random); }

  [[nodiscard]] Index input_size() const noexcept { return Lambda.re.extent(0); }
  [[nodiscard]] Index output_size() const noexcept { return input_size(); }
  [[nodiscard]] Index modes() const noexcept { return Lambda.re.extent(1); }
  [[nodiscard]] Index states() const noexcept { return 2 * modes(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const { return {batch, modes(), input_size(), step_room()}; }

  [[nodiscard]] DplrMode mode(Index f, Index n) const noexcept {
    const auto at = [&](const Complexes& values) { return detail::complex_at(values, f, n); };
    return {at(Lambda), at(P), at(B), at(C)};
  }
  /// dt / 2.
  [[nodiscard]] double half_step(Index f) const noexcept {
    return options.step_scale * std::exp(static_cast<double>(log_dt[f])) / 2;
  }

  [[nodiscard]] Index step_room() const noexcept { return DplrStep<S>::size(input_size(), modes()); }
  [[nodiscard]] DplrStep<S> step_system(S* scratch) const noexcept {
    return DplrStep<S>::fill(
        input_size(), modes(), scratch, [&](Index f, Index n) { return mode(f, n); },
        [&](Index f) { return half_step(f); }, [&](Index f) { return static_cast<double>(D[f]); });
  }
  [[nodiscard]] DplrStep<S> step_at(const S* memory) const noexcept { return {input_size(), modes(), memory}; }

  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    const SystemShape shape = system_shape(chunk);
    return dplr_chunk_system<S>(
        shape, workspace.take<S>(shape.features * shape.operators_size()), workspace,
        [&](Index f, double* to) { return vectors(f, to); }, [&](Index f) { return static_cast<double>(D[f]); });
  }

  /// Writes the impulse response without the skip, response [features, length].
  void kernel(MatrixView<S> response, Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    if (response.cols == 0) return;
    const Index features = input_size(), workers = worker_count(features, features * response.cols * 8 * modes());
    auto* rooms = workspace.make<detail::CauchyRoom>(workers, modes(), Index{response.cols}, workspace);
    double* tau = workspace.take<double>(rooms->length / 2 + 1);
    detail::fill_cauchy_nodes(rooms->length, tau);
    detail::for_each_share(features, workers, [&](Index f, Index worker) {
      detail::cauchy_kernel<S>(
          modes(), half_step(f), [&](Index n) { return mode(f, n); }, tau, rooms[worker], response.row(f),
          response.cols);
    });
  }

  /// Writes C~ = (I - Abar^length)^T C, half of the pairs [features, modes], of which the generating function of a
  /// kernel of this length is made.
  void truncated_outputs(Index length, MatrixView<S> re, MatrixView<S> im, Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const detail::CauchyRoom room(modes(), length, workspace);
    for (Index f = 0; f < input_size(); ++f) {
      detail::truncate_outputs(vectors(f, room.vectors), length, room.outputs, room.scratch);
      for (Index n = 0; n < modes(); ++n) {
        re(f, n) = static_cast<S>(room.outputs[n] / 2);
        im(f, n) = static_cast<S>(-room.outputs[modes() + n] / 2);
      }
    }
  }

  /// The step of a feature in vectors, DplrVectors::size(modes()) doubles.
  [[nodiscard]] detail::DplrVectors vectors(Index f, double* memory) const noexcept {
    return {modes(), half_step(f), [&](Index n) { return mode(f, n); }, memory};
  }
  [[nodiscard]] SystemShape system_shape(Index chunk) const noexcept {
    SystemShape shape{input_size(), states(), chunk};
    shape.dense = true;
    return shape;
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return LinearSystemPlan<S4>(*this);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
