#include <array>
#include <cstdint>
#include <limits>
#include <stepscan/core/fields.hpp>
#include <stepscan/io/safetensors.hpp>
#include <string>
#include <support/catch.hpp>
#include <tuple>
#include <vector>

#include "files.hpp"

using namespace stepscan;
using namespace stepscan_test;

namespace {

template <class S>
struct Part {
  Tensor<S, Dynamic, 3> weight{2, 3};
  Tensor<S, 3> bias;

  static constexpr auto fields() { return std::tuple{Field{"weight", &Part::weight}, Field{"bias", &Part::bias}}; }
  friend bool operator==(const Part&, const Part&) = default;
};

/// A tree of every kind of member: a tensor, a vector of trees, a tuple of trees, integers.
template <class S>
struct Model {
  Tensor<S, Dynamic> gain{4};
  std::vector<Part<S>> parts = std::vector<Part<S>>(2);
  std::tuple<Part<S>, Tensor<S, 1>> pair;
  Tensor<std::int64_t, Dynamic> counts{2};

  static constexpr auto fields() {
    return std::tuple{Field{"gain", &Model::gain}, Field{"parts", &Model::parts}, Field{"pair", &Model::pair},
                      Field{"counts", &Model::counts}};
  }
  friend bool operator==(const Model&, const Model&) = default;
};

/// Numbers that are exact in float, all different.
template <class S>
Model<S> numbered_model() {
  Model<S> model;
  int next = 1;
  for_each_tensor(
      [&](const Path&, auto& tensor) {
        for (auto& x : tensor) x = static_cast<std::remove_cvref_t<decltype(x)>>(next++) / 2;
      },
      model);
  return model;
}

template <class S>
TensorMap numbered_map(const std::string& prefix = {}) {
  TensorMap map;
  add_tensors(map, numbered_model<S>(), prefix);
  return map;
}

/// Loads into a model that must come out as it went in; returns the message.
std::string refused_load(const TensorMap& tensors, const std::string& prefix = {}) {
  Model<float> model = numbered_model<float>();
  model.gain[0] = -1;
  const Model<float> before = model;
  const std::string message = message_of<FileError>([&] { load_tensors(tensors, model, prefix); });
  CHECK(model == before);
  return message;
}

TEMPLATE_TEST_CASE("a tree round trips through a file bit for bit", "", float, double) {
  const TemporaryFolder folder;
  auto model = numbered_model<TestType>();
  model.gain[0] = static_cast<TestType>(0.1);
  model.gain[1] = -std::numeric_limits<TestType>::infinity();
  model.gain[2] = std::numeric_limits<TestType>::denorm_min();
  model.counts[0] = std::numeric_limits<std::int64_t>::min();
  save_safetensors(folder / "model.safetensors", model, {{"note", "text"}});

  Model<TestType> loaded;
  load_safetensors(folder / "model.safetensors", loaded);
  CHECK(loaded == model);

  const auto file = SafetensorsFile::open(folder / "model.safetensors");
  CHECK(file.metadata() == SafetensorsMetadata{{"note", "text"}});
  CHECK(file.tensors().size() == 9);
  CHECK(file.tensor("parts.1.weight").shape == std::vector<Index>{2, 3});
  CHECK(file.tensor("parts.1.weight").dtype == dtype_of<TestType>());
  CHECK(file.tensors().contains("pair.0.bias"));
  CHECK(file.tensors().contains("pair.1"));
  CHECK(file.tensor("counts").dtype == Dtype::i64);
}

TEST_CASE("numbers are converted to the tree's types") {
  Model<float> narrow;
  load_tensors(numbered_map<double>(), narrow);
  CHECK(narrow == numbered_model<float>());
  Model<double> wide;
  load_tensors(numbered_map<float>(), wide);
  CHECK(wide == numbered_model<double>());

  TensorMap map = numbered_map<float>();
  set_tensor(map, "pair.1", {1}, std::span<const Half>(std::array{Half(0.25F)}));
  set_tensor(map, "parts.0.bias", {3},
             std::span<const BFloat16>(std::array{BFloat16(1.0F), BFloat16(-2.0F), BFloat16(0.5F)}));
  set_tensor(map, "counts", {2}, std::span<const std::int16_t>(std::array<std::int16_t, 2>{-5, 6}));
  load_tensors(map, narrow);
  CHECK(std::get<1>(narrow.pair)[0] == 0.25F);
  CHECK(narrow.parts[0].bias[1] == -2.0F);
  CHECK(narrow.counts[0] == -5);
}

TEST_CASE("a file in memory is loaded as one on disk") {
  const TemporaryFolder folder;
  save_safetensors(folder / "m", numbered_model<float>());
  const auto bytes = bytes_of(read_text(folder / "m"));
  Model<float> loaded;
  load_safetensors(std::span(bytes), loaded);
  CHECK(loaded == numbered_model<float>());
}

TEST_CASE("several trees share a file under prefixes") {
  const TemporaryFolder folder;
  TensorMap map = numbered_map<float>("model.");
  Part<double> state;
  state.bias[2] = 7;
  add_tensors(map, state, "state/");
  CHECK(map.contains("state/weight"));
  CHECK(message_of<ArgumentError>([&] { add_tensors(map, state, "state/"); }) ==
        "tensor 'state/weight': expected a name not in use, found it taken");
  save_safetensors(folder / "both", map);

  Model<float> model;
  Part<double> other;
  load_safetensors(folder / "both", model, "model.");
  load_safetensors(folder / "both", other, "state/");
  CHECK(model == numbered_model<float>());
  CHECK(other == state);

  map["model.extra"] = map["model.gain"];
  CHECK(refused_load(map, "model.") == "tensors: expected no tensor but the model's, found 'model.extra'");
}

TEST_CASE("a missing tensor is an error and the model stays") {
  for (const auto& [name, tensor] : numbered_map<float>()) {
    TensorMap map = numbered_map<float>();
    map.erase(name);
    CHECK(refused_load(map) == "tensors: expected a tensor '" + name + "', found none");
  }
}

TEST_CASE("a tensor that nothing reads is an error and the model stays") {
  TensorMap map = numbered_map<float>();
  map["parts.2.bias"] = map["parts.1.bias"];
  CHECK(refused_load(map) == "tensors: expected no tensor but the model's, found 'parts.2.bias'");
  map["zzz"] = map["gain"];
  CHECK(refused_load(map) == "tensors: expected no tensor but the model's, found 'parts.2.bias' and 1 more");
}

TEST_CASE("a tensor of another shape is an error and the model stays") {
  TensorMap map = numbered_map<float>();
  const auto reshaped = [&](std::vector<Index> shape) {
    map["parts.1.weight"].shape = std::move(shape);
    return refused_load(map);
  };
  const std::string start = "tensors: tensor 'parts.1.weight': expected shape [2, 3], found ";
  CHECK(reshaped({3, 2}) == start + "[3, 2]");
  CHECK(reshaped({6}) == start + "[6]");
  CHECK(reshaped({2, 3, 1}) == start + "[2, 3, 1]");
  CHECK(reshaped({}) == start + "[]");
}

TEST_CASE("a tensor of another kind or range is an error and the model stays") {
  TensorMap map = numbered_map<float>();
  map["pair.1"].dtype = Dtype::i32;
  CHECK(refused_load(map) == "tensors: tensor 'pair.1': expected a floating point dtype, found I32");
  set_tensor(map, "pair.1", {1}, std::span<const double>(std::array{1e200}));
  CHECK(refused_load(map) ==
        "tensors: tensor 'pair.1': expected numbers in the range of F32, found one of F64 outside it");
}

TEST_CASE("a damaged file names itself and leaves the model") {
  const TemporaryFolder folder;
  Model<float> model = numbered_model<float>();
  save_safetensors(folder / "m", zeros_like(model));
  const std::string whole = read_text(folder / "m");
  write_bytes(folder / "m", bytes_of(whole.substr(0, whole.size() - 1)));
  const std::string message = message_of<FileError>([&] { load_safetensors(folder / "m", model); });
  CHECK(message.starts_with("'" + (folder / "m").string() + "': tensor "));
  CHECK(model == numbered_model<float>());
}

}  // namespace
