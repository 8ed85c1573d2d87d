#pragma once

#include <memory>
#include <span>
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/amplifier_stack.hpp>
#include <stepscan/ops/tokens.hpp>
#include <string>

namespace stepscan::inline STEPSCAN_ISA {

/// A recurrent model of an amplifier or a pedal whose architecture is known at run time, streamed in blocks of any
/// size:
///   h_t = layers(h_{t-1}, [x_t, conditions]),   y_t = head_weight . h_t + head_bias (+ x_t with skip)
/// Samples are in [-1, 1] at the rate the model was trained at. The sizes in the Registry run at static speed, behind
/// one virtual call per 64 samples. `process` allocates nothing, and the cut into blocks changes no bit. The value
/// holds one stream; a copy is a stream of its own from the same point.
///   AmplifierModel<float> amplifier(load_amplifier(path));   // <stepscan/io/amplifier_json.hpp>
template <Scalar S>
class AmplifierModel {
 public:
  /// Throws ShapeError when the description's sizes and weights do not fit together.
  template <class Registry = AmplifierRegistry<>>
  explicit AmplifierModel(const AmplifierDescription& description, Registry = {})
      : core_(make_core<Registry>(description)),
        head_(make_head(description).plan()),
        skip_(description.skip),
        inputs_(Index{1}, detail::amplifier_block, description.input_size),
        conditions_(description.input_size - 1) {}

  AmplifierModel(const AmplifierModel& other)
      : core_(other.core_->clone()),
        head_(other.head_),
        skip_(other.skip_),
        inputs_(other.inputs_),
        conditions_(other.conditions_) {}
  AmplifierModel& operator=(const AmplifierModel& other) { return *this = AmplifierModel(other); }
  AmplifierModel(AmplifierModel&&) noexcept = default;
  AmplifierModel& operator=(AmplifierModel&&) noexcept = default;
  ~AmplifierModel() = default;

  /// The next samples; out may be in. Throws ShapeError when there are not as many out as in.
  void process(std::span<const S> in, std::span<S> out) {
    if (in.size() != out.size()) {
      fail<ShapeError>("AmplifierModel: expected room for " + std::to_string(in.size()) + " samples, found " +
                       std::to_string(out.size()));
    }
    for (std::size_t at = 0; at < in.size(); at += detail::amplifier_block) {
      const std::size_t count = std::min<std::size_t>(detail::amplifier_block, in.size() - at);
      process_block(in.data() + at, out.data() + at, static_cast<Index>(count));
    }
  }

  /// Back to where the file says a stream starts. The conditions stay.
  void reset() noexcept { core_->reset(); }

  /// How many numbers beside the sample the model takes, such as the position of a gain knob.
  [[nodiscard]] Index condition_count() const noexcept { return conditions_.size(); }

  /// Sets them from the next sample on; zero at first. Throws ShapeError when there are not condition_count() of them.
  void set_conditions(std::span<const S> values) {
    if (static_cast<Index>(values.size()) != condition_count()) {
      fail<ShapeError>("AmplifierModel: expected " + std::to_string(condition_count()) + " conditions, found " +
                       std::to_string(values.size()));
    }
    std::copy(values.begin(), values.end(), conditions_.begin());
  }

  /// Whether the Registry lists this model's size.
  [[nodiscard]] bool has_static_size() const noexcept { return core_->has_static_size(); }

 private:
  using Head = Linear<S, Dynamic, 1>;

  template <class Registry>
  static std::unique_ptr<detail::AmplifierCore<S>> make_core(const AmplifierDescription& description) {
    constexpr Index most = detail::most_amplifier_units;
    const auto fits = [](Index size) { return size >= 1 && size <= most; };
    if (!fits(description.input_size) || !fits(description.hidden_size) || description.layers.empty()) {
      fail<ShapeError>("AmplifierModel: expected sizes from 1 to " + std::to_string(most) +
                       " and a layer, found input size " + std::to_string(description.input_size) + ", hidden size " +
                       std::to_string(description.hidden_size) + " and " + std::to_string(description.layers.size()) +
                       " layers");
    }
    if (description.cell == AmplifierCell::lstm) {
      return detail::make_amplifier_core<detail::AmplifierLstm, S>(description, typename Registry::Lstms{});
    }
    return detail::make_amplifier_core<detail::AmplifierGru, S>(description, typename Registry::Grus{});
  }

  static Head make_head(const AmplifierDescription& description) {
    Head head(description.hidden_size, 1);
    detail::fill_from(description.head_weight, head.weight, "the head's weight");
    head.bias[0] = static_cast<S>(description.head_bias);
    return head;
  }

  void process_block(const S* in, S* out, Index count) {
    NoState none;
    const SequenceView<const S> samples(in, 1, count, 1);
    const SequenceView<S, 1> outputs = SequenceView<S>(outputs_).slice(0, count);
    head_.scan(none, core_->run(condition_count() == 0 ? samples : with_conditions(samples)), outputs, workspace_);
    if (skip_) add_tokens<S>(samples, outputs);
    std::copy_n(outputs.data, count, out);
  }

  [[nodiscard]] SequenceView<const S> with_conditions(SequenceView<const S> samples) {
    const SequenceView<S> inputs = SequenceView<S>(inputs_).slice(0, samples.time);
    for (Index t = 0; t < samples.time; ++t) {
      S* token = inputs.token(0, t);
      token[0] = *samples.token(0, t);
      std::copy(conditions_.begin(), conditions_.end(), token + 1);
    }
    return inputs;
  }

  std::unique_ptr<detail::AmplifierCore<S>> core_;
  decltype(prepare(std::declval<Head>())) head_;
  bool skip_;
  Tensor<S, 1, detail::amplifier_block, Dynamic> inputs_;
  Tensor<S, 1, detail::amplifier_block, 1> outputs_;
  Tensor<S, Dynamic> conditions_;
  Workspace workspace_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
