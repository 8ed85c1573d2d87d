#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <stepscan/io/amplifier_description.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <string>
#include <vector>

/// The recurrent layers of an AmplifierModel and the sizes that have code of their own.
namespace stepscan::inline STEPSCAN_ISA {

/// Hidden sizes that get code of their own.
template <Index... Hidden>
struct HiddenSizes {};

/// The models that an AmplifierModel runs at the speed of static sizes, whatever their inputs and number of layers; all
/// others run in the code for Dynamic sizes. Each size costs compile time: a program that knows its models lists
/// theirs.
template <class LstmSizes = HiddenSizes<8, 12, 16, 20, 24, 32, 40>,
          class GruSizes = HiddenSizes<8, 9, 12, 16, 20, 24, 32, 40>>
struct AmplifierRegistry {
  using Lstms = LstmSizes;
  using Grus = GruSizes;
};

/// No code of their own for any sizes.
using DynamicAmplifiers = AmplifierRegistry<HiddenSizes<>, HiddenSizes<>>;

namespace detail {

/// Samples that an amplifier takes through one layer before it goes on to the next.
inline constexpr Index amplifier_block = 64;

/// The recurrent layers of an amplifier, behind one virtual call per block.
template <Scalar S>
class AmplifierCore {
 public:
  AmplifierCore() = default;
  virtual ~AmplifierCore() = default;
  AmplifierCore& operator=(const AmplifierCore&) = delete;

  /// x [1, time <= amplifier_block, inputs] to the last layer's hidden states [1, time, hidden], which stay valid until
  /// the next call.
  virtual SequenceView<const S> run(SequenceView<const S> x) = 0;
  virtual void reset() noexcept = 0;
  [[nodiscard]] virtual std::unique_ptr<AmplifierCore> clone() const = 0;
  [[nodiscard]] virtual bool has_static_size() const noexcept = 0;

 protected:
  AmplifierCore(const AmplifierCore&) = default;
};

/// Throws ShapeError when the numbers do not fill the tensor.
template <class Tensor>
void fill_from(const std::vector<float>& values, Tensor& tensor, const std::string& name) {
  if (static_cast<Index>(values.size()) != tensor.size()) {
    fail<ShapeError>("AmplifierModel: expected " + std::to_string(tensor.size()) + " numbers for " + name + " " +
                     shape_text(tensor.shape()) + ", found " + std::to_string(values.size()));
  }
  using T = typename Tensor::value_type;
  std::transform(values.begin(), values.end(), tensor.begin(), [](float value) { return static_cast<T>(value); });
}

/// L is Lstm or Gru with a Dynamic number of inputs, so that one type serves every layer.
template <class L>
class AmplifierStack final : public AmplifierCore<typename L::scalar_type> {
  using S = typename L::scalar_type;
  using State = typename L::State;
  using Hidden = Tensor<S, 1, amplifier_block, Dynamic>;

 public:
  explicit AmplifierStack(const AmplifierDescription& description) {
    for (const AmplifierLayer& layer : description.layers) add_layer(layer, description);
    states_ = start_;
    for (Hidden& hidden : hidden_) hidden = Hidden(Index{1}, amplifier_block, description.hidden_size);
    workspace_ = Workspace(static_cast<std::size_t>(workspace_bytes(description.hidden_size)));
  }

  SequenceView<const S> run(SequenceView<const S> x) override {
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      const SequenceView<S, L::static_outputs> y = SequenceView<S>(hidden_[i % 2]).slice(0, x.time);
      if (L::static_outputs == Dynamic && y.features >= team_hidden) {
        plans_[i].scan(states_[i], x, y, workspace_, Recurrent{});  // Chunked would share the block among threads
      } else {
        plans_[i].scan(states_[i], x, y, workspace_, Chunked<amplifier_block>{});
      }
      x = y;
    }
    return x;
  }

  void reset() noexcept override { states_ = start_; }
  [[nodiscard]] std::unique_ptr<AmplifierCore<S>> clone() const override {
    return std::make_unique<AmplifierStack>(*this);
  }
  [[nodiscard]] bool has_static_size() const noexcept override { return L::static_outputs != Dynamic; }

 private:
  /// Room for the pre-activations of a block, and for what a step needs.
  static Index workspace_bytes(Index hidden) noexcept {
    constexpr Index rows = static_cast<Index>(L::CellType::gates) * (amplifier_block + 2);
    return static_cast<Index>(sizeof(S)) * rows * hidden + 4 * static_cast<Index>(tensor_alignment);
  }

  void add_layer(const AmplifierLayer& from, const AmplifierDescription& description) {
    const std::string name = "layer " + std::to_string(plans_.size()) + ", ";
    L layer(plans_.empty() ? description.input_size : description.hidden_size, description.hidden_size);
    fill_from(from.weight_ih, layer.weight_ih, name + "weight_ih");
    fill_from(from.weight_hh, layer.weight_hh, name + "weight_hh");
    fill_from(from.bias_ih, layer.bias_ih, name + "bias_ih");
    fill_from(from.bias_hh, layer.bias_hh, name + "bias_hh");
    plans_.push_back(prepare(layer));
    State state = layer.initial_state(1);
    if (!from.initial_h.empty()) fill_from(from.initial_h, state.h, name + "initial h");
    if constexpr (requires { state.c; }) {
      if (!from.initial_c.empty()) fill_from(from.initial_c, state.c, name + "initial c");
    }
    start_.push_back(std::move(state));
  }

  std::vector<decltype(prepare(std::declval<L>()))> plans_;
  std::vector<State> start_;
  std::vector<State> states_;
  std::array<Hidden, 2> hidden_;
  Workspace workspace_;
};

template <Scalar S, Index Hidden>
using AmplifierLstm = Lstm<S, Dynamic, Hidden>;
template <Scalar S, Index Hidden>
using AmplifierGru = Gru<S, Dynamic, Hidden>;

/// The stack of the size listed, or the Dynamic one.
template <template <Scalar, Index> class L, Scalar S, Index... Hidden>
std::unique_ptr<AmplifierCore<S>> make_amplifier_core(const AmplifierDescription& description, HiddenSizes<Hidden...>) {
  std::unique_ptr<AmplifierCore<S>> core;
  [[maybe_unused]] const auto take = [&]<Index Size>(Extent<Size>) {
    if (description.hidden_size == Size) core = std::make_unique<AmplifierStack<L<S, Size>>>(description);
  };
  (take(Extent<Hidden>{}), ...);
  if (core == nullptr) core = std::make_unique<AmplifierStack<L<S, Dynamic>>>(description);
  return core;
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
