#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>

#include "support.hpp"

namespace bench {

/// The least work of one token, and the bytes that steps and scans move.
struct Cost {
  double flops = 0;
  double exps = 0;
  double weights = 0;    ///< bytes of weights that a step reads
  double recurrent = 0;  ///< of these, what a scan reads for every token anew: a product that waits for the last output
  double state = 0;      ///< bytes of one member's state, which a step reads; it writes them beside
  double pair_flops = 0;  ///< for every pair of a token and one that it attends to
  double pair_exps = 0;   ///< likewise
};

/// Input features from `first` on are gates, scale |value|: log decays in [-0.1, 0], or what else.
struct Gates {
  Index first;
  float scale = -0.1F;
};

/// What stands behind batch and time in a benchmark's name, and how its layer is fed.
struct Traits {
  std::string name;
  Sizes sizes;
  Cost cost;
  std::vector<Gates> gates = {};
};

/// A layer of one size as its benchmarks see it: each of them is one line.
template <class L>
class Subject {
 public:
  using Plan = decltype(prepare(std::declval<const L&>()));

  Subject(Traits traits, const L& layer)
      : traits_(std::move(traits)),
        layer_(std::make_shared<const L>(layer)),
        plan_(std::make_shared<const Plan>(prepare(layer))) {}

  [[nodiscard]] const L& layer() const { return *layer_; }

  /// One token of `batch` streams in lockstep.
  void step(Index batch = 1) const {
    add(name(traits_.name, "Recurrent", "step", batch, 1, 1), 1, step_work(batch), [=, *this] {
      Sequences x = inputs(batch, 1), y(batch, 1, plan_->output_size());
      return [x, y, plan = plan_, state = plan_->initial_state(batch)]() mutable {
        plan->step(state, matrix<const float>(x), matrix<float>(y));
        benchmark::DoNotOptimize(y.data());
      };
    });
  }

  /// A whole sequence in one form, by the plan.
  template <class Form = OwnForm>
  void scan(Index batch, Index time, int threads) const {
    scan_by<Form>(*this, plan_, traits_.name, batch, time, threads);
  }
  /// The same by the layer, which works out derived parameters in every call.
  template <class Form = OwnForm>
  void scan_from_parameters(Index batch, Index time, int threads) const {
    scan_by<Form>(*this, layer_, traits_.name + ", parameters", batch, time, threads);
  }

  /// A whole sequence by `run(x, y)`, another `way` to compute the same, which is held to the layer's result first.
  template <class Run>
  void beside(const std::string& way, Index time, const Run& run) const {
    add(name(way + ":" + traits_.name, "own", "scan", 1, time, 1), 1, scan_work(1, time), [=, *this] {
      const Sequences x = inputs(1, time);
      Sequences y(1, layer_->output_time(time), layer_->output_size()), expected(y.shape());
      auto state = layer_->initial_state(1);
      layer_->scan(state, x, expected);
      auto compute = run;
      compute(x, y);
      for (Index i = 0; i < y.size(); ++i) {
        if (!(std::abs(y[i] - expected[i]) <= 1e-3F * (1 + std::abs(expected[i])))) {
          throw std::runtime_error(traits_.name + " " + way + " is not what the layer computes");
        }
      }
      return [x, y, compute]() mutable {
        compute(x, y);
        benchmark::DoNotOptimize(y.data());
      };
    });
  }

  /// In every form the layer has, on one thread and two; Newton's iteration only if `newton`.
  template <bool newton = false>
  void forms(Index batch, Index time) const {
    const auto one = [&]<class Form>(const Form&) {
      if constexpr (newton || !is_newton<Form>) {
        for (const int threads : {1, 2}) scan<Form>(batch, time, threads);
      }
    };
    std::apply([&](const auto&... form) { (one(form), ...); }, FormsOf<Plan>{});
  }
  template <bool newton = false>
  void over_time(Index batch = 1) const {
    for (const Index time : lengths()) forms<newton>(batch, time);
  }

  /// The forward pass that records a tape, and the backward pass behind it, apart.
  void training(Index batch, Index time, int threads) const {
    const Work forward = scan_work(batch, time);
    Work backward = forward;
    backward.flops *= 2;
    backward.data.bytes *= 2;
    if (floor_seconds(backward, threads) > longest_seconds()) return;
    add(name(traits_.name, "own", "forward", batch, time, threads), threads, forward,
        [=, *this] { return [pass = Pass(*this, batch, time)]() mutable { pass.forward(); }; });
    add(name(traits_.name, "own", "backward", batch, time, threads), threads, backward, [=, *this] {
      return [pass = Pass(*this, batch, time)](benchmark::State& state) mutable {
        state.PauseTiming();
        pass.forward();
        state.ResumeTiming();
        pass.backward();
      };
    });
  }
  void training_over_time(Index batch = 1) const {
    for (const Index time : training_lengths()) {
      for (const int threads : {1, 2}) training(batch, time, threads);
    }
  }

  /// A step, every form over time, and training over time.
  void all() const {
    step();
    over_time();
    training_over_time();
  }

 private:
  template <class Form>
  static constexpr bool is_newton = requires {
    Form::jacobian;
  };

  /// Memory and parameters of a forward and a backward pass.
  struct Pass {
    std::shared_ptr<const L> layer;
    Sequences x, y, dx, dy;
    typename L::State start, dend, dstart;
    Tape<L> tape;
    L gradient;

    Pass(const Subject& subject, Index batch, Index time)
        : layer(subject.layer_),
          x(subject.inputs(batch, time)),
          y(batch, time, layer->output_size()),
          dx(x.shape()),
          dy(y.shape()),
          start(layer->initial_state(batch)),
          dend(start),
          dstart(start),
          gradient(zeros_like(*layer)) {
      fill_uniform(dy, 1, 2);
    }
    void forward() {
      auto state = start;
      layer->forward(state, x, y, tape);
      benchmark::DoNotOptimize(y.data());
    }
    void backward() {
      layer->backward(tape, SequenceView<const float>(std::as_const(dy)), dend, gradient, dx, dstart);
      benchmark::DoNotOptimize(dx.data());
    }
  };

  template <class S, class T>
  [[nodiscard]] static MatrixView<S> matrix(T& sequences) {
    return {sequences.data(), sequences.extent(0), sequences.extent(2)};
  }

  template <class Form, class Runner>
  static void scan_by(const Subject& subject, const std::shared_ptr<const Runner>& runner, const std::string& layer,
                      Index batch, Index time, int threads) {
    const Work work = subject.scan_work(batch, time);
    if (floor_seconds(work, threads) > longest_seconds()) return;
    add(subject.name(layer, form_name(Form{}), "scan", batch, time, threads), threads, work, [=] {
      Sequences x = subject.inputs(batch, time), y(batch, runner->output_time(time), runner->output_size());
      return [x, y, runner, state = runner->initial_state(batch), workspace = Workspace()]() mutable {
        // A cache of keys and values starts anew; other states go on.
        if constexpr (requires { state.length.fill(0); }) state.length.fill(0);
        runner->scan(state, x, y, workspace, Form{});
        benchmark::DoNotOptimize(y.data());
      };
    });
  }

  [[nodiscard]] Work step_work(Index batch) const {
    const double streams = static_cast<double>(batch);
    const Cost& cost = traits_.cost;
    return {.tokens = streams,
            .flops = streams * cost.flops,
            .exps = streams * cost.exps,
            .weights = {cost.weights, cost.weights + streams * cost.state},
            .data = {streams * cost.state, cost.weights + streams * cost.state}};
  }
  [[nodiscard]] Work scan_work(Index batch, Index time) const {
    const double tokens = static_cast<double>(batch * time);
    const Cost& cost = traits_.cost;
    const double moved = 4 * tokens * static_cast<double>(plan_->input_size() + plan_->output_size());
    const double pairs = tokens * static_cast<double>(time + 1) / 2;
    return {.tokens = tokens,
            .flops = tokens * cost.flops + pairs * cost.pair_flops,
            .exps = tokens * cost.exps + pairs * cost.pair_exps,
            .weights = {cost.recurrent * static_cast<double>(time), cost.recurrent},
            .data = {moved, moved}};
  }

  [[nodiscard]] std::string name(const std::string& layer, const std::string& form, const std::string& pass,
                                 Index batch, Index time, int threads) const {
    Sizes sizes{batch, time};
    sizes.insert(sizes.end(), traits_.sizes.begin(), traits_.sizes.end());
    return name_of(layer, form, pass, sizes, threads);
  }

  [[nodiscard]] Sequences inputs(Index batch, Index time) const {
    Sequences x(batch, time, plan_->input_size());
    fill_uniform(x, 1);
    for (const Gates& gates : traits_.gates) {
      for (Index i = 0; i < x.size(); ++i) {
        if (i % x.extent(2) >= gates.first) x[i] = gates.scale * std::fabs(x[i]);
      }
    }
    return x;
  }

  Traits traits_;
  std::shared_ptr<const L> layer_;
  std::shared_ptr<const Plan> plan_;
};

/// A layer with fresh parameters.
template <class L, class... Arguments>
[[nodiscard]] L fresh(Arguments... arguments) {
  L layer(arguments...);
  initialize(layer, 1);
  return layer;
}

/// Its benchmarks.
template <class L>
[[nodiscard]] Subject<L> subject(Traits traits, const L& layer) {
  return Subject<L>(std::move(traits), layer);
}

}  // namespace bench
