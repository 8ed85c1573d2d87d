#pragma once

#include <cmath>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/layers/system_chunk.hpp>
#include <stepscan/ops/dense_recurrence.hpp>
#include <stepscan/ops/discretize_dense.hpp>
#include <stepscan/ops/hippo.hpp>
#include <stepscan/ops/linear_system_convolution.hpp>

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
  Scratch<std::byte> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &LsslState::h}}; }

  [[nodiscard]] SystemStates<S> view() noexcept { return {{h.data(), nullptr}}; }
  [[nodiscard]] SystemStates<const S> view() const noexcept { return {{h.data(), nullptr}}; }
};

namespace detail {

/// Where the system of one feature is discretised, and the weights of one register of features.
template <Scalar S>
struct LsslRoom {
  double *A, *b;        ///< of the continuous system
  double *Abar, *bbar;  ///< discretised
  double *c, *skip;
  double* factors;  ///< [N, N]
  Index* swaps;     ///< [N]
  S* strip;
  S* row;

  LsslRoom(Index states, Index channels, std::byte* memory) noexcept {
    const auto take = [&]<class T>(T*& to, Index count) {
      to = reinterpret_cast<T*>(memory);
      memory += (count * static_cast<Index>(sizeof(T)) + line - 1) / line * line;
    };
    take(A, states * states);
    take(b, states);
    take(Abar, states * states);
    take(bbar, states);
    take(c, channels * states);
    take(skip, channels);
    take(factors, states * states);
    take(swaps, states);
    take(strip, DenseStrip<S>::size(states, channels));
    take(row, DenseStrip<S>::room(states, channels));
  }
  [[nodiscard]] static Index bytes(Index states, Index channels) noexcept {
    const Index doubles = 3 * states * states + 3 * states + channels * (states + 1);
    const Index numbers = DenseStrip<S>::size(states, channels) + DenseStrip<S>::room(states, channels);
    return doubles * static_cast<Index>(sizeof(double)) + numbers * static_cast<Index>(sizeof(S)) + 10 * line;
  }
  [[nodiscard]] DenseSystem<double> continuous(Index states) const noexcept {
    return {{A, states, states}, {b, states, Index{1}}};
  }
  [[nodiscard]] DenseSystem<double> discrete(Index states) const noexcept {
    return {{Abar, states, states}, {bbar, states, Index{1}}};
  }

 private:
  static constexpr Index line = static_cast<Index>(tensor_alignment);
};

}  // namespace detail

/// A layer or plan. Self provides states(), channels(), strip(i, room), the weights of the i-th register of features,
/// and operators(chunk, workspace), the chunk operators.
template <class Self, Scalar S, Index Features, Index StateSize, Index Channels, class Default>
class LsslLayer : public Layer<Self, S, Features, static_product(Features, Channels)> {
  static constexpr Index Outputs = static_product(Features, Channels);

 public:
  using State = LsslState<S, Features, StateSize>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>, Convolution>;
  using DefaultForm = Default;
  static constexpr bool time_invariant = true;

  [[nodiscard]] Index output_size() const noexcept { return self().input_size() * self().channels(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    return {decltype(State::h)(batch, self().states(), self().input_size()), Scratch<std::byte>(room_bytes())};
  }

  /// Tokens of the chunk operators in a form, a power of 2.
  template <class Form>
  [[nodiscard]] Index chunk_of(const Form& form) const noexcept {
    return static_cast<Index>(
        std::bit_ceil(static_cast<std::size_t>(detail::system_chunk(form, self().states(), true))));
  }

 protected:
  LsslLayer() = default;

 private:
  friend Layer<Self, S, Features, Outputs>;
  using Room = detail::LsslRoom<S>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] Index room_bytes() const noexcept { return Room::bytes(self().states(), self().channels()); }
  [[nodiscard]] Room room(std::byte* memory) const noexcept { return {self().states(), self().channels(), memory}; }

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    const Room own = room(state.scratch.data());
    dense_step<S>([&](Index i) { return self().strip(i, own); }, self().states(), self().channels(), x, state.h.data(),
                  y, own.row);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Features> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const Index states = self().states(), channels = self().channels();
    if constexpr (std::same_as<Form, Recurrent>) {
      const Index workers = worker_count(DenseStrip<S>::count(x.features), x.batch * x.time * x.features * states);
      std::byte* memory = workspace.take<std::byte>(workers * room_bytes());
      dense_recurrence<S>([&](Index i, Index worker) { return self().strip(i, room(memory + worker * room_bytes())); },
                          states, channels, x, state.h.data(), y, workers,
                          workspace.take<S>(workers * DenseStrip<S>::room(states, channels)));
    } else {
      const ChunkSystem<const S> operators = self().operators(chunk_of(form), workspace);
      if constexpr (std::same_as<Form, Convolution>) {
        const MatrixView<S> response = workspace.matrix<S, Dynamic>(output_size(), x.time);
        self().kernel(response, workspace);
        linear_system_convolution<S>(operators, response, x, state.view(), y, workspace);
      } else {
        linear_system_scan<S>(operators, x, state.view(), y, detail::schedule_of(form), workspace);
      }
    }
  }
};

/// An Lssl ready for inference: its discretised systems and the chunk operators of its default form. Other chunks and
/// impulse responses are worked out anew from the parameters.
template <class L, Scalar S, Index Features, Index StateSize, Index Channels, class Default>
class LsslPlan : public LsslLayer<LsslPlan<L, S, Features, StateSize, Channels, Default>, S, Features, StateSize,
                                  Channels, Default> {
  using Strip = DenseStrip<S>;

 public:
  static constexpr const char* name = "LsslPlan";

  explicit LsslPlan(const L& layer) : layer_(layer), chunk_(layer.chunk_of(Default{})) {
    Tensor<std::byte, Dynamic> memory(detail::LsslRoom<S>::bytes(states(), channels()));
    const detail::LsslRoom<S> room(states(), channels(), memory.data());
    const Index size = Strip::size(states(), channels()), count = Strip::count(input_size());
    strips_ = Tensor<S, Dynamic>(count * size);
    for (Index i = 0; i < count; ++i) {
      static_cast<void>(layer_.strip(i, room));
      std::copy_n(room.strip, size, strips_.data() + i * size);
    }
    Workspace workspace;
    const ChunkSystem<const S> system = layer_.operators(chunk_, workspace);
    operators_ = Tensor<S, Dynamic>(system.shape.operators_size() * input_size());
    std::copy_n(system.memory, operators_.size(), operators_.data());
  }

  [[nodiscard]] Index input_size() const noexcept { return layer_.input_size(); }
  [[nodiscard]] Index states() const noexcept { return layer_.states(); }
  [[nodiscard]] Index channels() const noexcept { return layer_.channels(); }

  [[nodiscard]] DenseStrip<S> strip(Index i, const detail::LsslRoom<S>&) const noexcept {
    return {states(), channels(), strips_.data() + i * Strip::size(states(), channels())};
  }
  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    if (chunk != chunk_) return layer_.operators(chunk, workspace);
    return {dense_shape(input_size(), states(), channels(), chunk), operators_.data()};
  }
  void kernel(MatrixView<S> kernel, Workspace& workspace) const { layer_.kernel(kernel, workspace); }

 private:
  L layer_;
  Index chunk_;
  Tensor<S, Dynamic> strips_;
  Tensor<S, Dynamic> operators_;
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

  /// The discretised system of a feature, in `room`.
  [[nodiscard]] DenseResponse response(Index f, const detail::LsslRoom<S>& room) const noexcept {
    std::copy(A.begin(), A.end(), room.A);
    std::copy(B.begin(), B.end(), room.b);
    std::copy_n(&C(f, 0, 0), channels() * states(), room.c);
    std::copy_n(&D(f, 0), channels(), room.skip);
    static_cast<void>(detail::bilinear_in<double>(room.continuous(states()), step_size(f), bilinear.alpha,
                                                  room.discrete(states()), room.factors, room.swaps));
    return {states(), channels(), room.Abar, room.bbar, room.c, room.skip};
  }

  [[nodiscard]] DenseStrip<S> strip(Index i, const detail::LsslRoom<S>& room) const noexcept {
    std::fill_n(room.strip, DenseStrip<S>::size(states(), channels()), S{0});
    for (Index lane = 0; lane < simd_width<S> && i * simd_width<S> + lane < input_size(); ++lane) {
      DenseStrip<S>::fill(room.strip, lane, response(i * simd_width<S> + lane, room));
    }
    return {states(), channels(), room.strip};
  }

  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    const SystemShape shape = dense_shape(input_size(), states(), channels(), chunk);
    const ChunkSystem<S> out{shape, workspace.take<S>(shape.operators_size() * input_size())};
    for_each_feature(shape, workspace, [&](Index f, const DenseResponse& system, double* room) {
      dense_operators<S>(system, shape, out.operators(f), room);
    });
    return {shape, out.memory};
  }

  /// Writes the impulse responses without the skips, kernel [features * channels, length].
  void kernel(MatrixView<S> kernel, Workspace& workspace) const {
    const SystemShape shape = dense_shape(input_size(), states(), channels(), this->chunk_of(Convolution{}));
    for_each_feature(shape, workspace, [&](Index f, const DenseResponse& system, double* room) {
      dense_kernel<S>(system, shape, kernel.middle_rows(f * channels(), channels()), room);
    });
  }

 private:
  /// Calls f(feature, its discretised system, doubles for dense_kernel), features spread over threads.
  template <class F>
  void for_each_feature(const SystemShape& shape, Workspace& workspace, F&& f) const {
    const Workspace::Scope scope(workspace);
    const Index doubles = dense_operators_room(shape) + 2 * states();
    const Index bytes = detail::LsslRoom<S>::bytes(states(), channels());
    const Index workers = worker_count(input_size(), input_size() * doubles);
    std::byte* rooms = workspace.take<std::byte>(workers * bytes);
    double* memory = workspace.take<double>(workers * doubles);
    detail::for_each_share(input_size(), workers, [&](Index feature, Index worker) {
      const detail::LsslRoom<S> room(states(), channels(), rooms + worker * bytes);
      f(feature, response(feature, room), memory + worker * doubles);
    });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
