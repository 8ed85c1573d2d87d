#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "../support/seconds.hpp"
#include "evaluation.hpp"

namespace {

using namespace examples;

/// The window's last row, for as long as is asked.
void repeat_last(const stepscan::SequenceView<const float>& x, const Forecasts& y) {
  for (Index b = 0; b < y.batch; ++b) {
    for (Index t = 0; t < y.time; ++t) std::copy_n(x.token(b, x.time - 1), Index{y.features}, y.token(b, t));
  }
}

Result run_last(const Series& series, const Settings& settings) {
  Result result;
  test_forecaster(series, settings, repeat_last, result);
  return result;
}

/// Rows: training windows of one channel, their rows of the series from `first` on, less the last value that is read.
Eigen::MatrixXd differences(const Series& series, const Settings& settings, Index channel, Index first, Index time) {
  const Index count = series.training(settings.lookback).windows(settings.horizon);
  Eigen::MatrixXd matrix(count, time);
  for (Index i = 0; i < count; ++i) {
    const float last = series(i + settings.lookback - 1, channel);
    for (Index t = 0; t < time; ++t) matrix(i, t) = static_cast<double>(series(i + first + t, channel) - last);
  }
  return matrix;
}

/// W = (X^T X + penalty)^-1 X^T Y over the training windows of all channels.
Eigen::MatrixXf ridge_map(const Series& series, const Settings& settings) {
  constexpr double penalty = 100;
  const Index n = settings.lookback;
  Eigen::MatrixXd normal = Eigen::MatrixXd::Identity(n, n) * penalty;
  Eigen::MatrixXd right = Eigen::MatrixXd::Zero(n, settings.horizon);
  for (Index c = 0; c < series.channels(); ++c) {
    const Eigen::MatrixXd x = differences(series, settings, c, 0, n);
    normal.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
    right.noalias() += x.transpose() * differences(series, settings, c, n, settings.horizon);
  }
  const Eigen::MatrixXd map = normal.selfadjointView<Eigen::Lower>().llt().solve(right);
  return map.cast<float>();
}

Result run_ridge(const Series& series, const Settings& settings) {
  const auto start = std::chrono::steady_clock::now();
  const Eigen::MatrixXf map = ridge_map(series, settings);
  Result result;
  result.parameters = map.size();
  result.seconds = seconds_since(start);
  const auto forecast = [&](const stepscan::SequenceView<const float>& x, const Forecasts& y) {
    repeat_last(x, y);
    Eigen::RowVectorXf window(x.time);
    for (Index b = 0; b < y.batch; ++b) {
      for (Index c = 0; c < y.features; ++c) {
        for (Index t = 0; t < x.time; ++t) window[t] = x.token(b, t)[c] - x.token(b, x.time - 1)[c];
        const Eigen::RowVectorXf added = window * map;
        for (Index t = 0; t < y.time; ++t) y.token(b, t)[c] += added[t];
      }
    }
  };
  test_forecaster(series, settings, forecast, result);
  return result;
}

}  // namespace

std::vector<examples::Entry> examples::plain_baselines() { return {{"last value", run_last}, {"ridge", run_ridge}}; }
