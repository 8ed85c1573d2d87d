#include <cmath>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>

#include "support.hpp"

/// Layers that scan a decaying state, in each form, on one thread and two, and one token at a time; and GLA as a
/// framework runs it token by token, whole tensors at a time.
///
/// Floor: 5 multiply-adds' worth of arithmetic per number of the state and token in the recurrence, 2 in a chunk.
namespace {

using namespace bench;

/// The features from `first` on: log decays in [-0.1, 0], or what else `scale` makes of [0, 1].
struct Gates {
  Index first = 0;
  float scale = -0.1F;
};

void fill_inputs(auto& x, const Gates& gates) {
  fill_uniform(x, 1);
  const Index features = x.shape().back();
  for (Index i = 0; i < x.size(); ++i) {
    if (i % features >= gates.first) x[i] = gates.scale * std::abs(x[i]);
  }
}

template <class L, class Form>
void add_form(const std::string& name, const std::string& form, const L& layer, Gates gates, Index batch, Index time,
              double flops, int threads) {
  const double tokens = static_cast<double>(batch * time);
  add(name_of(name, form, "scan", {batch, time, layer.input_size(), layer.output_size()}, threads), threads, tokens,
      flops * tokens, [=] {
        Tensor<float, Dynamic, Dynamic, Dynamic> x(batch, time, layer.input_size()),
            y(batch, time, layer.output_size());
        fill_inputs(x, gates);
        auto state = layer.initial_state(batch);
        return [=, workspace = Workspace()]() mutable {
          layer.scan(state, x, y, workspace, Form{});
          benchmark::DoNotOptimize(y.data());
        };
      });
}

template <class L>
void add_layer(const std::string& name, const L& layer, Gates gates, Index time, double flops) {
  for (const int threads : {1, 2}) {
    add_form<L, Recurrent>(name, "Recurrent", layer, gates, 1, time, flops, threads);
    add_form<L, Chunked<>>(name, "Chunked", layer, gates, 1, time, flops, threads);
    add_form<L, Parallel<>>(name, "Parallel", layer, gates, 1, time, flops, threads);
  }
  add(name_of(name, "Recurrent", "step", {1, 1, layer.input_size(), layer.output_size()}, 1), 1, 1, flops, [=] {
    Tensor<float, Dynamic, Dynamic> x(1, layer.input_size()), y(1, layer.output_size());
    fill_inputs(x, gates);
    auto state = layer.initial_state(1);
    return [=]() mutable {
      layer.step(state, MatrixView<const float>(x), MatrixView<float>(y));
      benchmark::DoNotOptimize(y.data());
    };
  });
}

/// S = exp(g) * S; U = k v^T; S = S + U; y = sum(q * S), each over all heads before the next.
void add_tensor_at_a_time(Index time, Index heads, Index keys, Index values) {
  const Index size = heads * keys * values;
  add(name_of("gated_linear_attention", "tensor_at_a_time", "scan",
              {1, time, heads * (3 * keys + values), heads * values}, 1),
      1, static_cast<double>(time), 5.0 * static_cast<double>(size * time), [=] {
        Tensor<float, Dynamic, Dynamic> x(time, heads * (3 * keys + values)), y(time, heads * values);
        fill_inputs(x, Gates{heads * (2 * keys + values)});
        Tensor<float, Dynamic> state(size), update(size);
        return [=]() mutable {
          for (Index t = 0; t < time; ++t) {
            const float *q = &x(t, 0), *k = q + heads * keys, *v = k + heads * keys, *g = v + heads * values;
            for (Index r = 0; r < heads * keys; ++r) {
              const float decay = std::exp(g[r]);
              for (Index j = 0; j < values; ++j) state[r * values + j] *= decay;
            }
            for (Index r = 0; r < heads * keys; ++r) {
              for (Index j = 0; j < values; ++j) update[r * values + j] = k[r] * v[r / keys * values + j];
            }
            for (Index i = 0; i < size; ++i) state[i] += update[i];
            std::fill_n(&y(t, 0), heads * values, 0.0F);
            for (Index r = 0; r < heads * keys; ++r) {
              for (Index j = 0; j < values; ++j) y(t, r / keys * values + j) += q[r] * state[r * values + j];
            }
          }
          benchmark::DoNotOptimize(y.data());
        };
      });
}

void add_head_layers(Index time, Index heads, Index keys, Index values) {
  const double flops = 5.0 * static_cast<double>(heads * keys * values);
  const Gates projected{heads * (2 * keys + values)}, betas{projected.first, 0.9F};
  add_layer("gated_linear_attention", GatedLinearAttentionScan<float, Dynamic, Dynamic, Dynamic>(heads, keys, values),
            projected, time, flops);
  add_layer("scalar_gated_attention", ScalarGatedAttentionScan<float, Dynamic, Dynamic, Dynamic>(heads, keys, values),
            projected, time, flops);
  add_layer("retention", RetentionScan<float, Dynamic, Dynamic, Dynamic>(heads, keys, values), projected, time, flops);
  add_layer("mlstm", MlstmScan<float, Dynamic, Dynamic, Dynamic>(heads, keys, values), projected, time, flops);
  add_layer("delta_rule", DeltaRuleScan<float, Dynamic, Dynamic, Dynamic>(heads, keys, values), betas, time, flops);
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  add_head_layers(2048, 4, 64, 64);
  add_head_layers(4096, 8, 128, 128);
  add_tensor_at_a_time(2048, 4, 64, 64);
  Mamba2SsdScan<float, Dynamic, Dynamic, Dynamic> ssd(24, 64, 16);
  initialize(ssd, 1);
  add_layer("mamba2_ssd", ssd, {ssd.input_size()}, 2048, 5.0 * 24 * 64 * 16);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
