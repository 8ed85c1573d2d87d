#pragma once

#include <algorithm>
#include <numeric>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/glu_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/train/clipping.hpp>
#include <stepscan/train/losses.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <vector>

#include "image_files.hpp"
#include "image_reader.hpp"

namespace examples {

/// Trains an ImageReader by AdamW on the cross entropy of its answers, in batches of shuffled images.
class ImageTrainer {
  static constexpr Index batch = 25, width = ImageReader::width;
  using Sequence = stepscan::Tensor<float, Dynamic, Dynamic, Dynamic>;

 public:
  /// For so many runs through the images, of which there are at least `batch`, with labels. Throws ArgumentError.
  ImageTrainer(ImageReader& model, const Images& images, int epochs)
      : model_(model),
        images_(images),
        gradient_(stepscan::zeros_like(model)),
        optimizer_(model, {.weight_decay = 0.01}),
        order_(images.labels.size()),
        pixels_(batch, images.pixels.extent(1), Index{1}),
        features_(batch, images.pixels.extent(1), width),
        mean_(batch, Index{1}, width),
        logits_(batch, Index{1}, ImageReader::classes),
        dpixels_(pixels_),
        dfeatures_(features_),
        dmean_(mean_),
        dlogits_(logits_),
        targets_(batch, Index{1}),
        start_(model.body.initial_state(batch)),
        dstart_(start_) {
    if (images.labels.size() < static_cast<std::size_t>(batch)) {
      stepscan::fail<stepscan::ArgumentError>("training: expected at least " + std::to_string(batch) +
                                              " images with labels, found " + std::to_string(images.labels.size()));
    }
    std::iota(order_.begin(), order_.end(), Index{0});
    rate_.then.steps = epochs * static_cast<std::int64_t>(images.labels.size()) / batch - rate_.steps;
  }

  /// One run through the images in an order of its own; returns the mean loss.
  double run_epoch(stepscan::Random& random) {
    for (std::size_t i = order_.size(); i > 1; --i) {
      const auto other = static_cast<std::size_t>(random.uniform(0, static_cast<double>(i)));
      std::swap(order_[i - 1], order_[std::min(other, i - 1)]);
    }
    double sum = 0;
    const Index steps = static_cast<Index>(order_.size()) / batch;
    for (Index i = 0; i < steps; ++i) sum += step(order_.data() + i * batch);
    return sum / static_cast<double>(steps);
  }

 private:
  /// One update on the images chosen; returns their loss.
  double step(const Index* chosen) {
    const Index time = pixels_.extent(1);
    for (Index b = 0; b < batch; ++b) {
      std::copy_n(&images_.pixels(chosen[b], 0, 0), time, &pixels_(b, 0, 0));
      targets_(b, 0) = images_.labels[static_cast<std::size_t>(chosen[b])];
    }
    auto state = start_;
    model_.body.forward(state, pixels_, features_, body_tape_);
    mean_.fill(0);
    for (Index b = 0; b < batch; ++b) {
      for (Index t = 0; t < time; ++t) {
        for (Index i = 0; i < width; ++i) mean_(b, 0, i) += features_(b, t, i) / static_cast<float>(time);
      }
    }
    stepscan::NoState none;
    model_.head.forward(none, mean_, logits_, head_tape_);
    const double loss = loss_(logits_, targets_, dlogits_);

    model_.head.backward(head_tape_, dlogits_, none, gradient_.head, dmean_, none);
    for (Index b = 0; b < batch; ++b) {
      for (Index t = 0; t < time; ++t) {
        for (Index i = 0; i < width; ++i) dfeatures_(b, t, i) = dmean_(b, 0, i) / static_cast<float>(time);
      }
    }
    model_.body.backward(body_tape_, dfeatures_, start_, gradient_.body, dpixels_, dstart_);  // nothing follows: zeros
    stepscan::clip_by_global_norm(gradient_, 1.0);
    optimizer_.step(model_, gradient_, rate_(taken_++));
    stepscan::clear_tree(gradient_);
    return loss;
  }

  ImageReader& model_;
  const Images& images_;
  ImageReader gradient_;
  stepscan::AdamW<ImageReader> optimizer_;
  stepscan::CrossEntropy<float> loss_;
  stepscan::WarmUp<stepscan::CosineRate> rate_{50, {4e-3, 0, 1}};
  std::int64_t taken_ = 0;
  std::vector<Index> order_;
  Sequence pixels_, features_, mean_, logits_, dpixels_, dfeatures_, dmean_, dlogits_;
  stepscan::Tensor<std::int32_t, Dynamic, Dynamic> targets_;
  ImageReader::Body::State start_, dstart_;
  stepscan::Tape<ImageReader::Body> body_tape_;
  stepscan::Tape<ImageReader::Head> head_tape_;
};

}  // namespace examples
