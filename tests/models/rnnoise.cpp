#include <models/shared_data.hpp>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/linear.hpp>

using namespace stepscan;
using shared_data::difference;
using shared_data::path;
using shared_data::present;

// The network of RNNoise (https://github.com/xiph/rnnoise, J.-M. Valin, arXiv 1709.08243), release of 2018: GRUs with
// the reset gate before the product and max(0, x) as the candidate's activation.

namespace {

using Dense = Linear<float, Dynamic, Dynamic>;
using ReluGru = Gru<float, Dynamic, Dynamic, Reset::before, ReluActivation>;
using Sequence = Tensor<float, 1, Dynamic, Dynamic>;

Dense dense_in(const SafetensorsFile& file, const std::string& name) {
  const auto& shape = file.tensor(name + ".weight").shape;
  Dense dense(shape[1], shape[0]);
  TensorMap tensors = load_tensor_map(file);
  load_tensors(tensors, dense, name + ".");
  return dense;
}

/// Rows of blocks z, r, n as r, z, n.
void copy_blocks(const std::vector<float>& from, Index block, std::span<float> to) {
  REQUIRE(from.size() == to.size());
  std::copy_n(from.begin() + block, block, to.begin());
  std::copy_n(from.begin(), block, to.begin() + block);
  std::copy_n(from.begin() + 2 * block, block, to.begin() + 2 * block);
}

ReluGru gru_in(const SafetensorsFile& file, const std::string& name) {
  const Index inputs = file.tensor(name + ".weight_ih").shape[1], hidden = file.tensor(name + ".weight_hh").shape[1];
  ReluGru gru(inputs, hidden);
  copy_blocks(file.values<float>(name + ".weight_ih"), hidden * inputs, gru.weight_ih.span());
  copy_blocks(file.values<float>(name + ".weight_hh"), hidden * hidden, gru.weight_hh.span());
  copy_blocks(file.values<float>(name + ".bias"), hidden, gru.bias_ih.span());
  return gru;
}

/// The features of several sequences side by side.
Sequence joined(std::initializer_list<const Sequence*> parts) {
  Index features = 0;
  for (const Sequence* part : parts) features += part->extent(2);
  Sequence all(Index{1}, (*parts.begin())->extent(1), features);
  for (Index t = 0; t < all.extent(1); ++t) {
    float* to = &all(0, t, 0);
    for (const Sequence* part : parts) to = std::copy_n(part->data() + t * part->extent(2), part->extent(2), to);
  }
  return all;
}

template <class L, class State, class Form>
Sequence scanned(const L& layer, State& state, const Sequence& x, const Form& form) {
  Sequence y(Index{1}, x.extent(1), layer.output_size());
  layer.scan(state, x, y, form);
  return y;
}

template <class L>
Sequence mapped(const L& layer, const Sequence& x) {
  NoState none;
  return scanned(layer, none, x, OwnForm{});
}

struct Rnnoise {
  Dense input_dense, vad_output, denoise_output;
  ReluGru vad_gru, noise_gru, denoise_gru;

  explicit Rnnoise(const SafetensorsFile& file)
      : input_dense(dense_in(file, "input_dense")),
        vad_output(dense_in(file, "vad_output")),
        denoise_output(dense_in(file, "denoise_output")),
        vad_gru(gru_in(file, "vad_gru")),
        noise_gru(gru_in(file, "noise_gru")),
        denoise_gru(gru_in(file, "denoise_gru")) {}
};

struct Outcome {
  Sequence gains, vad;
  ReluGru::State vad_state, noise_state, denoise_state;
};

/// The whole recording at once; `as_run` turns a layer into what runs: itself or its plan.
template <class Form, class AsRun>
Outcome run(const Rnnoise& network, const Sequence& x, const Form& form, AsRun&& as_run) {
  Outcome out;
  out.vad_state = network.vad_gru.initial_state(1);
  out.noise_state = network.noise_gru.initial_state(1);
  out.denoise_state = network.denoise_gru.initial_state(1);
  const auto logistic = [](const Sequence& scores) {
    return mapped(Sigmoid<float, Dynamic>(scores.extent(2)), scores);
  };
  const Sequence dense = mapped(as_run(network.input_dense), x);
  const Sequence e = mapped(Tanh<float, Dynamic>(dense.extent(2)), dense);
  const Sequence v = scanned(as_run(network.vad_gru), out.vad_state, e, form);
  const Sequence q = scanned(as_run(network.noise_gru), out.noise_state, joined({&e, &v, &x}), form);
  const Sequence d = scanned(as_run(network.denoise_gru), out.denoise_state, joined({&v, &q, &x}), form);
  out.vad = logistic(mapped(as_run(network.vad_output), v));
  out.gains = logistic(mapped(as_run(network.denoise_output), d));
  return out;
}

struct Expected {
  std::vector<float> gains, vad, vad_state, noise_state, denoise_state;
  std::vector<double> exact_gains, exact_vad;
};

void check(const Outcome& out, const Expected& expected) {
  CHECK(difference(out.gains, expected.exact_gains) < 1e-5);
  CHECK(difference(out.vad, expected.exact_vad) < 1e-5);
  // The recording program's tabulated tanh is 1e-5 off, 4.5e-5 in the states.
  CHECK(difference(out.gains, expected.gains) < 3e-5);
  CHECK(difference(out.vad, expected.vad) < 3e-5);
  CHECK(difference(out.vad_state.h, expected.vad_state) < 1e-4);
  CHECK(difference(out.noise_state.h, expected.noise_state) < 1e-4);
  CHECK(difference(out.denoise_state.h, expected.denoise_state) < 1e-4);
}

}  // namespace

TEST_CASE("the network of RNNoise agrees with the program and with float64, in every form", "[rnnoise][shared]") {
  if (!present({"models/rnnoise_2018.safetensors", "data/rnnoise_librivox_pinknoise.safetensors"})) return;
  const Rnnoise network(SafetensorsFile::open(path("models/rnnoise_2018.safetensors")));
  const auto file = SafetensorsFile::open(path("data/rnnoise_librivox_pinknoise.safetensors"));
  const auto features = file.values<float>("in/features");
  const auto& shape = file.tensor("in/features").shape;
  Sequence x(Index{1}, shape[0], shape[1]);
  std::copy(features.begin(), features.end(), x.begin());
  const Expected expected{file.values<float>("out/gains"),         file.values<float>("out/vad"),
                          file.values<float>("out/state.vad"),     file.values<float>("out/state.noise"),
                          file.values<float>("out/state.denoise"), file.values<double>("ref64/gains"),
                          file.values<double>("ref64/vad")};
  const auto layer = [](const auto& own) -> const auto& { return own; };
  const auto plan = [](const auto& own) { return prepare(own); };
  SECTION("layers, Recurrent") { check(run(network, x, Recurrent{}, layer), expected); }
  SECTION("layers, Chunked") { check(run(network, x, Chunked<32>{}, layer), expected); }
  SECTION("plans, Recurrent") { check(run(network, x, Recurrent{}, plan), expected); }
  SECTION("plans, Chunked") { check(run(network, x, Chunked<>{}, plan), expected); }
}
