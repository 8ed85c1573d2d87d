#pragma once

#include <stepscan/models/pointer_network_backward.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>

#include "../support/run_folder.hpp"
#include "../support/training_run.hpp"
#include "evaluation.hpp"
#include "lessons.hpp"
#include "solver.hpp"

/// Training of a pointer network on random points, by teacher forcing (arXiv 1506.03134, equation 2).
namespace examples {

struct TrainingSettings {
  Task task = Task::hull;
  Index least = 5;  ///< points of a set
  Index most = 50;
  Index hidden = 128;
  Index batch = 128;  ///< sets to an update
  Index shard = 32;   ///< of them that have equally many points
  double learning_rate = 1e-3;
  std::int64_t updates = 0;  ///< of the parameters; 0: as many as `seconds` are enough for
  double seconds = 0;        ///< of training, of one core
  std::uint64_t seed = 1;
  std::string folder;  ///< for the log and checkpoints; empty: none are written
};

/// The gradient of the summed loss of some lessons, forward and backward in one call, with the memory both need.
class LessonGradient {
 public:
  stepscan::LossSum operator()(const Network& network, const Lessons& lessons, Network& gradient) {
    using Steps = stepscan::Training<Network>;
    const stepscan::SequenceView<const float> x(lessons.sets.points);
    const auto start = network.initial_state(x.batch);
    Steps::forward(network, start, x, lessons.targets(), lesson_, tape_);
    stepscan::PointerLessonCotangents<float> cotangents{
        {}, static_cast<float>(lesson_.count), network.initial_state(x.batch), network.initial_state(x.batch)};
    auto dstart = network.initial_state(x.batch);
    dx_ = decltype(dx_)(x.batch, x.time, x.features);
    Steps::backward(network, tape_, lesson_, cotangents, gradient, dx_, dstart);
    return {static_cast<double>(lesson_.loss) * static_cast<double>(lesson_.count), lesson_.count};
  }

 private:
  stepscan::PointerLesson<float> lesson_;
  stepscan::Training<Network>::Tape tape_;
  stepscan::Tensor<float, stepscan::Dynamic, stepscan::Dynamic, stepscan::Dynamic> dx_;
};

/// Batches of lessons, a pure function of seed and number: the sets of a shard have equally many points, as many as the
/// shard draws.
class LessonBatches {
 public:
  explicit LessonBatches(const TrainingSettings& settings) : settings_(settings), parallel_(settings.shard) {}

  /// Adds the gradient of the summed loss of a batch.
  stepscan::LossSum operator()(const Network& network, std::int64_t number, Network& gradient) {
    return parallel_(settings_.batch, gradient, [&](stepscan::Shard shard, Network& part, LessonGradient& add) {
      constexpr std::uint64_t first_stream = 16;  // tests and weights have those before
      const auto place = static_cast<std::uint64_t>(number * settings_.batch + shard.first);
      stepscan::Random random(settings_.seed, first_stream + place);
      const auto sizes = static_cast<std::uint32_t>(settings_.most - settings_.least + 1);
      const Index size = settings_.least + static_cast<Index>(random.below(sizes));
      return add(network, random_lessons(settings_.task, shard.count, size, random), part);
    });
  }

 private:
  TrainingSettings settings_;
  stepscan::DataParallel<Network, LessonGradient> parallel_;
};

/// What a run has come to.
struct TrainingResult {
  double loss = 0;       ///< per target, over the last updates
  double shortfall = 0;  ///< on sets that training has not seen
};

/// Trains the network. A run in a folder goes on from its last checkpoint.
inline TrainingResult train(Network& network, const TrainingSettings& settings) {
  LessonBatches batches(settings);
  const auto add_gradient = [&](std::int64_t number, Network& gradient) { return batches(network, number, gradient); };
  const std::int64_t updates =
      settings.updates > 0 ? settings.updates : updates_within(settings.seconds, network, 20, add_gradient);
  stepscan::Adam<Network> optimizer(network, {});
  constexpr std::int64_t evaluations = 20;
  stepscan::Trainer trainer(network, optimizer,
                            {.updates = updates,
                             .clip_norm = 1,
                             .evaluate_every = std::max<std::int64_t>(updates / evaluations, 1),
                             .label = name_of(settings.task)});
  const std::int64_t warm_up = std::min<std::int64_t>(updates / 20 + 1, 200);
  trainer.learning_rate = stepscan::WarmUp{
      warm_up, stepscan::CosineRate{settings.learning_rate, settings.learning_rate / 100, updates - warm_up}};
  constexpr Index test_sets = 256;
  const PointSets test =
      random_point_sets(settings.task, test_sets, (settings.least + settings.most) / 2, settings.seed);
  stepscan::Workspace workspace;
  trainer.evaluate = [&](const Network& trained) {
    return shortfall(settings.task,
                     evaluate(settings.task, test, solve(settings.task, trained, test, 1, workspace).slots));
  };

  const RunFolder folder(settings.folder, stepscan::Kept{"model", network}, stepscan::Kept{"optimizer", optimizer},
                         stepscan::Kept{"run", trainer.progress});
  TrainingResult result;
  const double start = processor_seconds();
  trainer.log = [&, log = log_in(settings.folder, "log", trainer.progress.updates)](stepscan::TrainingRecord record) {
    record.seconds = processor_seconds() - start;
    log(record);
    result.loss = result.loss == 0 ? record.loss : 0.98 * result.loss + 0.02 * record.loss;
    if (std::isnan(record.metric)) return;
    result.shortfall = record.metric;
    std::printf("update %8td of %td: %8.1f s, loss %.4f, shortfall %.4f\n", static_cast<Index>(record.update),
                static_cast<Index>(updates), record.seconds, result.loss, result.shortfall);
    std::fflush(stdout);
  };
  trainer.after_update = [&](const stepscan::TrainingProgress& progress) {
    folder.save_every(1000, progress.updates, updates);
  };
  run_to_end(trainer, name_of(settings.task), add_gradient);
  return result;
}

}  // namespace examples
