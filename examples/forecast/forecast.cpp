/// Forecasts a series by a linear map, a state space model and attention, all trained alike in a Forecaster (reversible
/// instance normalisation, patches, channels apart), beside plain baselines. With ETTh1, the hourly load of a
/// transformer, these are the split, scaling and test windows of the papers.

#include "forecast.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <stepscan/core/threads.hpp>

#include "../support/arguments.hpp"
#include "../support/training_run.hpp"
#include "evaluation.hpp"

namespace {

using namespace examples;

constexpr const char* usage =
    "usage: stepscan_forecast [--data FILE.csv] [--horizon N] [--model NAME] [--quick] [--updates N] [--seed N]\n"
    "                         [--svg DIR]\n"
    "  --data FILE   a line of names, then a date and numbers on every line: ETTh1.csv (default: an invented series)\n"
    "  --horizon N   rows to forecast (default: 24, 48, 168, 336 and 720, one after another)\n"
    "  --model NAME  linear, s4d or attention alone\n"
    "  --quick       24 rows from 96, small models, some seconds; fails unless each learns the invented series\n"
    "  --updates N   of the parameters, at most (default 2000, quick 400)\n"
    "  --seed N      seed of weights, windows and dropout (default 1)\n"
    "  --svg DIR     draws forecasts and curves there, and writes a log of every training\n";

void print_row(const std::string& name, const Result& result) {
  std::printf("%-12s%12td%10lld%9.1f", name.c_str(), result.parameters, static_cast<long long>(result.updates),
              result.seconds);
  if (result.updates > 0) {
    std::printf("%12.3f", result.validation);
  } else {
    std::printf("%12s", "");
  }
  std::printf("%10.3f%10.3f\n", result.test.squared, result.test.absolute);
  std::fflush(stdout);
}

/// Some of what was read and all that came, in the last channel.
stepscan::Curve truth(const Series& series, const Settings& settings) {
  stepscan::Curve curve{"truth", {}, {}};
  const Index row = shown_row(series, settings), before = std::min<Index>(settings.lookback, 96);
  for (Index t = -before; t < settings.horizon; ++t) {
    curve.add(static_cast<double>(t), static_cast<double>(series(row + t, series.channels() - 1)));
  }
  return curve;
}

void run(Arguments arguments) {
  const bool quick = arguments.flag("--quick");
  const std::string path = arguments.word("--data", {}), only = arguments.word("--model", {});
  Settings settings;
  if (quick) {
    settings.lookback = 96;
    settings.width = 16;
    settings.batch = 16;
    settings.learning_rate = 5e-3;
    settings.evaluate_every = 50;
  }
  const Index horizon = arguments.number("--horizon", quick ? 24 : 0, 0, 2000);
  settings.updates = arguments.number("--updates", quick ? 400 : 2000, 100, 1 << 30);
  settings.seed = arguments.seed();
  settings.folder = arguments.word("--svg", {});
  static_cast<void>(arguments.words(0));
  if (!settings.folder.empty()) std::filesystem::create_directories(settings.folder);

  const Series series = path.empty() ? Series::invent(quick ? 2000 : 14'400) : Series::read(path);
  const std::vector<Index> horizons =
      horizon > 0 ? std::vector<Index>{horizon} : std::vector<Index>{24, 48, 168, 336, 720};
  const Index longest = horizons.back();
  if (series.training(settings.lookback).windows(longest) < 1 || series.test().windows(longest) < 1) {
    stepscan::fail<stepscan::ArgumentError>("--horizon: expected less than a fifth of the " +
                                            std::to_string(series.rows()) + " rows, found " + std::to_string(longest));
  }
  std::printf("%td rows of %td channels; %td are read; threads: %d\n", series.rows(), series.channels(),
              settings.lookback, stepscan::max_threads());
  constexpr double learnt = 0.2;
  Failures failures;
  for (const Index rows : horizons) {
    settings.horizon = rows;
    const std::string title = "horizon " + std::to_string(rows);
    std::printf("\n%-12s%12s%10s%9s%12s%10s%10s\n", title.c_str(), "parameters", "updates", "seconds", "validation",
                "test MSE", "test MAE");
    stepscan::CurvePlot curves{"Validation, " + title, "update", "mean squared error", {}};
    stepscan::CurvePlot forecasts{
        series.name(series.channels() - 1) + ", " + title, "row", "scaled value", {truth(series, settings)}};
    if (only.empty()) {
      for (const Entry& entry : plain_baselines()) print_row(entry.name, entry.run(series, settings));
    }
    for (const Entry& entry : trained_models()) {
      if (!only.empty() && entry.name != only) continue;
      Result result = entry.run(series, settings);
      print_row(entry.name, result);
      result.curve.name = result.forecast.name = entry.name;
      curves.curves.push_back(std::move(result.curve));
      forecasts.curves.push_back(std::move(result.forecast));
      failures.add_unless(result.test.squared < learnt, entry.name);
    }
    if (curves.curves.empty()) {
      stepscan::fail<stepscan::ArgumentError>("--model: expected linear, s4d or attention, found '" + only + "'");
    }
    if (settings.folder.empty()) continue;
    curves.save(settings.folder + "/curves-" + std::to_string(rows) + ".svg");
    forecasts.save(settings.folder + "/forecast-" + std::to_string(rows) + ".svg");
  }
  if (quick && path.empty()) failures.report("expected a test MSE below 0.2, found more for ");
}

}  // namespace

int main(int count, char** values) { return examples::run_program("stepscan_forecast", usage, count, values, run); }
