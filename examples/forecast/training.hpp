#pragma once

#include <stepscan/layers/dropout.hpp>
#include <stepscan/models/forecaster_backward.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <stepscan/train/sequence_gradient.hpp>

#include "../support/training_run.hpp"
#include "evaluation.hpp"

namespace examples {

/// Windows of the series that begin anywhere in its training rows, a pure function of seed and number.
struct Windows {
  using Sequences = stepscan::Tensor<float, Dynamic, Dynamic, Dynamic>;
  Sequences past, future;

  Windows(const Series& series, const Settings& s, std::uint64_t number)
      : past(s.batch, s.lookback, series.channels()), future(s.batch, s.horizon, series.channels()) {
    stepscan::Random random(s.seed, number);
    const auto starts = static_cast<std::uint32_t>(series.training(s.lookback).windows(s.horizon));
    for (Index b = 0; b < s.batch; ++b) {
      const Index start = random.below(starts);
      copy(series.windows(start, 1, s.lookback), past, b);
      copy(series.windows(start + s.lookback, 1, s.horizon), future, b);
    }
  }

 private:
  static void copy(const stepscan::SequenceView<const float>& window, Sequences& to, Index b) {
    std::copy_n(window.data, window.time * window.features, &to(b, 0, 0));
  }
};

/// Trains a Forecaster around the encoder until validation gets no better, and tests it as it was when validation was
/// best.
template <class Encoder>
Result train_forecaster(const std::string& name, Encoder encoder, Index patch, const Series& series,
                        const Settings& settings) {
  using Model = stepscan::Forecaster<Encoder>;
  const auto start = std::chrono::steady_clock::now();
  Model model({series.channels(), settings.lookback, settings.horizon, {patch, patch, false}}, std::move(encoder));
  stepscan::Random random(settings.seed);
  model.initialize(random);

  stepscan::AdamW<Model> optimizer(model, {.weight_decay = 0.01});
  stepscan::Trainer trainer(model, optimizer,
                            {.updates = settings.updates,
                             .clip_norm = 1,
                             .evaluate_every = settings.evaluate_every,
                             .patience = 4,
                             .label = name + " " + std::to_string(settings.horizon)});
  trainer.learning_rate = stepscan::WarmUp{50, stepscan::CosineRate{settings.learning_rate, 0, settings.updates - 50}};

  Model best = model;
  const auto forecast_by = [](const Model& by) {
    return [&by](const stepscan::SequenceView<const float>& x, const Forecasts& y) {
      static thread_local stepscan::Workspace workspace;
      auto state = by.initial_state(x.batch);
      by.scan(state, x, y, workspace);
    };
  };
  Result result;
  result.parameters = stepscan::element_count(model);
  trainer.evaluate = [&](const Model& trained) {
    constexpr Index every = 4;
    return errors_of(series, series.validation(), every, settings, forecast_by(trained)).squared;
  };
  trainer.on_best = [&](const stepscan::TrainingProgress&) { best = model; };
  const auto log = log_in(settings.folder, name + "-" + std::to_string(settings.horizon));
  trainer.log = [&](const stepscan::TrainingRecord& record) {
    log(record);
    if (!std::isnan(record.metric)) result.curve.add(static_cast<double>(record.update), record.metric);
  };

  stepscan::DataParallel<Model, stepscan::SequenceGradient<Model>> parallel((settings.batch + 3) / 4);
  run_to_end(trainer, name, [&](std::int64_t number, Model& gradient) {
    const Windows windows(series, settings, static_cast<std::uint64_t>(number));
    const stepscan::SequenceView<const float> past(windows.past), future(windows.future);
    return parallel(settings.batch, gradient, [&](stepscan::Shard shard, Model& part, auto& gradient_of) {
      auto state = model.initial_state(shard.count);
      stepscan::start_dropout(state, settings.seed, static_cast<std::uint64_t>(number), model.members(shard.first));
      return gradient_of(model, state, past.members(shard.first, shard.count), future.members(shard.first, shard.count),
                         stepscan::Mse<float>{}, part);
    });
  });
  result.seconds = seconds_since(start);
  result.updates = trainer.progress.best_update;
  result.validation = trainer.progress.best_metric;
  test_forecaster(series, settings, forecast_by(best), result);
  return result;
}

}  // namespace examples
