#include <cmath>
#include <complex>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/linear_attention.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>
#include <stepscan/layers/selective_scan.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

/// Layers of one family are special cases of each other: each equals the other in every form.
using namespace stepscan;
using namespace stepscan::testing;

namespace {

constexpr Index heads = 2, key_dim = 3, value_dim = 4, qkv = heads * (2 * key_dim + value_dim), time_steps = 45;

using Retained = RetentionScan<double, heads, key_dim, value_dim>;
using Scalar1 = ScalarGatedAttentionScan<double, heads, key_dim, value_dim>;
using Channels = GatedLinearAttentionScan<double, heads, key_dim, value_dim>;

/// x with `count` more features: feature(t, i).
template <class F>
Sequence<double> with_gates(const Sequence<double>& x, Index count, F&& feature) {
  Sequence<double> all(1, x.extent(1), x.extent(2) + count);
  for (Index t = 0; t < x.extent(1); ++t) {
    std::copy_n(&x(0, t, 0), x.extent(2), &all(0, t, 0));
    for (Index i = 0; i < count; ++i) all(0, t, x.extent(2) + i) = feature(t, i);
  }
  return all;
}

/// Outputs and last states of a layer in one form, from states of random numbers.
template <class L, class Form>
std::vector<double> outcome(const L& layer, const Sequence<double>& x, const Form& form) {
  auto state = layer.initial_state(1);
  randomize(state, 5);
  Sequence<double> y(1, x.extent(1), layer.output_size());
  layer.scan(state, x, y, form);
  std::vector<double> all(y.begin(), y.end());
  for (const double number : numbers(state)) all.push_back(number);
  return all;
}

template <class A, class B>
void check_same(const A& a, const Sequence<double>& x_of_a, const B& b, const Sequence<double>& x_of_b) {
  const std::vector<double> expected = outcome(b, x_of_b, Recurrent{});
  CHECK(distance(outcome(a, x_of_a, Recurrent{}), expected) < 1e-12);
  CHECK(distance(outcome(a, x_of_a, Chunked<8>{}), expected) < 1e-12);
  CHECK(distance(outcome(a, x_of_a, Parallel<8>{}), expected) < 1e-12);
}

/// A log decay per token and head.
double decay_at(Index t, Index head) { return -0.01 - 0.3 * static_cast<double>((7 * t + 3 * head) % 5); }

}  // namespace

TEST_CASE("linear attention is retention without decay", "[coincidence]") {
  const auto x = random_sequence<double>(1, time_steps, qkv, 1);
  const LinearAttentionScan<double, heads, key_dim, value_dim, IdentityMap, false> attention;
  check_same(attention, x, Retained(heads, key_dim, value_dim, {0, 0}), x);
}

TEST_CASE("retention is gated linear attention with constant gates", "[coincidence]") {
  const auto x = random_sequence<double>(1, time_steps, qkv, 1);
  const Retained retention;
  const auto gates = with_gates(x, heads * key_dim, [&](Index, Index i) { return retention.log_decay[i / key_dim]; });
  check_same(Channels(), gates, retention, x);
}

TEST_CASE("a scalar gate is the same gate in every key channel", "[coincidence]") {
  const auto x = random_sequence<double>(1, time_steps, qkv, 1);
  const auto scalar = with_gates(x, heads, [](Index t, Index i) { return decay_at(t, i); });
  const auto channels = with_gates(x, heads * key_dim, [](Index t, Index i) { return decay_at(t, i / key_dim); });
  check_same(Channels(), channels, Scalar1(), scalar);
}

TEST_CASE("the state space dual is attention by a scalar gate", "[coincidence]") {
  Mamba2SsdScan<double, heads, value_dim, key_dim> ssd(heads);
  randomize(ssd, 2);
  const auto x = random_sequence<double>(1, time_steps, ssd.input_size(), 1);  // [v | dt | k | q]
  Sequence<double> attended(1, time_steps, qkv + heads);
  constexpr Index values = heads * value_dim, keys = heads * key_dim;
  for (Index t = 0; t < time_steps; ++t) {
    const double* from = &x(0, t, 0);
    double* to = &attended(0, t, 0);
    std::copy_n(from + values + heads + keys, keys, to);
    std::copy_n(from + values + heads, keys, to + keys);
    for (Index h = 0; h < heads; ++h) {
      const double dt = std::log1p(std::exp(from[values + h] + ssd.dt_bias[h]));
      for (Index j = h * value_dim; j < (h + 1) * value_dim; ++j) to[2 * keys + j] = dt * from[j];
      to[qkv + h] = -dt * std::exp(ssd.A_log[h]);
    }
  }
  ssd.D.fill(0);
  Scalar1 attention;
  attention.scale = 1;
  check_same(ssd, x, attention, attended);
}

TEST_CASE("mLSTM is attention by a scalar gate over a sum of keys, wherever its stabiliser stands", "[coincidence]") {
  constexpr Index keys = heads * key_dim, values = heads * value_dim;
  const auto x = random_sequence<double>(1, time_steps, qkv, 1);
  for (const double level : {0.0, -40.0, 40.0}) {
    const auto input_gate = [&](Index t, Index h) { return level + static_cast<double>((t + h) % 3); };
    const auto gates = with_gates(x, 2 * heads, [&](Index t, Index i) {
      const double g = decay_at(t, i % heads);
      return i < heads ? input_gate(t, i) : g - std::log(-std::expm1(g));  // logsigmoid of it is g
    });
    auto plain = with_gates(x, heads, [](Index t, Index i) { return decay_at(t, i); });
    for (Index t = 0; t < time_steps; ++t) {
      for (Index i = 0; i < keys; ++i) plain(0, t, keys + i) *= std::exp(input_gate(t, i / key_dim));
    }
    auto ones = plain;
    for (Index t = 0; t < time_steps; ++t) std::fill_n(&ones(0, t, 2 * keys), values, 1.0);
    Sequence<double> expected = scanned(Scalar1(), plain, Recurrent{});
    const Sequence<double> denominator = scanned(Scalar1(), ones, Recurrent{});
    for (Index i = 0; i < expected.size(); ++i) expected[i] /= std::max(std::abs(denominator[i]), 1.0);
    MlstmScan<double, heads, key_dim, value_dim> mlstm;
    mlstm.eps = 0;
    double most = 0;
    for (const double value : expected) most = std::max(most, std::abs(value));
    CAPTURE(level);
    CHECK(distance(scanned(mlstm, gates, Recurrent{}), expected) < 1e-12 * most);
    CHECK(distance(scanned(mlstm, gates, Chunked<8>{}), expected) < 1e-12 * most);
    CHECK(distance(scanned(mlstm, gates, Parallel<8>{}), expected) < 1e-12 * most);
  }
}

TEST_CASE("the delta rule with beta 0 decays and writes nothing", "[coincidence]") {
  const auto x = random_sequence<double>(1, time_steps, qkv, 1);
  auto silent = x;
  for (Index t = 0; t < time_steps; ++t) std::fill_n(&silent(0, t, heads * key_dim), heads * key_dim, 0.0);
  const auto gates = with_gates(silent, heads, [](Index t, Index i) { return decay_at(t, i); });
  const auto betas =
      with_gates(x, 2 * heads, [](Index t, Index i) { return i < heads ? 0.0 : decay_at(t, i - heads); });
  GatedDeltaRuleScan<double, heads, key_dim, value_dim> delta;
  delta.unit_length = false;
  check_same(delta, betas, Scalar1(), gates);
}

TEST_CASE("a selective scan of constant parameters is the recurrence of S4D", "[coincidence]") {
  constexpr Index features = 3, states = 4;
  constexpr double dt = 0.07;
  ComplexSelectiveScan<double, features, states> layer(
      features, states, 1,
      {.delta_softplus = false, .delta_bias = false, .gate = false, .variable_B = false, .variable_C = false});
  initialize(layer, 3);
  auto x = random_sequence<double>(1, time_steps, 2 * features, 1);
  Sequence<double> expected(1, time_steps, features);
  for (Index d = 0; d < features; ++d) {
    std::vector<std::complex<double>> h(states);
    for (Index t = 0; t < time_steps; ++t) {
      x(0, t, features + d) = dt;
      double y = layer.D[d] * x(0, t, d);
      for (Index n = 0; n < states; ++n) {
        const std::complex<double> a(layer.A.re(d, n), layer.A.im(d, n)), b(layer.B.re(d, n), layer.B.im(d, n));
        const std::complex<double> c(layer.C.re(d, n), layer.C.im(d, n));
        auto& own = h[static_cast<std::size_t>(n)];
        own = std::exp(dt * a) * own + dt * b * x(0, t, d);
        y += 2 * (c * own).real();
      }
      expected(0, t, d) = y;
    }
  }
  CHECK(distance(scanned(layer, x, Recurrent{}), expected) < 1e-12);
  CHECK(distance(scanned(layer, x, Chunked<8>{}), expected) < 1e-12);
  CHECK(distance(scanned(layer, x, Parallel<8>{}), expected) < 1e-12);
}
