#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <stepscan/train/trainer.hpp>
#include <string>

#include "seconds.hpp"

/// What stands around a Trainer in every example that trains.
namespace examples {

/// As many updates as fill so many seconds of one core, by the time of a few gradients.
template <class Model, class AddGradient>
[[nodiscard]] std::int64_t updates_within(double seconds, const Model& model, int trials, AddGradient&& add_gradient) {
  Model gradient = stepscan::zeros_like(model);
  static_cast<void>(add_gradient(0, gradient));
  const double start = processor_seconds();
  for (int i = 0; i < trials; ++i) static_cast<void>(add_gradient(i, gradient));
  return std::max<std::int64_t>(static_cast<std::int64_t>(seconds * trials / (processor_seconds() - start)), 1);
}

/// The log FOLDER/NAME.csv of a run that goes on behind so many updates; without a folder it writes nothing.
[[nodiscard]] inline std::function<void(const stepscan::TrainingRecord&)> log_in(const std::string& folder,
                                                                                 const std::string& name,
                                                                                 std::int64_t resume_at = 0) {
  if (folder.empty()) return [](const stepscan::TrainingRecord&) {};
  std::filesystem::create_directories(folder);
  return stepscan::TrainingLog(folder + "/" + name + ".csv", stepscan::LogFormat::csv, resume_at);
}

/// Runs a trainer to its end. Throws Error when the loss became infinite.
template <class Trainer, class AddGradient>
void run_to_end(Trainer& trainer, const std::string& name, AddGradient&& add_gradient) {
  if (trainer.run(add_gradient) == stepscan::TrainingEnd::diverged) {
    stepscan::fail<stepscan::Error>(name + ": the loss became infinite at update " +
                                    std::to_string(trainer.progress.updates + 1));
  }
}

/// Which of several models have not learnt what a quick run expects of them.
class Failures {
 public:
  void add_unless(bool learnt, const std::string& name) {
    if (!learnt) names_ += (names_.empty() ? "" : ", ") + name;
  }
  /// Throws Error when there are some.
  void report(const std::string& expected) const {
    if (!names_.empty()) stepscan::fail<stepscan::Error>(expected + names_);
  }

 private:
  std::string names_;
};

}  // namespace examples
