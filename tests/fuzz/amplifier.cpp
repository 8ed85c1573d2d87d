// libFuzzer target: any bytes as an amplifier model. Whatever is refused must be refused with a FileError; whatever is
// accepted must have the lengths that its sizes say and finite numbers.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <stepscan/io/amplifier_json.hpp>
#include <vector>

using namespace stepscan;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const std::vector<float>& values, Index count) {
  require(values.size() == static_cast<std::size_t>(count));
  require(std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); }));
}

void check(const AmplifierDescription& model) {
  const Index units = model.hidden_size;
  const bool is_lstm = model.cell == AmplifierCell::lstm;
  const Index rows = (is_lstm ? 4 : 3) * units;
  require(units > 0 && model.input_size > 0 && !model.layers.empty());
  Index inputs = model.input_size;
  for (const AmplifierLayer& layer : model.layers) {
    check(layer.weight_ih, rows * inputs);
    check(layer.weight_hh, rows * units);
    check(layer.bias_ih, rows);
    check(layer.bias_hh, rows);
    check(layer.initial_h, units);
    check(layer.initial_c, is_lstm ? units : 0);
    inputs = units;
  }
  check(model.head_weight, units);
  require(std::isfinite(model.head_bias));
  require(!model.sample_rate || *model.sample_rate > 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    check(parse_amplifier(std::as_bytes(std::span(data, size))));
  } catch (const FileError&) {
  }
  return 0;
}
