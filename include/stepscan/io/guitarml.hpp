#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <span>
#include <stepscan/io/amplifier_description.hpp>
#include <stepscan/io/file_bytes.hpp>
#include <stepscan/io/json_cursor.hpp>
#include <string>
#include <vector>

/// GuitarML and NeuralSeed models: JSON with `model_data` (unit_type "LSTM" or "GRU", hidden_size, input_size,
/// num_layers, skip, bias_fl) and `state_dict`, PyTorch's tensors as nested lists: rec.weight_ih_l0 [G H, I],
/// rec.weight_hh_l0 [G H, H], rec.bias_ih_l0, rec.bias_hh_l0 [G H], the same with l1, l2, ... for further layers,
/// lin.weight [1, H], lin.bias [1] (absent when bias_fl is false). The state starts at zero.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The tensors of a state_dict, of which each must be read.
class StateDict {
 public:
  explicit StateDict(const JsonCursor& tensors) : tensors_(tensors) {}

  [[nodiscard]] std::vector<float> vector(const std::string& name, Index size) { return at(name).floats(size); }
  [[nodiscard]] std::vector<float> matrix(const std::string& name, Index rows, Index cols) {
    return at(name).matrix(rows, cols);
  }

  void require_all_read() const {
    tensors_.for_each_key([this](const std::string& name) {
      if (!read_.contains(name)) tensors_.refuse("no tensor but the network's", quote_name(name));
    });
  }

 private:
  [[nodiscard]] JsonCursor at(const std::string& name) {
    read_.insert(name);
    return tensors_.at(name);
  }

  JsonCursor tensors_;
  std::set<std::string> read_;
};

[[nodiscard]] inline AmplifierCell read_guitarml_cell(const JsonCursor& unit_type) {
  const std::string& name = unit_type.text();
  if (name != "LSTM" && name != "GRU") unit_type.refuse("'LSTM' or 'GRU'", quote_name(name));
  return name == "LSTM" ? AmplifierCell::lstm : AmplifierCell::gru;
}

[[nodiscard]] inline AmplifierLayer read_guitarml_layer(StateDict& tensors, AmplifierCell cell, Index layer,
                                                        Index inputs, Index units) {
  const std::string suffix = "_l" + std::to_string(layer);
  const Index rows = (cell == AmplifierCell::lstm ? 4 : 3) * units;
  AmplifierLayer result;
  result.weight_ih = tensors.matrix("rec.weight_ih" + suffix, rows, inputs);
  result.weight_hh = tensors.matrix("rec.weight_hh" + suffix, rows, units);
  result.bias_ih = tensors.vector("rec.bias_ih" + suffix, rows);
  result.bias_hh = tensors.vector("rec.bias_hh" + suffix, rows);
  result.initial_h.resize(static_cast<std::size_t>(units));
  if (cell == AmplifierCell::lstm) result.initial_c = result.initial_h;
  return result;
}

[[nodiscard]] inline AmplifierDescription read_guitarml(const JsonCursor& document) {
  AmplifierDescription model;
  const auto data = document.at("model_data");
  model.cell = read_guitarml_cell(data.at("unit_type"));
  model.hidden_size = data.at("hidden_size").integer(1, most_amplifier_units);
  model.input_size = data.integer_or("input_size", 1, 1, most_amplifier_units);
  const Index layers = data.integer_or("num_layers", 1, 1, most_amplifier_layers);
  model.skip = data.integer_or("skip", 0, 0, 1) == 1;
  static_cast<void>(data.integer_or("output_size", 1, 1, 1));
  const bool head_has_bias = !data.has("bias_fl") || data.at("bias_fl").boolean();

  StateDict tensors(document.at("state_dict"));
  for (Index i = 0; i < layers; ++i) {
    const Index inputs = i == 0 ? model.input_size : model.hidden_size;
    model.layers.push_back(read_guitarml_layer(tensors, model.cell, i, inputs, model.hidden_size));
  }
  model.head_weight = tensors.matrix("lin.weight", 1, model.hidden_size);
  if (head_has_bias) model.head_bias = tensors.vector("lin.bias", 1).front();
  tensors.require_all_read();
  return model;
}

}  // namespace detail

/// Reads a model text in memory; `where` names it in messages. Throws FileError when it is no JSON, another kind of
/// network, a key is missing, unknown or of the wrong kind, or a tensor has other sizes or a number that is not finite.
[[nodiscard]] inline AmplifierDescription parse_guitarml(std::span<const std::byte> bytes,
                                                         const std::string& where = "guitarml") {
  const auto document = detail::parse_json(bytes, where);
  return detail::read_guitarml(detail::JsonCursor(document, where));
}

/// Reads a model file. Throws FileError, see parse_guitarml.
[[nodiscard]] inline AmplifierDescription load_guitarml(const std::filesystem::path& path) {
  return parse_guitarml(detail::read_file(path, detail::largest_amplifier_file).span(),
                        detail::quote_name(path.string()));
}

}  // namespace stepscan::inline STEPSCAN_ISA
