#pragma once

#include <contract/model.hpp>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/state.hpp>
#include <tuple>
#include <type_traits>

/// From a layer to a Model: the only part of the contract that is compiled per layer.
namespace stepscan::testing {

/// The chunk of every chunked form under test; an iterative form has three times as many tokens to iterate on.
inline constexpr Index tested_chunk = 4;

namespace detail {

/// A declared form with the chunk under test, and how the checks see it.
template <class F>
struct Tested {
  using type = F;
  static Form form() { return {"Recurrent"}; }
};
template <>
struct Tested<OwnForm> {
  using type = OwnForm;
  static Form form() { return {"OwnForm"}; }
};
template <>
struct Tested<Convolution> {
  using type = Convolution;
  static Form form() { return {"Convolution", false, true}; }
};
template <Index Tokens>
struct Tested<Chunked<Tokens>> {
  using type = Chunked<tested_chunk>;
  static Form form() { return {"Chunked"}; }
};
template <Index Tokens>
struct Tested<Parallel<Tokens>> {
  using type = Parallel<tested_chunk>;
  static Form form() { return {"Parallel"}; }
};
template <Jacobian Kind, Index Tokens>
struct Tested<Newton<Kind, Tokens>> {
  using type = Newton<Kind, 3 * tested_chunk>;
  static Form form() { return {Kind == Jacobian::full ? "Newton full" : "Newton diagonal", true}; }
};

template <class F>
using Unless =
    std::conditional_t<std::is_same_v<F, Recurrent> || std::is_same_v<F, OwnForm>, std::tuple<>, std::tuple<F>>;

template <class List>
struct WithReference;
template <class... Fs>
struct WithReference<std::tuple<Fs...>> {
  using type = decltype(std::tuple_cat(std::tuple<Recurrent>{}, Unless<Fs>{}..., std::tuple<OwnForm>{}));
};

template <class L>
struct FormsOf : WithReference<typename L::Forms> {};
template <class L>
requires(L::any_form) struct FormsOf<L> : WithReference<std::tuple<>> {
};

/// Recurrent, all other declared forms, and the layer's own.
template <class L>
using Forms = typename FormsOf<L>::type;

/// Calls f(form) for the form of that position.
template <class L, class Function>
void with_form(std::size_t position, Function&& f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((position == I ? f(typename Tested<std::tuple_element_t<I, Forms<L>>>::type{}) : void()), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<Forms<L>>>{});
}

template <class S, class T>
std::vector<NamedValues<S>> named_values(T& tree, bool batched) {
  std::vector<NamedValues<S>> list;
  for_each_tensor(
      [&](const Path& path, auto& tensor) {
        NamedValues<S> values;
        values.name = path.str();
        if constexpr (std::is_same_v<typename std::remove_cvref_t<decltype(tensor)>::value_type, S>)
          values.numbers = tensor.span();
        values.bytes = std::as_writable_bytes(tensor.span());
        values.rows = batched ? tensor.extent(0) : 1;
        list.push_back(std::move(values));
      },
      tree);
  return list;
}

}  // namespace detail

template <class S, class State>
class StateOf final : public HeldState<S> {
 public:
  explicit StateOf(const State& held) : value(held) {}
  [[nodiscard]] std::unique_ptr<HeldState<S>> clone() const override { return std::make_unique<StateOf>(value); }
  void assign(const HeldState<S>& other) override { value = static_cast<const StateOf&>(other).value; }
  [[nodiscard]] std::vector<NamedValues<S>> tensors() override { return detail::named_values<S>(value, true); }
  void restore_into(HeldState<S>& to) const override { restore(snapshot(value), static_cast<StateOf&>(to).value); }

  State value;
};

/// A layer or plan L as a Base (Model or TrainableModel).
template <class L, class Base = Model<typename L::scalar_type>>
class LayerModel : public Base {
 public:
  using S = typename L::scalar_type;

  explicit LayerModel(const L& layer) : layer_(layer) {
    this->name = L::name;
    this->inputs = layer_.input_size();
    this->outputs = layer_.output_size();
    this->causal = L::causal;
    [&]<class... Fs>(std::type_identity<std::tuple<Fs...>>) {
      (this->forms.push_back(detail::Tested<Fs>::form()), ...);
    }(std::type_identity<detail::Forms<L>>{});
  }

  [[nodiscard]] AnyState<S> initial_state(Index batch) const override {
    return AnyState<S>(std::make_unique<StateOf<S, State>>(layer_.initial_state(batch)));
  }
  [[nodiscard]] Index output_time(Index time) const override { return layer_.output_time(time); }

  void step([[maybe_unused]] AnyState<S>& state, [[maybe_unused]] MatrixView<const S> x,
            [[maybe_unused]] MatrixView<S> y) const override {
    if constexpr (L::causal) layer_.step(value(state), x, y);
  }
  void scan(std::size_t form, AnyState<S>& state, SequenceView<const S> x, SequenceView<S> y,
            Workspace& workspace) const override {
    detail::with_form<L>(form, [&](const auto& f) { layer_.scan(value(state), x, y, workspace, f); });
  }

 protected:
  using State = typename L::State;
  static State& value(const AnyState<S>& state) { return static_cast<StateOf<S, State>&>(state.held()).value; }

  L layer_;
};

template <class L>
class TrainableLayerModel final : public LayerModel<L, TrainableModel<typename L::scalar_type>> {
  using Base = LayerModel<L, TrainableModel<typename L::scalar_type>>;
  using S = typename L::scalar_type;
  using Base::layer_;
  using Base::value;

 public:
  explicit TrainableLayerModel(const L& layer) : Base(layer), gradient_(zeros_like(layer_)) {}

  void initialize(std::uint64_t seed) override { stepscan::initialize(layer_, seed); }
  [[nodiscard]] std::vector<NamedValues<S>> parameters() override { return detail::named_values<S>(layer_, false); }
  [[nodiscard]] std::vector<NamedValues<S>> gradient() override { return detail::named_values<S>(gradient_, false); }
  [[nodiscard]] std::unique_ptr<Model<S>> plan() const override {
    using Plan = decltype(prepare(layer_));
    return std::make_unique<LayerModel<Plan>>(prepare(layer_));
  }

  void forward(std::size_t form, AnyState<S>& state, SequenceView<const S> x, SequenceView<S> y) override {
    detail::with_form<L>(form, [&](const auto& f) { layer_.forward(value(state), x, y, tape_, f); });
  }
  void backward(SequenceView<const S> dy, const AnyState<S>& dstate_end, SequenceView<S> dx,
                AnyState<S>& dstate_start) override {
    layer_.backward(tape_, dy, value(dstate_end), gradient_, dx, value(dstate_start));
  }

 private:
  L gradient_;
  Tape<L> tape_;
};

}  // namespace stepscan::testing
