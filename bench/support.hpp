#pragma once

#include <benchmark/benchmark.h>

#include <concepts>
#include <initializer_list>
#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/layer.hpp>
#include <string>
#include <vector>

#include "harness/ceilings.hpp"
#include "harness/choice.hpp"
#include "harness/form_names.hpp"

/// What the benchmark programs share. Names read layer/form/pass/batch/time/sizes.../threads, the pass being step,
/// scan, forward or backward; bench/report/results.hpp says more and reads them again.
namespace bench {

using namespace stepscan;

using Sizes = std::vector<Index>;
using Sequences = Tensor<float, Dynamic, Dynamic, Dynamic>;

template <class TensorType>
void fill_uniform(TensorType& tensor, double bound, std::uint64_t seed = 1) {
  Random random(seed);
  for (auto& value : tensor) value = static_cast<typename TensorType::value_type>(random.uniform(-bound, bound));
}

[[nodiscard]] inline std::string name_of(const std::string& layer, const std::string& form, const std::string& pass,
                                         const Sizes& sizes, int threads) {
  std::string name = layer + "/" + form + "/" + pass;
  for (const Index size : sizes) name.append("/").append(std::to_string(size));
  return name.append("/threads:").append(std::to_string(threads));
}

/// Registers a benchmark of `body()`, which does at least this work; or of `body(state)`, which stops the clock while
/// it prepares. One-thread cases report processor time, so that a neighbour on the same core does not count; others
/// report wall time. The counter `floor` is the share of its time that the work takes at the machine's ceilings.
template <class Make>
void add(const std::string& name, int threads, const Work& work, Make make) {
  auto* registered = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    set_max_threads(threads);
    auto body = make();
    const auto run = [&] {
      if constexpr (std::invocable<decltype(body)&, benchmark::State&>) {
        body(state);
      } else {
        body();
      }
    };
    if constexpr (!std::invocable<decltype(body)&, benchmark::State&>) body();
    for (auto _ : state) {
      run();
      benchmark::ClobberMemory();
    }
    const auto rate = [&](const char* counter, double amount) {
      using benchmark::Counter;
      if (amount > 0) state.counters[counter] = Counter(amount, Counter::kIsIterationInvariantRate);
    };
    rate("tokens/s", work.tokens);
    rate("flop/s", work.flops);
    rate("exp/s", work.exps);
    rate("bytes/s", work.weights.bytes + work.data.bytes);
    rate("floor", floor_seconds(work, threads));
    set_max_threads(1);
  });
  if (threads > 1) registered->UseRealTime();
}
template <class Make>
void add(const std::string& name, int threads, double tokens, double flops, Make make) {
  add(name, threads, Work{.tokens = tokens, .flops = flops}, make);
}

/// One token at a time of a prepared layer, `batch` streams in lockstep; `token` is the work of one step of one stream.
template <class Plan>
void add_step(const std::string& layer, const Plan& plan, Index batch, const Work& token) {
  Work work = token;
  const double streams = static_cast<double>(batch);
  work.tokens *= streams;
  work.flops *= streams;
  work.exps *= streams;
  add(name_of(layer, "Recurrent", "step", {batch, 1, plan.input_size(), plan.output_size()}, 1), 1, work, [=] {
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
template <class Plan>
void add_step(const std::string& layer, const Plan& plan, Index batch, double flops) {
  add_step(layer, plan, batch, Work{.flops = flops});
}

/// A whole sequence of a layer or its plan in its own form; `flops` are those of a token.
template <class L>
void add_scan(const std::string& layer, const std::string& form, const L& plan, Index batch, Index time, double flops,
              int threads) {
  const double tokens = static_cast<double>(batch * time);
  add(name_of(layer, form, "scan", {batch, time, plan.input_size(), plan.output_size()}, threads), threads, tokens,
      flops * tokens, [=] {
        using S = typename L::scalar_type;
        Tensor<S, Dynamic, Dynamic, Dynamic> x(batch, time, plan.input_size()), y(batch, time, plan.output_size());
        fill_uniform(x, 1);
        auto state = plan.initial_state(batch);
        return [=, workspace = Workspace()]() mutable {
          plan.scan(state, x, y, workspace, OwnForm{});
          benchmark::DoNotOptimize(y.data());
        };
      });
}

}  // namespace bench
