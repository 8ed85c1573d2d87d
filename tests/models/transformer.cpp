#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/transformer.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

constexpr Index width = 8;
constexpr MultiHeadOptions options{.positions = Positions::rotary};
using Attention = MultiHeadAttention<float, width, 4, 2, 4, options>;
using FeedForward = SwiGlu<float, width, 12>;

/// Attention, then Mamba, as in the hybrids.
auto hybrid() {
  auto model = Sequential(transformer_block(Attention({.capacity = 24, .sinks = 2}), FeedForward()),
                          transformer_block(Mamba<float, width, 16, 4, 4, 2>(), GeluFeedForward<float, width, 12>()),
                          RmsNorm<float, width>());
  initialize(model, 3);
  return model;
}

}  // namespace

TEST_CASE("a block of a transformer is two residual layers behind norms", "[models]") {
  const auto model = hybrid();
  const auto& [mixing, feeding] = model.get<0>().layers;
  const auto x = random_sequence<float>(2, 9, width, 1);
  Sequence<float> h = scanned(mixing.inner.get<1>(), scanned(mixing.inner.get<0>(), x));
  for (Index i = 0; i < h.size(); ++i) h[i] += x[i];
  Sequence<float> y = scanned(feeding.inner.get<1>(), scanned(feeding.inner.get<0>(), h));
  for (Index i = 0; i < y.size(); ++i) y[i] += h[i];
  CHECK(distance(scanned(model.get<0>(), x), y) < 1e-5);
  std::vector<std::string> names;
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, model.get<0>());
  CHECK(names == std::vector<std::string>{"0.0.weight", "0.1.q_proj.weight", "0.1.k_proj.weight", "0.1.v_proj.weight",
                                          "0.1.o_proj.weight", "1.0.weight", "1.1.w_gate.weight", "1.1.w_up.weight",
                                          "1.1.w_down.weight"});
}

TEST_CASE("a hybrid reads a prompt in chunks and goes on token by token", "[models]") {
  const auto plan = prepare(hybrid());
  constexpr Index prompt = 300, time = 330;
  const auto x = random_sequence<float>(2, time, width, 1);
  const SequenceView<const float> in(x);
  const auto expected = scanned(plan, x, Recurrent{});
  Sequence<float> y(2, time, width);
  const SequenceView<float> out(y);
  auto state = plan.initial_state(2);
  plan.scan(state, in.slice(0, prompt), out.slice(0, prompt));
  for (Index t = prompt; t < time; ++t) plan.step(state, in.frame(t), out.frame(t));
  CHECK(distance(y, expected) < 2e-4);
}
