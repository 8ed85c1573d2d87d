#pragma once

#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/layer.hpp>
#include <string>

/// What the benchmark programs share. Names read layer/form/pass/batch/time/inputs/hidden/threads.
namespace bench {

using namespace stepscan;

template <class TensorType>
void fill_uniform(TensorType& tensor, double bound, std::uint64_t seed = 1) {
  Random random(seed);
  for (auto& value : tensor) value = static_cast<typename TensorType::value_type>(random.uniform(-bound, bound));
}

[[nodiscard]] inline std::string name_of(const std::string& layer, const std::string& form, const std::string& pass,
                                         std::initializer_list<Index> sizes, int threads) {
  std::string name = layer + "/" + form + "/" + pass;
  for (const Index size : sizes) name.append("/").append(std::to_string(size));
  return name.append("/threads:").append(std::to_string(threads));
}

/// Registers a benchmark of `body()`, which processes `tokens` tokens and `flops` floating-point operations a call.
/// One-thread cases report processor time, so that a neighbour on the same core does not count; others report wall
/// time.
template <class Make>
void add(const std::string& name, int threads, double tokens, double flops, Make make) {
  auto* registered = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    set_max_threads(threads);
    auto body = make();
    body();
    for (auto _ : state) {
      body();
      benchmark::ClobberMemory();
    }
    using benchmark::Counter;
    state.counters["tokens/s"] = Counter(tokens, Counter::kIsIterationInvariantRate);
    state.counters["flop/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
    set_max_threads(1);
  });
  if (threads > 1) registered->UseRealTime();
}

/// The yardstick beside which all times are read: one single-thread matrix product of 512, by Eigen.
inline void add_matrix_product() {
  add("matrix_product/512/threads:1", 1, 512, 2.0 * 512 * 512 * 512, [] {
    Eigen::setNbThreads(1);
    Eigen::MatrixXf a = Eigen::MatrixXf::Random(512, 512), b = Eigen::MatrixXf::Random(512, 512), c(512, 512);
    return [=]() mutable {
      c.noalias() = a * b;
      benchmark::DoNotOptimize(c.data());
    };
  });
}

/// One token at a time of a prepared layer, `batch` streams in lockstep.
template <class Plan>
void add_step(const std::string& layer, const Plan& plan, Index batch, double flops) {
  add(name_of(layer, "Recurrent", "step", {batch, 1, plan.input_size(), plan.output_size()}, 1), 1,
      static_cast<double>(batch), flops * static_cast<double>(batch), [=] {
        using S = typename Plan::scalar_type;
        Tensor<S, Dynamic, Dynamic> x(batch, plan.input_size()), y(batch, plan.output_size());
        fill_uniform(x, 1);
        auto state = plan.initial_state(batch);
        return [=]() mutable {
          plan.step(state, MatrixView<const S>(x), MatrixView<S>(y));
          benchmark::DoNotOptimize(y.data());
        };
      });
}

/// A whole sequence of a layer or its plan; `flops` are those of a token.
template <class Form = OwnForm, class L>
void add_scan(const std::string& name, const L& layer, Index batch, Index time, double flops, int threads) {
  const double tokens = static_cast<double>(batch * time);
  add(name, threads, tokens, flops * tokens, [=] {
    using S = typename L::scalar_type;
    Tensor<S, Dynamic, Dynamic, Dynamic> x(batch, time, layer.input_size()), y(batch, time, layer.output_size());
    fill_uniform(x, 1);
    auto state = layer.initial_state(batch);
    return [=, workspace = Workspace()]() mutable {
      layer.scan(state, x, y, workspace, Form{});
      benchmark::DoNotOptimize(y.data());
    };
  });
}
template <class L>
void add_scan(const std::string& layer, const std::string& form, const L& plan, Index batch, Index time, double flops,
              int threads) {
  add_scan(name_of(layer, form, "scan", {batch, time, plan.input_size(), plan.output_size()}, threads), plan, batch,
           time, flops, threads);
}

/// Forward and backward pass of a whole sequence; `flops` are those of a token in both.
template <class L>
void add_training(const std::string& name, const L& layer, Index batch, Index time, double flops, int threads) {
  const double tokens = static_cast<double>(batch * time);
  add(name, threads, tokens, flops * tokens, [=] {
    using S = typename L::scalar_type;
    Tensor<S, Dynamic, Dynamic, Dynamic> x(batch, time, layer.input_size()), y(batch, time, layer.output_size());
    auto dx = x, dy = y;
    fill_uniform(x, 1);
    fill_uniform(dy, 1, 2);
    const auto start = layer.initial_state(batch);
    return [=, tape = Tape<L>(), gradient = zeros_like(layer), dend = start, dstart = start]() mutable {
      auto state = start;
      layer.forward(state, x, y, tape);
      layer.backward(tape, dy, dend, gradient, dx, dstart);
      benchmark::DoNotOptimize(dx.data());
    };
  });
}

}  // namespace bench
