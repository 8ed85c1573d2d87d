#include <cmath>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::randomize;
using testing::scanned;
using testing::Sequence;

namespace {

template <class S>
using Delta = DeltaRuleScan<S, Dynamic, Dynamic, Dynamic>;
template <class S>
using GatedDelta = GatedDeltaRuleScan<S, Dynamic, Dynamic, Dynamic>;

/// x = [q | k | v | beta | g]: beta in (0, most_beta), g in (-strength, 0).
template <class S, class L>
Sequence<S> inputs(const L& layer, Index batch, Index time, bool gated, double most_beta = 1, double strength = 1) {
  auto x = random_sequence<S>(batch, time, layer.input_size(), 5);
  const Index heads = layer.heads(), first = layer.input_size() - (gated ? 2 : 1) * heads;
  for (Index b = 0; b < batch; ++b) {
    for (Index t = 0; t < time; ++t) {
      for (Index h = 0; h < heads; ++h) {
        x(b, t, first + h) = static_cast<S>(most_beta) * std::abs(x(b, t, first + h));
        if (gated) x(b, t, first + heads + h) = -static_cast<S>(strength) * std::abs(x(b, t, first + heads + h));
      }
    }
  }
  return x;
}

/// The rule as it is written, token after token, from a zero state.
Sequence<double> plain_delta_rule(const GatedDelta<double>& layer, const Sequence<double>& x) {
  const Index heads = layer.heads(), keys = layer.key_dim(), values = layer.value_dim();
  Sequence<double> y(x.extent(0), x.extent(1), heads * values);
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index h = 0; h < heads; ++h) {
      Tensor<double, Dynamic, Dynamic> state(keys, values);
      for (Index t = 0; t < x.extent(1); ++t) {
        const double *q = &x(b, t, h * keys), *k = &x(b, t, (heads + h) * keys);
        const double* v = &x(b, t, 2 * heads * keys + h * values);
        const double* gates = &x(b, t, 2 * heads * keys + heads * values);
        const double beta = gates[h], decay = std::exp(gates[heads + h]);
        double length_q = 1e-6, length_k = 1e-6;
        for (Index d = 0; d < keys; ++d) {
          length_q += q[d] * q[d];
          length_k += k[d] * k[d];
        }
        for (double& value : state) value *= decay;
        for (Index j = 0; j < values; ++j) {
          double answer = 0, read = 0;
          for (Index d = 0; d < keys; ++d) answer += k[d] / std::sqrt(length_k) * state(d, j);
          for (Index d = 0; d < keys; ++d) {
            state(d, j) += k[d] / std::sqrt(length_k) * beta * (v[j] - answer);
            read += q[d] / std::sqrt(length_q) * state(d, j);
          }
          y(b, t, h * values + j) = layer.scale * read;
        }
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("every form of the gated delta rule is the rule as written", "[ops][delta_rule]") {
  const Index time = GENERATE(1, 2, 16, 33, 71);
  GatedDelta<double> layer(2, 5, 7);
  const auto x = inputs<double>(layer, 2, time, true, 2.0, 3.0);
  const auto truth = plain_delta_rule(layer, x);
  CHECK(distance(scanned(layer, x, Recurrent{}), truth) < 1e-12);
  CHECK(distance(scanned(layer, x, Chunked<>{}), truth) < 1e-12);
  CHECK(distance(scanned(layer, x, Chunked<3>{}), truth) < 1e-12);
  CHECK(distance(scanned(layer, x, Parallel<>{}), truth) < 1e-12);
  CHECK(distance(scanned(layer, x, Parallel<5>{}), truth) < 1e-12);
}

TEST_CASE("gradients of the delta rules", "[ops][delta_rule]") {
  Delta<double> plain(1, 3, 4);
  CHECK(testing::gradient_error(plain, 2, 7, {7, 4}) < 1e-7);
  GatedDelta<double> gated(2, 4, 3);
  CHECK(testing::gradient_error(gated, 2, 6, {0, 6}) < 1e-7);
  gated.unit_length = false;
  CHECK(testing::gradient_error(gated, 1, 5) < 1e-7);
}

TEST_CASE("without writing the delta rule only decays", "[ops][delta_rule]") {
  GatedDelta<double> layer(2, 4, 4);
  layer.unit_length = false;
  const auto x = inputs<double>(layer, 1, 40, true, 0.0);
  auto state = layer.initial_state(1);
  randomize(state, 7);
  ScalarGatedAttentionScan<double, Dynamic, Dynamic, Dynamic> decay(2, 4, 4);
  auto decayed = decay.initial_state(1);
  decayed.matrix = state.matrix;
  Sequence<double> silent(1, 40, decay.input_size()), y(1, 40, 8), expected(1, 40, 8);
  for (Index t = 0; t < 40; ++t) {
    std::copy_n(&x(0, t, 0), 8, &silent(0, t, 0));
    std::copy_n(&x(0, t, 26), 2, &silent(0, t, 24));
  }
  layer.scan(state, x, y);
  decay.scan(decayed, silent, expected);
  CHECK(distance(y, expected) < 1e-13);
  CHECK(distance(state.matrix, decayed.matrix) < 1e-13);
}

TEST_CASE("keys that are nearly parallel, beta near 1", "[ops][delta_rule]") {
  Delta<double> layer(1, 8, 8);
  auto x = inputs<double>(layer, 1, 200, false);
  for (Index t = 0; t < 200; ++t) {
    for (Index d = 0; d < 8; ++d) x(0, t, 8 + d) = 1 + 1e-4 * x(0, t, 8 + d);
    x(0, t, 24) = 1 - 1e-6;
  }
  const auto truth = scanned(layer, x, Recurrent{});
  CHECK(distance(scanned(layer, x, Chunked<>{}), truth) < 1e-11);
  CHECK(distance(scanned(layer, x, Parallel<>{}), truth) < 1e-9);

  Delta<float> in_float(1, 8, 8);
  Sequence<float> narrow(1, 200, layer.input_size());
  std::copy(x.begin(), x.end(), narrow.begin());
  CHECK(distance(scanned(in_float, narrow, Chunked<>{}), truth) < 1e-3);
}

TEST_CASE("decays of any strength over a long sequence stay finite in float", "[ops][delta_rule]") {
  GatedDelta<float> layer(1, 8, 8);
  const auto x = inputs<float>(layer, 1, 20000, true, 1.0, 100.0);
  const auto truth = scanned(layer, x, Recurrent{});
  CHECK(distance(scanned(layer, x, Chunked<>{}), truth) < 1e-5);
  CHECK(distance(scanned(layer, x, Parallel<>{}), truth) < 1e-5);
}
