#pragma once

#include <functional>
#include <stepscan/train/curve_plot.hpp>
#include <string>
#include <vector>

#include "series.hpp"

/// What the units of this example share: what is asked for, what comes out.
namespace examples {

struct Settings {
  Index lookback = 336;         ///< rows read
  Index horizon = 24;           ///< rows forecast
  Index patch = 24;             ///< rows to a patch; they do not overlap
  Index width = 32;             ///< features of a patch inside the encoder
  Index batch = 32;             ///< windows to an update
  double learning_rate = 1e-3;  ///< the highest
  std::int64_t updates = 2000;  ///< at most: training ends when validation has not got better for a while
  std::int64_t evaluate_every = 125;
  std::uint64_t seed = 1;
  std::string folder;  ///< for logs; empty: none are written
};

/// Errors of forecasts, means over all windows, rows and channels.
struct Errors {
  double squared = 0;
  double absolute = 0;
};

struct Result {
  Index parameters = 0;
  std::int64_t updates = 0;  ///< behind which validation was best: those parameters are tested
  double seconds = 0;        ///< of training, validation among them
  double validation = 0;     ///< mean squared error there
  Errors test;
  stepscan::Curve curve;     ///< validation over updates
  stepscan::Curve forecast;  ///< of the last channel, for the window in the middle of the test rows
};

/// A way to forecast.
struct Entry {
  std::string name;
  std::function<Result(const Series&, const Settings&)> run;
};

/// The last value, repeated; a linear map of the window less its last value, by ridge regression (closed form).
std::vector<Entry> plain_baselines();
/// Trained by AdamW in a Forecaster: a linear map, an S4D, attention.
std::vector<Entry> trained_models();

}  // namespace examples
