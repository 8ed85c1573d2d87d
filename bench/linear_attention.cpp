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
/// Floors, in vector operations a number of the state and token on registers of 8 at two a cycle: 3 token after token, 2
/// 1/4 in groups of four, 3 in the delta rule's pairs (4 token after token); 3.6 GHz. Beside them decays of 0.3 ns each.
///   GLA 2048 x 4 heads of 64: 1.28 ms and 0.16 of exponentials; reached 2.04, 70 %
///   GLA 4096 x 8 of 128: 20.5 and 1.3 ms; 29 to 30, three quarters
///   delta rule, the same: 1.75 ms, reached 2.44, 72 %; 28 ms, reached 39.4, 71 %
///   Mamba-2 2048 x 24 of 16 x 64: 2.6 ms, and 25 MB in and out 1.1 ms; reached 4.5: a state this small is past in 50 ns,
///   and decays, rows and outputs of a token and head take as long
/// Rows of inputs, which lie heads apart, are asked for a run ahead (kernels/rows_ahead.hpp); with them near, the
/// state's tiles run at nine tenths of their floor, and decays, groups and outputs of a token take the rest.
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
