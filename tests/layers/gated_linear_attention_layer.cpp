#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

template <GlaOptions Options>
using Attention = GatedLinearAttention<double, Dynamic, Dynamic, Dynamic, Dynamic, Options>;
using Plain = Attention<GlaOptions{.output_gate = false}>;
using Full = Attention<GlaOptions{.short_conv = true}>;

constexpr GlaSizes grouped{
    .model = 5, .heads = 4, .kv_heads = 2, .key_dim = 3, .value_dim = 2, .gate_rank = 2, .conv_width = 3};

template <class L>
L random_layer(const GlaSizes& sizes, std::uint64_t seed) {
  L layer(sizes);
  randomize(layer, seed);
  return layer;
}

/// The rows of head i div shared of `from`, `dim` each, for every head i of `to`.
template <class T>
void repeat_rows(const T& from, Index dim, Index shared, T& to) {
  const Index size = dim * (from.size() / from.extent(0));
  for (Index i = 0; i * size < to.size(); ++i) {
    std::copy_n(from.data() + i / shared * size, size, to.data() + i * size);
  }
}

}  // namespace

TEST_CASE("gated_linear_attention_layer: heads that share are heads with equal weights", "[gla]") {
  const Full shared = random_layer<Full>(grouped, 1);
  GlaSizes sizes = grouped;
  sizes.kv_heads = sizes.heads;
  Full own = random_layer<Full>(sizes, 1);
  own.q_proj = shared.q_proj;
  own.q_conv1d = shared.q_conv1d;
  own.g_proj = shared.g_proj;
  own.o_proj = shared.o_proj;
  own.g_norm = shared.g_norm;
  std::get<0>(own.gk_proj) = std::get<0>(shared.gk_proj);
  repeat_rows(shared.k_proj.weight, 3, 2, own.k_proj.weight);
  repeat_rows(shared.v_proj.weight, 2, 2, own.v_proj.weight);
  repeat_rows(shared.k_conv1d.weight, 3, 2, own.k_conv1d.weight);
  repeat_rows(shared.v_conv1d.weight, 2, 2, own.v_conv1d.weight);
  repeat_rows(std::get<1>(shared.gk_proj).weight, 3, 2, std::get<1>(own.gk_proj).weight);
  for (Index i = 0; i < 12; ++i) std::get<1>(own.gk_proj).bias[i] = std::get<1>(shared.gk_proj).bias[i / 6 * 3 + i % 3];

  const auto x = random_sequence<double>(2, 21, 5, 2);
  CHECK(distance(scanned(shared, x), scanned(own, x)) < 1e-14);
  CHECK(distance(scanned(prepare(shared), x, Recurrent{}), scanned(own, x)) < 1e-14);
}

TEST_CASE("gated_linear_attention_layer: gradients are finite differences", "[gla]") {
  CHECK(gradient_error(random_layer<Full>(grouped, 3), 2, 5) < 1e-7);
  CHECK(gradient_error(random_layer<Full>(grouped, 4), 3, 4, {4, 1, 0}) < 1e-7);
  CHECK(gradient_error(random_layer<Plain>(grouped, 5), 3, 6, {2, 6, 0}) < 1e-7);
}

TEST_CASE("gated_linear_attention_layer: a decay held at the lowest passes no gradient on", "[gla]") {
  Full layer = random_layer<Full>(grouped, 6);
  const auto gate_gradient = [&] {
    Tape<Full> tape;
    Full gradient = zeros_like(layer);
    const auto x = random_sequence<double>(2, 9, 5, 7), dy = random_sequence<double>(2, 9, 5, 8);
    Sequence<double> y(x.shape()), dx(x.shape());
    auto state = layer.initial_state(2), dend = state, dstart = state;
    layer.forward(state, x, y, tape);
    layer.backward(tape, dy, dend, gradient, dx, dstart);
    double most = 0;
    for (const double value : std::get<1>(gradient.gk_proj).bias) most = std::max(most, std::abs(value));
    return most;
  };
  CHECK(gate_gradient() > 1e-6);
  layer.log_gate.lowest = -1e-9;
  CHECK(gate_gradient() == 0);
  std::get<1>(layer.gk_proj).bias.fill(60);
  CHECK(gate_gradient() > 0);
}

TEST_CASE("gated_linear_attention_layer: blocks of tokens change nothing, and memory does not grow", "[gla]") {
  const auto plan = prepare(random_layer<Full>(grouped, 9));
  const auto x = random_sequence<double>(2, 600, 5, 10);
  const auto expected = scanned(plan, x, Recurrent{});
  CHECK(distance(scanned(plan, x), expected) < 1e-12);
  CHECK(distance(scanned(plan, x, Parallel<100>{}), expected) < 1e-12);
  CHECK(testing::scan_memory(plan, 2, 600) == testing::scan_memory(plan, 2, 256));
}

TEST_CASE("gated_linear_attention_layer: parameters are named as the authors name them", "[gla]") {
  const auto names = [](const auto& layer) {
    std::string all;
    for_each_tensor([&](const Path& path, const auto&) { all += path.str() + " "; }, layer);
    return all;
  };
  CHECK(names(Plain(grouped)) ==
        "q_proj.weight k_proj.weight v_proj.weight gk_proj.0.weight gk_proj.1.weight gk_proj.1.bias o_proj.weight "
        "g_norm.weight ");
  CHECK_THAT(names(Full(grouped)), ContainsSubstring("q_conv1d.weight k_conv1d.weight v_conv1d.weight g_proj.weight "
                                                     "g_norm_swish_gate.weight"));
  CHECK(names(Full(grouped).initial_state(1)) == "S conv_q conv_k conv_v ");
}

TEST_CASE("gated_linear_attention_layer refuses sizes that do not fit", "[gla]") {
  GlaSizes sizes = grouped;
  sizes.kv_heads = 3;
  CHECK_THROWS_WITH(Full(sizes), ContainsSubstring("heads that are a multiple of kv_heads, found 4 and 3"));
  sizes.kv_heads = 0;
  CHECK_THROWS_AS(Full(sizes), ShapeError);
  using Fixed = GatedLinearAttention<float, 5, 4, 3, 2>;
  CHECK_NOTHROW(Fixed(grouped));
  sizes = grouped;
  sizes.key_dim = 4;
  CHECK_THROWS_AS(Fixed(sizes), ShapeError);

  Full layer(grouped);
  auto state = layer.initial_state(1);
  Sequence<double> y(1, 2, 5);
  CHECK_THROWS_WITH(layer.scan(state, random_sequence<double>(1, 2, 9, 1), y),
                    ContainsSubstring("expected input features 5"));
}
