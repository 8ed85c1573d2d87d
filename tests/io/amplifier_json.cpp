#include <algorithm>
#include <nlohmann/json.hpp>
#include <stepscan/io/amplifier_json.hpp>
#include <string>
#include <support/catch.hpp>
#include <vector>

#include "files.hpp"

using namespace stepscan;
using namespace stepscan_test;
using nlohmann::json;

namespace {

/// Numbers start, start + 1, ...
json counted(int count, int start = 0) {
  json list = json::array();
  for (int i = 0; i < count; ++i) list.push_back(start + i);
  return list;
}

json counted_rows(int rows, int cols, int start = 0) {
  json list = json::array();
  for (int i = 0; i < rows; ++i) list.push_back(counted(cols, start + i * cols));
  return list;
}

json nam_file(int inputs, int units, int layers) {
  int count = units + 1;
  for (int i = 0; i < layers; ++i) count += 4 * units * ((i == 0 ? inputs : units) + units) + 6 * units;
  return {{"version", "0.5.4"},
          {"metadata", {{"name", "test"}, {"gain", nullptr}}},
          {"architecture", "LSTM"},
          {"config", {{"input_size", inputs}, {"hidden_size", units}, {"num_layers", layers}}},
          {"weights", counted(count)}};
}

json guitarml_file(const std::string& cell, int inputs, int units, int layers = 1) {
  const int rows = (cell == "LSTM" ? 4 : 3) * units;
  json tensors;
  for (int i = 0; i < layers; ++i) {
    const std::string suffix = "_l" + std::to_string(i);
    tensors["rec.weight_ih" + suffix] = counted_rows(rows, i == 0 ? inputs : units, 1000 * i);
    tensors["rec.weight_hh" + suffix] = counted_rows(rows, units, 1000 * i + 100);
    tensors["rec.bias_ih" + suffix] = counted(rows, 1000 * i + 200);
    tensors["rec.bias_hh" + suffix] = counted(rows, 1000 * i + 300);
  }
  tensors["lin.weight"] = counted_rows(1, units, 400);
  tensors["lin.bias"] = counted(1, 500);
  return {{"model_data",
           {{"model", "SimpleRNN"},
            {"unit_type", cell},
            {"input_size", inputs},
            {"hidden_size", units},
            {"num_layers", layers},
            {"output_size", 1},
            {"skip", 1},
            {"bias_fl", true}}},
          {"state_dict", tensors}};
}

AmplifierDescription parsed(const json& document) { return parse_amplifier(bytes_of(document.dump()), "file"); }

std::string refusal(const std::string& text) {
  return message_of<FileError>([&] { static_cast<void>(parse_amplifier(bytes_of(text), "file")); });
}
std::string refusal(const json& document) { return refusal(document.dump()); }

/// The refusal of a document in which the value at a JSON pointer is another; without a value it is taken out.
std::string refusal_with(json document, const std::string& pointer, const json& value) {
  document[json::json_pointer(pointer)] = value;
  return refusal(document);
}
std::string refusal_without(json document, const std::string& object, const std::string& key) {
  document[json::json_pointer(object)].erase(key);
  return refusal(document);
}

std::vector<float> floats(int count, int start) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<float>(start + i));
  return values;
}

TEST_CASE("a NAM list is split into its layers") {
  const auto model = parsed(nam_file(2, 3, 2));
  CHECK(model.cell == AmplifierCell::lstm);
  CHECK(model.input_size == 2);
  CHECK(model.hidden_size == 3);
  CHECK_FALSE(model.skip);
  CHECK_FALSE(model.sample_rate);
  REQUIRE(model.layers.size() == 2);

  const AmplifierLayer& first = model.layers[0];
  REQUIRE(first.weight_ih.size() == 12 * 2);
  REQUIRE(first.weight_hh.size() == 12 * 3);
  CHECK(first.weight_ih[0] == 0);
  CHECK(first.weight_ih[1] == 1);
  CHECK(first.weight_hh[0] == 2);
  CHECK(first.weight_hh[2] == 4);
  CHECK(first.weight_ih[2] == 5);
  CHECK(first.weight_hh[35] == 59);
  CHECK(first.bias_ih == floats(12, 60));
  CHECK(first.bias_hh == std::vector<float>(12));
  CHECK(first.initial_h == floats(3, 72));
  CHECK(first.initial_c == floats(3, 75));

  const AmplifierLayer& second = model.layers[1];
  REQUIRE(second.weight_ih.size() == 12 * 3);
  CHECK(second.weight_ih[0] == 78);
  CHECK(second.weight_hh[0] == 81);
  CHECK(second.bias_ih == floats(12, 150));
  CHECK(second.initial_c == floats(3, 165));
  CHECK(model.head_weight == floats(3, 168));
  CHECK(model.head_bias == 171);
}

TEST_CASE("a NAM file may say its sample rate") {
  json file = nam_file(1, 1, 1);
  file["sample_rate"] = nullptr;
  CHECK_FALSE(parsed(file).sample_rate);
  file["sample_rate"] = 48000;
  CHECK(parsed(file).sample_rate == 48000.0);
  file["sample_rate"] = 44100.5;
  CHECK(parsed(file).sample_rate == 44100.5);
  CHECK(refusal_with(file, "/sample_rate", 0) ==
        "file: 'sample_rate': expected a sample rate above zero, found 0.000000");
  CHECK(refusal_with(file, "/sample_rate", "48k") == "file: 'sample_rate': expected a number, found '48k'");
}

TEST_CASE("other NAM architectures and sizes are refused") {
  const json file = nam_file(1, 2, 1);
  CHECK(refusal_with(file, "/architecture", "WaveNet") == "file: 'architecture': expected 'LSTM', found 'WaveNet'");
  CHECK(refusal_with(file, "/architecture", 3) == "file: 'architecture': expected a text, found 3");
  for (const auto* key : {"input_size", "hidden_size", "num_layers"}) {
    CHECK(refusal_without(file, "/config", key) ==
          "file: expected the key 'config." + std::string(key) + "', found none");
    for (const json& value : {json(0), json(-1), json(1'000'000'000), json(std::uint64_t{1} << 63), json(1.5),
                              json("1"), json(nullptr), json::array({1})}) {
      CHECK(refusal_with(file, "/config/" + std::string(key), value)
                .starts_with("file: 'config." + std::string(key) + "': expected a whole number from 1 to "));
    }
  }
  CHECK(refusal_with(file, "/config/out_channels", 2).starts_with("file: 'config.out_channels': expected a whole"));
  CHECK(refusal_with(file, "/config", 7) == "file: 'config': expected an object, found 7");
  CHECK(refusal_without(file, "", "config") == "file: expected the key 'config', found none");
}

TEST_CASE("NAM weights are as many as the sizes say, and finite") {
  json file = nam_file(1, 2, 1);
  CHECK(refusal_without(file, "", "weights") == "file: expected the key 'weights', found none");
  CHECK(
      refusal_with(file, "/config/hidden_size", 65536).starts_with("file: 'weights': expected a list of 17180590081"));
  CHECK(refusal_with(file, "/weights", counted(38)) == "file: 'weights': expected a list of 39 numbers, found 38");
  CHECK(refusal_with(file, "/weights", counted(40)) == "file: 'weights': expected a list of 39 numbers, found 40");
  CHECK(refusal_with(file, "/weights", "x") == "file: 'weights': expected a list of 39 numbers, found 'x'");
  CHECK(refusal_with(file, "/weights/3", nullptr) ==
        "file: 'weights[3]': expected a number finite as float, found a value of kind null");
  CHECK(refusal_with(file, "/weights/3", counted(1)) ==
        "file: 'weights[3]': expected a number finite as float, found a value of kind array");
  CHECK(refusal_with(file, "/weights/3", 1e39) == "file: 'weights[3]': expected a number finite as float, found 1e+39");
}

TEST_CASE("GuitarML tensors are read for both cells and any number of layers") {
  const auto [cell, gates] = GENERATE(table<std::string, int>({{"LSTM", 4}, {"GRU", 3}}));
  const auto model = parsed(guitarml_file(cell, 2, 3, 2));
  CHECK(model.cell == (cell == "LSTM" ? AmplifierCell::lstm : AmplifierCell::gru));
  CHECK(model.input_size == 2);
  CHECK(model.hidden_size == 3);
  CHECK(model.skip);
  REQUIRE(model.layers.size() == 2);
  for (int i = 0; i < 2; ++i) {
    const AmplifierLayer& layer = model.layers[static_cast<std::size_t>(i)];
    CHECK(layer.weight_ih == floats(gates * 3 * (i == 0 ? 2 : 3), 1000 * i));
    CHECK(layer.weight_hh == floats(gates * 3 * 3, 1000 * i + 100));
    CHECK(layer.bias_ih == floats(gates * 3, 1000 * i + 200));
    CHECK(layer.bias_hh == floats(gates * 3, 1000 * i + 300));
    CHECK(layer.initial_h == std::vector<float>(3));
    CHECK(layer.initial_c == std::vector<float>(cell == "LSTM" ? 3 : 0));
  }
  CHECK(model.head_weight == floats(3, 400));
  CHECK(model.head_bias == 500);
}

TEST_CASE("what a GuitarML file leaves out has its usual value") {
  json file = guitarml_file("GRU", 1, 2);
  for (const auto* key : {"model", "skip", "num_layers", "input_size", "output_size", "bias_fl"}) {
    file["model_data"].erase(key);
  }
  const auto model = parsed(file);
  CHECK_FALSE(model.skip);
  CHECK(model.input_size == 1);
  CHECK(model.layers.size() == 1);
  CHECK(model.head_bias == 500);

  file["model_data"]["bias_fl"] = false;
  CHECK(refusal(file) == "file: 'state_dict': expected no tensor but the network's, found 'lin.bias'");
  file["state_dict"].erase("lin.bias");
  CHECK(parsed(file).head_bias == 0);
}

TEST_CASE("other GuitarML networks are refused") {
  const json file = guitarml_file("LSTM", 1, 2);
  CHECK(refusal_with(file, "/model_data/unit_type", "RNN") ==
        "file: 'model_data.unit_type': expected 'LSTM' or 'GRU', found 'RNN'");
  CHECK(refusal_with(file, "/model_data/unit_type", "GRU") ==
        "file: 'state_dict.rec.weight_ih_l0': expected a list of 6 rows, found 8");
  CHECK(refusal_without(file, "/model_data", "hidden_size") ==
        "file: expected the key 'model_data.hidden_size', found none");
  CHECK(refusal_with(file, "/model_data/output_size", 2).find("'model_data.output_size'") != std::string::npos);
  CHECK(refusal_with(file, "/model_data/skip", 2).find("'model_data.skip'") != std::string::npos);
  CHECK(refusal_with(file, "/model_data/bias_fl", 1) == "file: 'model_data.bias_fl': expected true or false, found 1");
  CHECK(refusal_with(file, "/model_data/num_layers", 2) ==
        "file: expected the key 'state_dict.rec.weight_ih_l1', found none");
  CHECK(refusal_with(file, "/state_dict", 1) == "file: 'state_dict': expected an object, found 1");
}

TEST_CASE("GuitarML tensors have the network's names and sizes") {
  const json file = guitarml_file("LSTM", 1, 2);
  for (const auto& [name, tensor] : file["state_dict"].items()) {
    CHECK(refusal_without(file, "/state_dict", name) == "file: expected the key 'state_dict." + name + "', found none");
    CHECK(refusal_with(file, "/state_dict/" + name, 1)
              .starts_with("file: 'state_dict." + name + "': expected a list of"));
  }
  CHECK(refusal_with(file, "/state_dict/rec.extra", counted(2)) ==
        "file: 'state_dict': expected no tensor but the network's, found 'rec.extra'");
  CHECK(refusal_with(file, "/state_dict/rec.weight_hh_l0/5", counted(3)) ==
        "file: 'state_dict.rec.weight_hh_l0[5]': expected a list of 2 numbers, found 3");
  CHECK(refusal_with(file, "/state_dict/rec.weight_hh_l0/5/1", "0") ==
        "file: 'state_dict.rec.weight_hh_l0[5][1]': expected a number finite as float, found '0'");
  CHECK(refusal_with(file, "/state_dict/rec.bias_ih_l0/0", json::array({1})) ==
        "file: 'state_dict.rec.bias_ih_l0[0]': expected a number finite as float, found a value of kind array");
}

TEST_CASE("large sizes without the data for them cost nothing") {
  json file = guitarml_file("LSTM", 1, 1);
  file["model_data"]["input_size"] = 65536;
  file["model_data"]["hidden_size"] = 16384;
  file["state_dict"]["rec.weight_ih_l0"] = std::vector<json>(65536, json::array());
  CHECK(refusal(file) == "file: 'state_dict.rec.weight_ih_l0[0]': expected a list of 65536 numbers, found 0");
}

TEST_CASE("text that is no such document is refused") {
  const std::string malformed = "file: expected a JSON document, found malformed text";
  for (const auto* text :
       {"", "{", "{} x", "nonsense", "{\"weights\": [NaN]}", "{\"weights\": [1e999]}", "{\"a\xFF\": 1}"}) {
    CHECK(refusal(std::string(text)) == malformed);
  }
  CHECK(refusal(std::string("{}\0", 3)) == "file: expected a JSON document, found a zero byte in it");
  CHECK(refusal(std::string("{}")) ==
        "file: the document: expected the key 'architecture' (NAM) or 'model_data' (GuitarML), found neither");
  CHECK(refusal(std::string("[]")) == "file: the document: expected an object, found a value of kind array");
  CHECK(refusal(std::string(R"({"a": {"b": 1, "b": 2}})")) == "file: expected each key once, found 'b' twice");
  CHECK(refusal(std::string(R"({"a": [{"b": 1}, {"b": 2}], "b": 3})")).starts_with("file: the document"));
  CHECK(refusal(std::string(1'000'000, '[')) == "file: expected at most 32 levels of nesting, found more");
}

TEST_CASE("files are read by name") {
  const TemporaryFolder folder;
  write_bytes(folder / "a.nam", bytes_of(nam_file(1, 2, 1).dump()));
  write_bytes(folder / "b.json", bytes_of(guitarml_file("GRU", 1, 2).dump()));
  CHECK(load_amplifier(folder / "a.nam").cell == AmplifierCell::lstm);
  CHECK(load_nam(folder / "a.nam").hidden_size == 2);
  CHECK(load_amplifier(folder / "b.json").cell == AmplifierCell::gru);
  CHECK(load_guitarml(folder / "b.json").hidden_size == 2);
  CHECK(message_of<FileError>([&] { static_cast<void>(load_nam(folder / "b.json")); }) ==
        "'" + (folder / "b.json").string() + "': expected the key 'architecture', found none");
  CHECK(message_of<FileError>([&] { static_cast<void>(load_guitarml(folder / "a.nam")); }) ==
        "'" + (folder / "a.nam").string() + "': expected the key 'model_data', found none");
  CHECK(message_of<FileError>([&] { static_cast<void>(load_amplifier(folder / "c")); }).starts_with("cannot open"));
}

TEST_CASE("a file larger than any model is not read") {
  const TemporaryFolder folder;
  write_bytes(folder / "large", bytes_of("{}"));
  std::filesystem::resize_file(folder / "large", std::uintmax_t{1} << 33);
  CHECK(message_of<FileError>([&] { static_cast<void>(load_amplifier(folder / "large")); }) ==
        "'" + (folder / "large").string() + "': expected at most 67108864 bytes, found 8589934592");
}

}  // namespace
