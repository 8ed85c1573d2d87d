#pragma once

#include <stepscan/train/losses.hpp>

#include "forecast.hpp"

namespace examples {

using Forecasts = stepscan::SequenceView<float>;

/// The errors of every `every`-th forecast of `settings.horizon` rows that begins and ends inside a part of the
/// series. `forecast(x, y)` writes y [windows, horizon, channels] from x [windows, lookback, channels].
template <class Forecast>
Errors errors_of(const Series& series, Series::Part part, Index every, const Settings& settings, Forecast&& forecast) {
  constexpr Index at_once = 64;
  const Index count = (part.windows(settings.horizon) + every - 1) / every;
  stepscan::Tensor<float, Dynamic, Dynamic, Dynamic> memory(at_once, settings.horizon, series.channels());
  stepscan::LossSum squared, absolute;
  for (Index first = 0; first < count; first += at_once) {
    const Index windows = std::min(at_once, count - first), row = part.first + first * every;
    const Forecasts y(memory.data(), windows, settings.horizon, series.channels());
    forecast(series.windows(row - settings.lookback, windows, settings.lookback, every), y);
    const auto truth = series.windows(row, windows, settings.horizon, every);
    squared += stepscan::Mse<float>{}.sum(y, truth, {});
    absolute += stepscan::Mae<float>{}.sum(y, truth, {});
  }
  return {squared.mean(), absolute.mean()};
}

/// The first row of the forecast that is drawn.
inline Index shown_row(const Series& series, const Settings& settings) {
  return series.test().first + series.test().windows(settings.horizon) / 2;
}

/// What is known once a forecaster is there: its errors on all test windows, and one forecast to draw.
template <class Forecast>
void test_forecaster(const Series& series, const Settings& settings, Forecast&& forecast, Result& result) {
  result.test = errors_of(series, series.test(), 1, settings, forecast);
  const Index row = shown_row(series, settings), channel = series.channels() - 1;
  stepscan::Tensor<float, Dynamic, Dynamic, Dynamic> y(1, settings.horizon, series.channels());
  forecast(series.windows(row - settings.lookback, 1, settings.lookback), Forecasts(y));
  for (Index t = 0; t < settings.horizon; ++t) {
    result.forecast.add(static_cast<double>(t), static_cast<double>(y(0, t, channel)));
  }
}

}  // namespace examples
