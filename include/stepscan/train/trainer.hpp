#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <stepscan/core/fields.hpp>
#include <stepscan/train/accumulation.hpp>
#include <stepscan/train/clipping.hpp>
#include <stepscan/train/progress_bar.hpp>
#include <stepscan/train/training_log.hpp>
#include <string>
#include <tuple>

namespace stepscan::inline STEPSCAN_ISA {

/// How long and how a Trainer trains.
struct TrainerOptions {
  std::int64_t updates = 1000;      ///< of the parameters, in all
  std::int64_t accumulate = 1;      ///< batches to an update; their losses add up to one mean
  double clip_norm = 0;             ///< gradients longer than this are shortened to it; 0: never
  std::int64_t evaluate_every = 0;  ///< updates; 0: never
  std::int64_t patience = 0;        ///< evaluations in a row without a better metric that end the run; 0: any number
  double target = -std::numeric_limits<double>::infinity();  ///< metric that ends the run once it is reached
  double seconds = 0;      ///< that end the run; 0: any number. Then a run depends on the machine's speed.
  std::string label = {};  ///< before the progress bar
};

/// Where a run stands; with the parameters and the optimiser all that it needs to go on (train/checkpoint_folder.hpp).
struct TrainingProgress {
  std::int64_t updates = 0;
  std::int64_t batches = 0;
  double best_metric = std::numeric_limits<double>::infinity();
  std::int64_t best_update = 0;
  std::int64_t evaluations_since_best = 0;

  static constexpr auto numbers() {
    using P = TrainingProgress;
    return std::tuple{Field{"updates", &P::updates}, Field{"batches", &P::batches},
                      Field{"best_metric", &P::best_metric}, Field{"best_update", &P::best_update},
                      Field{"evaluations_since_best", &P::evaluations_since_best}};
  }
};

/// Why a run ended.
enum class TrainingEnd {
  finished,       ///< all updates were made
  reached,        ///< the metric is as small as its target
  stopped_early,  ///< patience was at its end
  out_of_time,
  diverged  ///< the loss or its gradient was not finite; the parameters are those before that update
};

/// Trains a model: batch after batch, the gradient of their mean loss, an update of the parameters.
///   Trainer trainer(model, optimizer, {.updates = 2000, .clip_norm = 1, .evaluate_every = 100, .patience = 5});
///   trainer.learning_rate = schedule;                                  // any function of the updates made so far
///   trainer.evaluate = [&](const Model& m) { return validation_loss(m); };
///   trainer.log = TrainingLog("run/log.csv");
///   trainer.run([&](std::int64_t batch, Model& gradient) {             // adds the gradient of the batch's summed loss
///     return parallel(members, gradient, shard_of(batch));             // as DataParallel does
///   });
/// Batches are numbered: a batch that is made from its number alone makes a run that goes on after a checkpoint, or
/// runs on other threads, the same bit for bit.
template <class Model, class Optimizer>
class Trainer {
 public:
  TrainingProgress progress;

  /// The learning rate of the next update. Has to be set.
  std::function<double(std::int64_t updates)> learning_rate;
  /// The metric to make small, worked out every `evaluate_every` updates and at the end.
  std::function<double(const Model&)> evaluate;
  /// Told of every update.
  std::function<void(const TrainingRecord&)> log;
  /// Called behind every update, its evaluation and log: for checkpoints and averages of the weights.
  std::function<void(const TrainingProgress&)> after_update;
  /// Called when the metric is the best so far: to keep those parameters.
  std::function<void(const TrainingProgress&)> on_best;

  /// Trains these two, which stay the caller's.
  Trainer(Model& model, Optimizer& optimizer, TrainerOptions options)
      : model_(model), optimizer_(optimizer), options_(std::move(options)), accumulator_(model) {}

  /// Goes on from `progress` until the run ends. `add_gradient(batch, gradient)` adds the gradient of a batch's summed
  /// loss and returns that loss and its count (LossSum). Throws ArgumentError when there is no learning rate, and what
  /// the functions throw.
  template <class AddGradient>
  TrainingEnd run(AddGradient&& add_gradient) {
    if (!learning_rate) fail<ArgumentError>("Trainer: expected a learning_rate, found none");
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t first = progress.updates;
    ProgressBar bar;
    double shown_loss = 0;
    while (true) {
      if (options_.patience > 0 && progress.evaluations_since_best >= options_.patience) {
        return TrainingEnd::stopped_early;
      }
      if (progress.best_metric <= options_.target) return TrainingEnd::reached;
      if (progress.updates >= options_.updates) return TrainingEnd::finished;
      if (options_.seconds > 0 && seconds_since(start) >= options_.seconds) return TrainingEnd::out_of_time;

      TrainingRecord record;
      if (!update(add_gradient, record)) return TrainingEnd::diverged;
      if (evaluate && is_evaluated(progress.updates)) record.metric = evaluate_now();
      record.seconds = seconds_since(start);
      if (log) log(record);
      if (after_update) after_update(progress);
      constexpr double memory = 0.95;
      shown_loss = progress.updates == first + 1 ? record.loss : memory * shown_loss + (1 - memory) * record.loss;
      bar.show(
          {options_.label, progress.updates, options_.updates, shown_loss, record.seconds, progress.updates - first});
    }
  }

 private:
  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  [[nodiscard]] bool is_evaluated(std::int64_t updates) const {
    return options_.evaluate_every > 0 && (updates % options_.evaluate_every == 0 || updates == options_.updates);
  }

  /// One update; false, and the parameters are what they were, when the loss or its gradient is not finite.
  template <class AddGradient>
  bool update(AddGradient& add_gradient, TrainingRecord& record) {
    accumulator_.clear();
    for (std::int64_t i = 0; i < options_.accumulate; ++i) {
      accumulator_.add(add_gradient(progress.batches + i, accumulator_.gradient));
    }
    Model& gradient = accumulator_.gradient;
    record.loss = accumulator_.finish();
    record.gradient_norm =
        options_.clip_norm > 0 ? clip_by_global_norm(gradient, options_.clip_norm) : global_norm(gradient);
    if (!std::isfinite(record.loss) || !std::isfinite(record.gradient_norm)) return false;
    record.learning_rate = learning_rate(progress.updates);
    optimizer_.step(model_, gradient, record.learning_rate);
    progress.batches += options_.accumulate;
    record.update = ++progress.updates;
    return true;
  }

  double evaluate_now() {
    const double metric = evaluate(model_);
    if (metric < progress.best_metric) {
      progress.best_metric = metric;
      progress.best_update = progress.updates;
      progress.evaluations_since_best = 0;
      if (on_best) on_best(progress);
    } else {
      ++progress.evaluations_since_best;
    }
    return metric;
  }

  Model& model_;
  Optimizer& optimizer_;
  TrainerOptions options_;
  GradientAccumulator<Model> accumulator_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
