#pragma once

#include <cmath>
#include <cstdio>
#include <numeric>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/glu_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/classifier_backward.hpp>
#include <stepscan/train/curve_plot.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <stepscan/train/sequence_gradient.hpp>

#include "../support/training_run.hpp"
#include "image_reader.hpp"

namespace examples {

struct ImageTraining {
  int epochs = 10;  ///< runs through the images
  Index shift = 1;  ///< pixels by which an image is moved at most, in both directions
  std::uint64_t seed = 1;
  std::string folder;  ///< for a log and curves; empty: none are written
};

/// Batches of images in an order that is new in every run through them, each image moved a little: pure functions of
/// the seed and the batch's number.
class ShuffledImages {
 public:
  static constexpr Index batch = 32;

  Images::Pixels pixels;
  stepscan::Tensor<std::int32_t, Dynamic, Dynamic> labels;

  /// Throws ArgumentError when there are fewer images with labels than a batch has.
  ShuffledImages(const Images& images, const ImageTraining& how)
      : pixels(batch, images.pixels.extent(1), Index{1}), labels(batch, Index{1}), images_(images), how_(how) {
    if (images.labels.size() < static_cast<std::size_t>(batch)) {
      stepscan::fail<stepscan::ArgumentError>("training: expected at least " + std::to_string(batch) +
                                              " images with labels, found " + std::to_string(images.labels.size()));
    }
  }

  /// In one run through the images; those left over take their turn in the next.
  [[nodiscard]] std::int64_t batches() const { return static_cast<std::int64_t>(images_.labels.size()) / batch; }

  void draw(std::int64_t number) {
    if (const std::int64_t epoch = number / batches(); epoch != epoch_) shuffle(epoch_ = epoch);
    stepscan::Random random(how_.seed + 1, static_cast<std::uint64_t>(number));
    const auto some = [&] {
      return static_cast<Index>(random.below(static_cast<std::uint32_t>(2 * how_.shift + 1))) - how_.shift;
    };
    for (Index b = 0; b < batch; ++b) {
      const Index image = order_[static_cast<std::size_t>(number % batches() * batch + b)];
      const Index down = some(), right = some();
      copy_moved(image, down, right, b);
      labels(b, 0) = images_.labels[static_cast<std::size_t>(image)];
    }
  }

 private:
  void shuffle(std::int64_t epoch) {
    stepscan::Random random(how_.seed, static_cast<std::uint64_t>(epoch));
    order_.resize(images_.labels.size());
    std::iota(order_.begin(), order_.end(), Index{0});
    for (std::size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[random.below(static_cast<std::uint32_t>(i))]);
    }
  }

  void copy_moved(Index image, Index down, Index right, Index b) {
    const Index columns = images_.columns, rows = pixels.extent(1) / columns;
    for (Index i = 0; i < rows * columns; ++i) {
      const Index row = i / columns - down, column = i % columns - right;
      const bool inside = row >= 0 && row < rows && column >= 0 && column < columns;
      pixels(b, i, 0) = inside ? images_.pixels(image, row * columns + column, 0) : -1.0F;
    }
  }

  const Images& images_;
  ImageTraining how_;
  std::int64_t epoch_ = -1;
  std::vector<Index> order_;
};

/// Trains a model by AdamW; prints, after every run through the images, its loss and the share of others it tells
/// right. Returns that share.
template <class Model>
double train_reader(Model& model, const Images& images, const Images& others, const ImageTraining& how) {
  ShuffledImages batches(images, how);
  const std::int64_t updates = how.epochs * batches.batches(), warm_up = std::min<std::int64_t>(50, updates / 2);
  stepscan::AdamW<Model> optimizer(model, {.weight_decay = 0.01});
  stepscan::Trainer trainer(
      model, optimizer, {.updates = updates, .clip_norm = 1, .evaluate_every = batches.batches(), .label = "images"});
  trainer.learning_rate = stepscan::WarmUp{warm_up, stepscan::CosineRate{4e-3, 0, updates - warm_up}};
  trainer.evaluate = [&](const Model& trained) {
    const Logits logits = read_images(prepare(trained), others.pixels, others.pixels.extent(1));
    return 1 - static_cast<double>(count_right(logits, others.labels)) / static_cast<double>(logits.extent(0));
  };
  stepscan::CurvePlot plot{"Images read pixel after pixel", "update", "", {{"loss"}, {"share of others told wrong"}}};
  double loss = 0, wrong = 1;
  const double start = processor_seconds();
  trainer.log = [&, log = log_in(how.folder, "log")](stepscan::TrainingRecord record) {
    record.seconds = processor_seconds() - start;
    log(record);
    loss += record.loss / static_cast<double>(batches.batches());
    if (std::isnan(record.metric)) return;
    wrong = record.metric;
    plot.curves[0].add(static_cast<double>(record.update), loss);
    plot.curves[1].add(static_cast<double>(record.update), wrong);
    std::printf("run %td of %d: loss %.3f, %.1f %% of others right, %.2f minutes of one core\n",
                static_cast<Index>(record.update / batches.batches()), how.epochs, loss, 100 * (1 - wrong),
                record.seconds / 60);
    std::fflush(stdout);
    loss = 0;
  };
  stepscan::DataParallel<Model, stepscan::SequenceGradient<Model>> parallel(ShuffledImages::batch / 2);
  run_to_end(trainer, "images", [&](std::int64_t number, Model& gradient) {
    batches.draw(number);
    const stepscan::SequenceView<const float> pixels = std::as_const(batches.pixels);
    const stepscan::ClassTargets labels(std::as_const(batches.labels));
    return parallel(pixels.batch, gradient, [&](stepscan::Shard shard, Model& part, auto& gradient_of) {
      return gradient_of(model, pixels.members(shard.first, shard.count), labels.middle_rows(shard.first, shard.count),
                         stepscan::CrossEntropy<float>{}, part);
    });
  });
  if (!how.folder.empty()) plot.save(how.folder + "/curves.svg");
  return 1 - wrong;
}

}  // namespace examples
