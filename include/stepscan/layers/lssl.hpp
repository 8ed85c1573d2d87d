#pragma once

#include <cmath>
#include <stepscan/layers/linear_system_layer.hpp>
#include <stepscan/ops/dense_kernel.hpp>
#include <stepscan/ops/dense_recurrence.hpp>
#include <stepscan/ops/discretize_dense.hpp>
#include <stepscan/ops/hippo.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What an Lssl is beside its parameters.
struct LsslOptions {
  HippoMeasure measure = HippoMeasure::legs;  ///< of fresh parameters
  /// Multiplies every step size: 1/2 for an input that is sampled at twice the rate of training.
  double step_scale = 1;
};

/// h [batch, StateSize, Features], features contiguous, so that a step loads and stores whole registers of features;
/// and the scratch of one step.
template <Scalar S, Index Features, Index StateSize>
struct LsslState {
  Tensor<S, Dynamic, StateSize, Features> h;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &LsslState::h}}; }

  [[nodiscard]] SystemStates<S> view() noexcept { return {{h.data(), nullptr}}; }
  [[nodiscard]] SystemStates<const S> view() const noexcept { return {{h.data(), nullptr}}; }
};

namespace detail {

/// Doubles in which the system of one feature is discretised.
struct LsslSystemRoom {
  double *A, *b;        ///< of the continuous system
  double *Abar, *bbar;  ///< discretised
  double* transposed;   ///< of Abar
  double *c, *skip;
  double* factors;  ///< [N, N]
  Index* swaps;     ///< [N]
  Index states;

  LsslSystemRoom(Index n, Index channels, double* memory) noexcept
      : A(memory),
        b(A + n * n),
        Abar(b + n),
        bbar(Abar + n * n),
        transposed(bbar + n),
        c(transposed + n * n),
        skip(c + channels * n),
        factors(skip + channels),
        swaps(reinterpret_cast<Index*>(factors + n * n)),
        states(n) {
    static_assert(sizeof(Index) <= sizeof(double));
  }
  [[nodiscard]] static constexpr Index size(Index n, Index channels) noexcept {
    return 4 * n * n + 3 * n + channels * (n + 1);
  }
  [[nodiscard]] DenseSystem<double> continuous() const noexcept { return {{A, states, states}, {b, states, Index{1}}}; }
  [[nodiscard]] DenseSystem<double> discrete() const noexcept {
    return {{Abar, states, states}, {bbar, states, Index{1}}};
  }
};

/// What a step of a layer or plan takes: the weights of one register of features after another, and memory for them.
template <class L>
struct LsslSteps {
  using S = typename L::scalar_type;
  using Strip = DenseStrip<S>;

  const L& layer;
  S* memory;

  /// Numbers of memory: doubles for a system, the weights of a strip, room of its step.
  [[nodiscard]] static constexpr Index size(Index states, Index channels) noexcept {
    const Index doubles = LsslSystemRoom::size(states, channels) * static_cast<Index>(sizeof(double) / sizeof(S));
    return doubles + Strip::size(states, channels) + Strip::room(states, channels);
  }
  [[nodiscard]] S* step_room(S* own) const noexcept {
    return own + size(layer.states(), layer.channels()) - Strip::room(layer.states(), layer.channels());
  }
};

template <Scalar S, class L>
void system_step(const LsslSteps<L>& steps, MatrixView<const S> x, const SystemStates<S>& h, MatrixView<S> y) noexcept {
  const L& layer = steps.layer;
  dense_step<S>([&](Index i) { return layer.strip(i, steps.memory); }, layer.states(), layer.channels(), x, h.planes[0],
                y, steps.step_room(steps.memory));
}

/// Registers of features are spread over threads.
template <Scalar S, class L>
void system_recurrence(const LsslSteps<L>& steps, SequenceView<const S> x, const SystemStates<S>& h, SequenceView<S> y,
                       Workspace& workspace) {
  const L& layer = steps.layer;
  const Workspace::Scope scope(workspace);
  const Index states = layer.states(), channels = layer.channels(), size = LsslSteps<L>::size(states, channels);
  const Index workers = worker_count(DenseStrip<S>::count(x.features), x.batch * x.time * x.features * states);
  S* memory = workspace.take<S>(workers * size);
  dense_recurrence<S>([&](Index i, Index worker) { return layer.strip(i, memory + worker * size); }, states, channels,
                      x, h.planes[0], y, workers, workspace.take<S>(workers * DenseStrip<S>::room(states, channels)));
}

}  // namespace detail

/// A layer or plan. Self provides input_size(), states(), channels(), and strip(i, memory), the weights of the i-th
/// register of features, which may be worked out in `memory`.
template <class Self, Scalar S, Index Features, Index StateSize, Index Channels, class Default>
class LsslLayer : public LinearSystemLayer<Self, S, Features, static_product(Features, Channels),
                                           LsslState<S, Features, StateSize>, Default> {
 public:
  using State = LsslState<S, Features, StateSize>;
  static constexpr bool dense = true;

  [[nodiscard]] Index output_size() const noexcept { return self().input_size() * self().channels(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    return {decltype(State::h)(batch, self().states(), self().input_size()), Scratch<S>(step_room())};
  }

  [[nodiscard]] Index step_room() const noexcept {
    return detail::LsslSteps<Self>::size(self().states(), self().channels());
  }
  [[nodiscard]] detail::LsslSteps<Self> step_system(S* memory) const noexcept { return {self(), memory}; }

 protected:
  LsslLayer() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
};

/// An Lssl ready for inference: its discretised systems, the chunk operators of its default form and the spectra of its
/// impulse responses. Other chunks are worked out anew from the parameters.
template <class L, Scalar S, Index Features, Index StateSize, Index Channels, class Default>
class LsslPlan : public LsslLayer<LsslPlan<L, S, Features, StateSize, Channels, Default>, S, Features, StateSize,
                                  Channels, Default> {
  using Strip = DenseStrip<S>;

 public:
  static constexpr const char* name = "LsslPlan";

  explicit LsslPlan(const L& layer) : layer_(layer), tables_(layer) {
    Tensor<S, Dynamic> memory(layer_.step_room());
    const Index size = Strip::size(states(), channels()), count = Strip::count(input_size());
    strips_ = Tensor<S, Dynamic>(count * size);
    for (Index i = 0; i < count; ++i)
      std::copy_n(layer_.strip(i, memory.data()).weights(), size, strips_.data() + i * size);
  }

  [[nodiscard]] Index input_size() const noexcept { return layer_.input_size(); }
  [[nodiscard]] Index states() const noexcept { return layer_.states(); }
  [[nodiscard]] Index channels() const noexcept { return layer_.channels(); }

  [[nodiscard]] Strip strip(Index i, S*) const noexcept {
    return {states(), channels(), strips_.data() + i * Strip::size(states(), channels())};
  }
  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    return tables_.operators(layer_, chunk, workspace);
  }
  [[nodiscard]] const S* spectra(const ChunkSystem<const S>&, Workspace&) const noexcept {
    return tables_.spectra();
  }
  void kernel(MatrixView<S> response, Workspace& workspace) const { layer_.kernel(response, workspace); }

 private:
  L layer_;
  Tensor<S, Dynamic> strips_;
  detail::SystemTables<S> tables_;
};

/// LSSL (arXiv 2110.13985, equations 3 to 6): a dense state-space system per feature, A and B shared, discretised by
/// the bilinear rule with dt = step_scale exp(log_dt) of the feature; output f * Channels + m is
///   h' = Abar h + Bbar u_f,   y = C[f, m] h' + D[f, m] u_f
/// x [batch, time, Features], y [batch, time, Features * Channels]; A [StateSize, StateSize], B [StateSize],
/// C [Features, Channels, StateSize], D [Features, Channels], log_dt [Features]. State h [batch, StateSize, Features].
template <Scalar S, Index Features, Index StateSize, Index Channels = 1, class Default = Chunked<>>
class Lssl
    : public LsslLayer<Lssl<S, Features, StateSize, Channels, Default>, S, Features, StateSize, Channels, Default> {
 public:
  static constexpr const char* name = "Lssl";

  Tensor<S, StateSize, StateSize> A;
  Tensor<S, StateSize> B;
  Tensor<S, Features, Channels, StateSize> C;
  Tensor<S, Features, Channels> D;
  Tensor<S, Features> log_dt;
  LsslOptions options;

  static constexpr auto fields() {
    return std::tuple{Field{"A", &Lssl::A}, Field{"B", &Lssl::B}, Field{"C", &Lssl::C}, Field{"D", &Lssl::D},
                      Field{"log_dt", &Lssl::log_dt}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  explicit Lssl(const LsslOptions& how = {}) requires(Features != Dynamic && StateSize != Dynamic &&
                                                      Channels != Dynamic)
      : options(how) {}
  Lssl(Index features, Index state_size, Index channels = 1, const LsslOptions& how = {})
      : A(state_size, state_size),
        B(state_size),
        C(features, channels, state_size),
        D(features, channels),
        log_dt(features),
        options(how) {}

  /// A and B of HiPPO, C and D normal, dt log-uniform in [0.001, 0.1].
  void initialize(Random& random) {
    const HippoSystem start = hippo(options.measure, states());
    std::copy(start.A.begin(), start.A.end(), A.begin());
    std::copy(start.B.begin(), start.B.end(), B.begin());
    for (S& value : C) value = static_cast<S>(random.normal());
    for (S& value : D) value = static_cast<S>(random.normal());
    for (S& value : log_dt) value = static_cast<S>(random.uniform(std::log(0.001), std::log(0.1)));
  }

  [[nodiscard]] Index input_size() const noexcept { return log_dt.size(); }
  [[nodiscard]] Index states() const noexcept { return B.size(); }
  [[nodiscard]] Index channels() const noexcept { return D.extent(1); }
  [[nodiscard]] double step_size(Index f) const noexcept {
    return options.step_scale * std::exp(static_cast<double>(log_dt[f]));
  }

  [[nodiscard]] SystemShape system_shape(Index chunk) const noexcept {
    return {input_size(), states(), chunk, channels(), true};
  }

  /// Doubles that dense_system takes.
  [[nodiscard]] Index dense_size() const noexcept { return detail::LsslSystemRoom::size(states(), channels()); }

  /// The discretised system of a feature, in `memory`.
  [[nodiscard]] DenseResponse dense_system(Index f, double* memory) const noexcept {
    const detail::LsslSystemRoom room(states(), channels(), memory);
    std::copy(A.begin(), A.end(), room.A);
    std::copy(B.begin(), B.end(), room.b);
    std::copy_n(&C(f, 0, 0), channels() * states(), room.c);
    std::copy_n(&D(f, 0), channels(), room.skip);
    static_cast<void>(detail::bilinear_in<double>(room.continuous(), step_size(f), bilinear.alpha, room.discrete(),
                                                  room.factors, room.swaps));
    transpose<double>(room.discrete().A, {room.transposed, states(), states()});
    return {states(), channels(), room.transposed, room.bbar, room.c, room.skip};
  }

  [[nodiscard]] DenseStrip<S> strip(Index i, S* memory) const noexcept {
    auto* doubles = reinterpret_cast<double*>(memory);
    S* weights = reinterpret_cast<S*>(doubles + dense_size());
    std::fill_n(weights, DenseStrip<S>::size(states(), channels()), S{0});
    for (Index lane = 0; lane < simd_width<S> && i * simd_width<S> + lane < input_size(); ++lane) {
      DenseStrip<S>::fill(weights, lane, dense_system(i * simd_width<S> + lane, doubles));
    }
    return {states(), channels(), weights};
  }

  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    const SystemShape shape = system_shape(chunk);
    return dense_chunk_system<S>(shape, workspace.take<S>(shape.operators_size() * shape.features), dense_size(),
                                 workspace, [&](Index f, double* to) { return dense_system(f, to); });
  }

  /// Writes the impulse responses without the skips, response [features * channels, length].
  void kernel(MatrixView<S> response, Workspace& workspace) const {
    dense_kernel<S>(system_shape(detail::kernel_columns), response, dense_size(), workspace,
                    [&](Index f, double* to) { return dense_system(f, to); });
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return LsslPlan<Lssl, S, Features, StateSize, Channels, Default>(*this);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
