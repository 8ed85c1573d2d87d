#pragma once

#include <stepscan/layers/chain.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The cache of keys and values, the states of what stands between projections and attention (a position), and room for
/// what one token is between the parts.
template <Scalar S, class Cache, class... Between>
struct MultiHeadState {
  Cache cache;
  std::tuple<Between...> between;
  Scratch<S> scratch;

  template <std::size_t I>
  struct Part {
    constexpr auto& operator()(auto& owner) const noexcept { return std::get<I>(owner.between); }
  };
  static constexpr auto fields() {
    const auto list = []<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple{Field{"", &MultiHeadState::cache}, Field{"", Part<I>{}}...};
    };
    return list(std::index_sequence_for<Between...>{});
  }
};

/// What a MultiHeadAttention and its plan share: the parts, one behind the other,
///   y = o_proj(attention(between(qkv_proj(x))))
template <class Self, SequenceLayer Qkv, class Between, SequenceLayer Attention, SequenceLayer Out>
class MultiHeadLayer;

template <class Self, SequenceLayer Qkv, SequenceLayer... Between, SequenceLayer Attention, SequenceLayer Out>
class MultiHeadLayer<Self, Qkv, std::tuple<Between...>, Attention, Out>
    : public Layer<Self, typename Attention::scalar_type, Qkv::static_inputs, Out::static_outputs> {
  using Traits = detail::ChainTraits<Qkv, Between..., Attention, Out>;
  using S = typename Attention::scalar_type;
  static constexpr Index Inputs = Qkv::static_inputs;
  static constexpr Index Outputs = Out::static_outputs;

 public:
  using Parts = typename Traits::List;
  using State = MultiHeadState<S, typename Attention::State, typename Between::State...>;
  using Forms = typename Traits::Forms;
  using DefaultForm = OwnForm;
  static constexpr Index receptive_field = Dynamic;
  template <class Form>
  static constexpr Index block_tokens = Traits::template block_tokens<Form>;

  Qkv qkv_proj;
  std::tuple<Between...> between;
  Attention attention;
  Out o_proj;

  [[nodiscard]] Index input_size() const noexcept { return qkv_proj.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return o_proj.output_size(); }

  /// An empty cache, at position 0.
  [[nodiscard]] State initial_state(Index batch) const {
    return {attention.initial_state(batch),
            std::apply([&](const auto&... part) { return std::tuple(part.initial_state(batch)...); }, between),
            chain().step_scratch(batch)};
  }

  /// A state that keeps `capacity` tokens and holds what the given one holds. Throws as AttentionLayer::reserve does.
  [[nodiscard]] State reserve(const State& state, Index capacity) const {
    State larger = state;
    larger.cache = attention.reserve(state.cache, capacity);
    return larger;
  }

  /// The parts one behind the other, and their states.
  [[nodiscard]] auto chained() noexcept { return chained(*this); }
  [[nodiscard]] auto chained() const noexcept { return chained(*this); }
  template <class AnyState>
  [[nodiscard]] static auto chained_states(NoState& none, AnyState& state) noexcept {
    return std::apply([&](auto&... own) { return std::tie(none, own..., state.cache, none); }, state.between);
  }

 protected:
  MultiHeadLayer(Qkv before, std::tuple<Between...> middle, Attention scan, Out behind)
      : qkv_proj(std::move(before)),
        between(std::move(middle)),
        attention(std::move(scan)),
        o_proj(std::move(behind)) {}

 private:
  friend Layer<Self, S, Inputs, Outputs>;

  template <class Owner>
  static auto chained(Owner& owner) noexcept {
    return std::apply([&](auto&... part) { return std::tie(owner.qkv_proj, part..., owner.attention, owner.o_proj); },
                      owner.between);
  }
  [[nodiscard]] auto chain() const noexcept {
    return std::make_from_tuple<detail::Chain<Qkv, Between..., Attention, Out>>(chained());
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    NoState none;
    chain().step(chained_states(none, state), state.scratch, x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    NoState none;
    chain().scan(form, chained_states(none, state), x, y, workspace);
  }
};

/// A MultiHeadAttention ready for inference: the plans of its parts.
template <SequenceLayer Qkv, class Between, SequenceLayer Attention, SequenceLayer Out>
class MultiHeadPlan : public MultiHeadLayer<MultiHeadPlan<Qkv, Between, Attention, Out>, Qkv, Between, Attention, Out> {
 public:
  static constexpr const char* name = "MultiHeadPlan";

  MultiHeadPlan(Qkv before, Between middle, Attention scan, Out behind)
      : MultiHeadPlan::MultiHeadLayer(std::move(before), std::move(middle), std::move(scan), std::move(behind)) {}
};

}  // namespace stepscan::inline STEPSCAN_ISA
