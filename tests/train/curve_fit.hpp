#pragma once

#include <models/leaky.hpp>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/models/sequential.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/losses.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/sequence_gradient.hpp>
#include <support/sequences.hpp>

/// A small task for the tests of training: sums of sequences of several lengths, batches made from their number.
namespace stepscan::testing {

using FitModel =
    Sequential<Linear<double, 2, 5>, Leaky<double, 5>, Activation<double, 5, TanhActivation>, Linear<double, 5, 1>>;
using FitOptimizer = AdamW<FitModel>;
using FitParallel = DataParallel<FitModel, SequenceGradient<FitModel>>;

[[nodiscard]] inline FitModel fit_model(std::uint64_t seed = 1) {
  FitModel model;
  initialize(model, seed);
  return model;
}

struct FitBatch {
  Sequence<double> x, targets;
  std::vector<Index> lengths;

  [[nodiscard]] SequenceView<const double, 2> input() const { return SequenceView<const double, 2>(x).ragged(lengths); }
};

[[nodiscard]] inline FitBatch fit_batch(std::int64_t number, Index members = 7, Index time = 6) {
  FitBatch batch{random_sequence<double>(members, time, 2, static_cast<std::uint64_t>(number) + 10),
                 Sequence<double>(members, time, 1),
                 {}};
  for (Index b = 0; b < members; ++b) {
    batch.lengths.push_back((b * 5 + 3) % (time + 1));
    double sum = 0;
    for (Index t = 0; t < time; ++t) batch.targets(b, t, 0) = sum = 0.8 * sum + batch.x(b, t, 0) - batch.x(b, t, 1);
  }
  return batch;
}

/// Adds the gradient of a batch's squared errors and returns their sum.
[[nodiscard]] inline auto fit_gradient(const FitModel& model, FitParallel& parallel) {
  return [&](std::int64_t number, FitModel& gradient) {
    const FitBatch batch = fit_batch(number);
    return parallel(batch.x.extent(0), gradient,
                    [&](Shard shard, FitModel& part, SequenceGradient<FitModel>& sequence) {
                      const SequenceView<const double> targets(batch.targets);
                      return sequence(model, batch.input().members(shard.first, shard.count),
                                      targets.members(shard.first, shard.count), Mse<double>{}, part);
                    });
  };
}

}  // namespace stepscan::testing
