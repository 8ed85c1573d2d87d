#include <cmath>
#include <stepscan/layers/decay_backward.hpp>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/linear_attention.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/mamba2_ssd_backward.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>
#include <stepscan/ops/delta_rule_backward.hpp>

#include "matrix_states.hpp"
#include "subject.hpp"

/// Layers that scan a decaying state, in each form over time, on one thread and two, one token at a time, and their
/// training; and four of them as a framework runs them token by token, whole tensors at a time.
///
/// The counted floor takes 4.5 operations a number of the state and token, those of groups of four tokens, 6 for the
/// delta rules, at the rate of a matrix product.
/// Floors, in vector operations a number of the state and token on registers of 8 at two a cycle: 3 token after token,
/// 2 1/4 in groups of four, 3 in the delta rule's pairs (4 token after token); 3.6 GHz. Beside them decays of 0.3 ns
/// each.
///   GLA 2048 x 4 heads of 64: 1.28 ms and 0.16 of exponentials; reached 2.04, 70 %
///   GLA 4096 x 8 of 128: 20.5 and 1.3 ms; 29 to 30, three quarters
///   delta rule, the same: 1.75 ms, reached 2.44, 72 %; 28 ms, reached 39.4, 71 %
///   Mamba-2 2048 x 24 of 16 x 64: 2.6 ms, and 25 MB in and out 1.1 ms; reached 4.5: a state this small is past in 50
///   ns, and decays, rows and outputs of a token and head take as long
/// Rows of inputs, which lie heads apart, are asked for a run ahead (kernels/rows_ahead.hpp); with them near, the
/// state's tiles run at nine tenths of their floor, and decays, groups and outputs of a token take the rest.
namespace {

using namespace bench;

/// Layers of `heads` states of [keys, values] numbers.
struct Heads {
  Index heads, keys, values;

  /// So many operations a number of the state and token, so many exponentials a token.
  template <class L>
  [[nodiscard]] auto of(const std::string& name, double operations, double exps, std::vector<Gates> gates) const {
    const double state = static_cast<double>(heads * keys * values);
    return subject<L>({name,
                       {heads, keys, values},
                       {.flops = operations * state, .exps = exps, .state = 4 * state},
                       std::move(gates)},
                      L(heads, keys, values));
  }

  [[nodiscard]] auto gated_linear_attention() const {
    return of<GatedLinearAttentionScan<float, Dynamic, Dynamic, Dynamic>>(
        "gated_linear_attention", 4.5, static_cast<double>(heads * keys), {{behind_values()}});
  }
  [[nodiscard]] auto retention() const {
    return of<RetentionScan<float, Dynamic, Dynamic, Dynamic>>("retention", 4.5, 0, {});
  }
  [[nodiscard]] auto scalar_gated_attention() const {
    return of<ScalarGatedAttentionScan<float, Dynamic, Dynamic, Dynamic>>(
        "scalar_gated_attention", 4.5, static_cast<double>(heads), {{behind_values()}});
  }
  [[nodiscard]] auto delta_rule() const {
    return of<DeltaRuleScan<float, Dynamic, Dynamic, Dynamic>>("delta_rule", 6, 0, {{behind_values(), 0.9F}});
  }

  [[nodiscard]] Index behind_values() const { return heads * (2 * keys + values); }
};

/// In the layer's own form at a size of the tables.
void add_tables(const auto& subject, Index time) {
  for (const int threads : {1, 2}) subject.template scan<Chunked<>>(1, time, threads);
  subject.step();
}

/// Retention, scalar gates, GLA and the delta rule by operations on the states of all heads.
void add_tensor_at_a_time(const Heads& sizes, Index time) {
  const auto beside = [=](const auto& subject, auto token) {
    subject.beside("tensor at a time", time, [=](const Sequences& x, Sequences& y) {
      MatrixStates states(sizes.heads, sizes.keys, sizes.values);
      for (Index t = 0; t < time; ++t) {
        const float *q = &x(0, t, 0), *k = q + sizes.heads * sizes.keys, *v = k + sizes.heads * sizes.keys;
        token(states, q, k, v, q + sizes.behind_values(), &y(0, t, 0));
      }
    });
  };
  const float scale = sizes.retention().layer().scale;
  const auto decaying = [=](Index decays) {
    return [=](MatrixStates& states, const float* q, const float* k, const float* v, const float* gates, float* y) {
      states.decay(gates, decays);
      states.add(k, v);
      states.read(q, scale, y);
    };
  };
  beside(sizes.retention(), [=, fixed = sizes.retention().layer().log_decay, token = decaying(sizes.heads)](
                                MatrixStates& states, const float* q, const float* k, const float* v, const float*,
                                float* y) { token(states, q, k, v, fixed.data(), y); });
  beside(sizes.scalar_gated_attention(), decaying(sizes.heads));
  beside(sizes.gated_linear_attention(), decaying(sizes.heads * sizes.keys));
  beside(sizes.delta_rule(),
         [=](MatrixStates& states, const float* q, const float* k, const float* v, const float* beta, float* y) {
           states.correct(states.unit_length(k).data(), v, beta);
           states.read(states.unit_length(q).data(), scale, y);
         });
}

}  // namespace

void bench::add_benchmarks() {
  const Heads typical{4, 64, 64}, large{8, 128, 128};
  const Index gates = typical.behind_values();
  const double heads = static_cast<double>(typical.heads);
  typical.of<LinearAttentionScan<float, Dynamic, Dynamic, Dynamic>>("linear_attention", 4.5, 0, {}).all();
  typical.retention().all();
  typical.scalar_gated_attention().all();
  typical.gated_linear_attention().all();
  typical.of<MlstmScan<float, Dynamic, Dynamic, Dynamic>>("mlstm", 4.5, 3 * heads, {{gates}}).all();
  typical.delta_rule().all();
  typical
      .of<GatedDeltaRuleScan<float, Dynamic, Dynamic, Dynamic>>("gated_delta_rule", 6, heads,
                                                                {{gates, 0.9F}, {gates + typical.heads}})
      .all();
  const auto ssd = fresh<Mamba2SsdScan<float, Dynamic, Dynamic, Dynamic>>(24, 64, 16);
  subject({"mamba2_ssd", {24, 16, 64}, {.flops = 4.5 * 24 * 64 * 16, .exps = 24, .state = 4 * 24 * 64 * 16}}, ssd)
      .all();
  if (quick) return;
  add_tables(typical.gated_linear_attention(), 2048);
  add_tables(typical.retention(), 2048);
  add_tables(typical.delta_rule(), 2048);
  add_tables(large.gated_linear_attention(), 4096);
  add_tables(large.retention(), 4096);
  add_tables(large.delta_rule(), 4096);
  add_tensor_at_a_time(typical, 2048);
}
