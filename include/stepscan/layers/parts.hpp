#pragma once

#include <stepscan/layers/stateless.hpp>
#include <tuple>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

constexpr Index static_total(std::initializer_list<Index> sizes) {
  Index total = 0;
  for (const Index size : sizes) total = static_sum(total, size);
  return total;
}

template <class L>
inline constexpr bool is_stateless{L::keeps_time && std::same_as<typename L::State, NoState>};

}  // namespace detail

/// Layers without state side by side, each on its own part of the features:
///   y = [layer_0(x_0) | layer_1(x_1) | ...],   x = [x_0 | x_1 | ...]
/// such as the activations that make queries, keys, values and gates of what one product projected. Parameters are
/// named 0, 1, ... as the layers are.
///   Parts<Silu<float, 192>, Sigmoid<float, 4>> activations;
template <SequenceLayer First, SequenceLayer... Rest>
class Parts : public StatelessLayer<Parts<First, Rest...>, typename First::scalar_type,
                                    detail::static_total({First::static_inputs, Rest::static_inputs...}),
                                    detail::static_total({First::static_outputs, Rest::static_outputs...})> {
  using S = typename First::scalar_type;
  static constexpr Index Inputs = detail::static_total({First::static_inputs, Rest::static_inputs...});
  static constexpr Index Outputs = detail::static_total({First::static_outputs, Rest::static_outputs...});
  static_assert((std::same_as<S, typename Rest::scalar_type> && ...),
                "stepscan: the layers of a Parts have one scalar type");
  static_assert((detail::is_stateless<First> && ... && detail::is_stateless<Rest>),
                "stepscan: the layers of a Parts have no state");

 public:
  static constexpr const char* name = "Parts";

  std::tuple<First, Rest...> layers;

  static constexpr auto fields() requires(Trees<First, Rest...>) { return std::tuple{Field{"", &Parts::layers}}; }

  Parts() = default;
  explicit Parts(First first, Rest... rest) : layers(std::move(first), std::move(rest)...) {}

  void initialize(Random& random) {
    std::apply([&](auto&... layer) { (layer.initialize(random), ...); }, layers);
  }

  [[nodiscard]] Index input_size() const noexcept {
    return std::apply([](const auto&... layer) { return (Index{layer.input_size()} + ...); }, layers);
  }
  [[nodiscard]] Index output_size() const noexcept {
    return std::apply([](const auto&... layer) { return (Index{layer.output_size()} + ...); }, layers);
  }

  /// A Parts of the layers' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return std::apply([](const auto&... layer) { return of(layer.template plan<Stored, Math>()...); }, layers);
  }

  /// Calls f(layer number, first input feature, first output feature) for every layer, its number a constant.
  template <class F>
  void for_each_part(F&& f) const {
    Index in = 0, out = 0;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((f(std::integral_constant<std::size_t, I>{}, in, out), in += std::get<I>(layers).input_size(),
        out += std::get<I>(layers).output_size()),
       ...);
    }
    (std::index_sequence_for<First, Rest...>{});
  }

 private:
  friend Layer<Parts, S, Inputs, Outputs>;

  template <class... Plans>
  static Parts<Plans...> of(Plans... plans) {
    return Parts<Plans...>(std::move(plans)...);
  }

  void run_step(NoState& none, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    for_each_part([&](auto number, Index in, Index out) {
      const auto& layer = std::get<number>(layers);
      layer.step(none, x.middle_cols(in, layer.input_size()), y.middle_cols(out, layer.output_size()));
    });
  }

  template <class Form>
  void run_scan(const Form& form, NoState& none, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    for_each_part([&](auto number, Index in, Index out) {
      const auto& layer = std::get<number>(layers);
      layer.scan(none, x.middle_features(in, Extent<Dynamic>(layer.input_size())),
                 y.middle_features(out, Extent<Dynamic>(layer.output_size())), workspace, form);
    });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
