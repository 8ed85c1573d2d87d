#pragma once

#include <algorithm>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/models/classifier.hpp>
#include <stepscan/models/s4_block.hpp>
#include <stepscan/models/sequential.hpp>

#include "image_files.hpp"

/// Classifiers of images that are read pixel after pixel (sequential MNIST, arXiv 2111.00396, section 4.2): two blocks
/// over the pixels, the mean over all pixels read, one linear map.
namespace examples {

constexpr Index image_width = 64, image_classes = 10;

using S4dBlock = stepscan::S4Block<stepscan::S4d<float, image_width, 64>>;
using LstmBlock =
    stepscan::Residual<stepscan::LayerNorm<float, image_width>, stepscan::Lstm<float, image_width, image_width>>;

template <class Block>
using ImageReader = stepscan::Classifier<stepscan::Sequential<stepscan::Linear<float, 1, image_width>, Block, Block,
                                                              stepscan::LayerNorm<float, image_width>>,
                                         image_classes>;

using Logits = stepscan::Tensor<float, Dynamic, Dynamic>;

/// What all pixels [count, time, 1] speak for, [count, classes], by a plan that reads the first `at_once` of them in
/// one scan and the rest one by one.
template <class Plan>
Logits read_images(const Plan& plan, const stepscan::SequenceView<const float>& all, Index at_once) {
  constexpr Index most = 50;  // images in lockstep, whose features the caches hold longer than those of all
  using Features = stepscan::Tensor<float, Dynamic, Dynamic, image_width>;
  Logits logits(all.batch, image_classes);
  stepscan::Workspace workspace;
  for (Index first = 0; first < all.batch; first += most) {
    const auto pixels = all.members(first, std::min(most, all.batch - first));
    auto state = plan.encoder.initial_state(pixels.batch);
    Features features(pixels.batch, at_once, image_width), feature(pixels.batch, 1, image_width);
    Logits mean(pixels.batch, image_width);
    const stepscan::Pool<stepscan::Pooling::mean, float> pool{mean};
    pool.begin();
    plan.encoder.scan(state, pixels.slice(0, at_once), features, workspace);
    pool.add(features);
    for (Index t = at_once; t < pixels.time; ++t) {
      plan.encoder.step(state, pixels.frame(t), stepscan::SequenceView<float, image_width>(feature).frame(0));
      pool.add(feature);
    }
    pool.finish(pixels);
    stepscan::NoState none;
    plan.head.step(none, pool.y, stepscan::MatrixView<float>(logits).middle_rows(first, pixels.batch));
  }
  return logits;
}

/// Of how many images the largest logit is that of the label.
[[nodiscard]] inline Index count_right(const Logits& logits, const std::vector<int>& labels) {
  Index right = 0;
  for (Index i = 0; i < logits.extent(0); ++i) {
    const float* row = &logits(i, 0);
    if (std::max_element(row, row + logits.extent(1)) - row == labels[static_cast<std::size_t>(i)]) ++right;
  }
  return right;
}

}  // namespace examples
