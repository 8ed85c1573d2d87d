#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <span>
#include <stepscan/io/amplifier_description.hpp>
#include <stepscan/io/file_bytes.hpp>
#include <stepscan/io/json_cursor.hpp>
#include <string>
#include <vector>

/// Neural Amp Modeler files (.nam) of architecture LSTM. `weights` is one list: for each layer [W_ih | W_hh] [4H, I +
/// H] row by row, the bias [4H], the initial h [H] and c [H]; then the head's weight [H] and bias.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Hands out consecutive parts of a list.
class FloatStream {
 public:
  explicit FloatStream(std::span<const float> values) : left_(values) {}

  [[nodiscard]] std::vector<float> take(Index count) {
    const auto part = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(part.size());
    return {part.begin(), part.end()};
  }

 private:
  std::span<const float> left_;
};

[[nodiscard]] inline AmplifierLayer read_nam_layer(FloatStream& weights, Index inputs, Index units) {
  AmplifierLayer layer;
  for (Index row = 0; row < 4 * units; ++row) {
    const std::vector<float> from_input = weights.take(inputs);
    const std::vector<float> from_hidden = weights.take(units);
    layer.weight_ih.insert(layer.weight_ih.end(), from_input.begin(), from_input.end());
    layer.weight_hh.insert(layer.weight_hh.end(), from_hidden.begin(), from_hidden.end());
  }
  layer.bias_ih = weights.take(4 * units);
  layer.bias_hh.resize(layer.bias_ih.size());
  layer.initial_h = weights.take(units);
  layer.initial_c = weights.take(units);
  return layer;
}

[[nodiscard]] inline AmplifierDescription read_nam(const JsonCursor& document) {
  const auto architecture = document.at("architecture");
  if (architecture.text() != "LSTM") architecture.refuse("'LSTM'", quote_name(architecture.text()));

  AmplifierDescription model;
  const auto config = document.at("config");
  model.input_size = config.at("input_size").integer(1, most_amplifier_units);
  model.hidden_size = config.at("hidden_size").integer(1, most_amplifier_units);
  const Index layers = config.at("num_layers").integer(1, most_amplifier_layers);
  for (const char* channels : {"in_channels", "out_channels"}) {
    static_cast<void>(config.integer_or(channels, 1, 1, 1));
  }
  if (document.has("sample_rate")) {
    const auto rate = document.at("sample_rate");
    model.sample_rate = rate.number();
    if (!std::isfinite(*model.sample_rate) || *model.sample_rate <= 0) {
      rate.refuse("a sample rate above zero", std::to_string(*model.sample_rate));
    }
  }

  const Index units = model.hidden_size;
  const auto layer_size = [units](Index inputs) { return 4 * units * (inputs + units) + 6 * units; };
  const Index count = layer_size(model.input_size) + (layers - 1) * layer_size(units) + units + 1;
  const std::vector<float> values = document.at("weights").floats(count);
  FloatStream weights(values);
  for (Index i = 0; i < layers; ++i) {
    model.layers.push_back(read_nam_layer(weights, i == 0 ? model.input_size : units, units));
  }
  model.head_weight = weights.take(units);
  model.head_bias = weights.take(1).front();
  return model;
}

}  // namespace detail

/// Reads a .nam text in memory; `where` names it in messages. Throws FileError when it is no JSON, another
/// architecture, a key is missing or of the wrong kind, or the weights are not as many as the sizes say or not finite.
[[nodiscard]] inline AmplifierDescription parse_nam(std::span<const std::byte> bytes,
                                                    const std::string& where = "nam") {
  const auto document = detail::parse_json(bytes, where);
  return detail::read_nam(detail::JsonCursor(document, where));
}

/// Reads a .nam file. Throws FileError, see parse_nam.
[[nodiscard]] inline AmplifierDescription load_nam(const std::filesystem::path& path) {
  return parse_nam(detail::read_file(path, detail::largest_amplifier_file).span(), detail::quote_name(path.string()));
}

}  // namespace stepscan::inline STEPSCAN_ISA
