#pragma once

#include <chrono>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/models/residual.hpp>
#include <stepscan/train/clipping.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <stepscan/train/sequence_gradient.hpp>
#include <stepscan/train/trainer.hpp>

#include "../support/seconds.hpp"
#include "parity.hpp"

namespace examples {

template <class Mixer>
using Network =
    stepscan::Sequential<stepscan::Linear<float, input_features, model_features>,
                         stepscan::Residual<stepscan::RmsNorm<float, model_features>, Mixer>,
                         stepscan::RmsNorm<float, model_features>, stepscan::Linear<float, model_features, classes>>;

struct Score {
  double loss = 0;
  double accuracy = 0;
};

/// On sequences that training never sees.
template <class Model>
Score score(const Model& model, const Settings& settings, Index time) {
  constexpr Index members = 256;
  const Batch batch = make_batch(settings.task, members, time, settings.seed + 1000, 0);
  stepscan::Tensor<float, Dynamic, Dynamic, Dynamic> y(members, time, classes);
  auto state = model.initial_state(members);
  model.scan(state, batch.x, y);
  Index right = 0;
  for (Index b = 0; b < members; ++b) {
    for (Index t = 0; t < time; ++t) right += batch.targets(b, t) == (y(b, t, 1) > y(b, t, 0) ? 1 : 0);
  }
  const stepscan::LossSum loss = stepscan::CrossEntropy<float>{.ignore_index = -1}.sum(y, batch.targets, {});
  return {loss.mean(), static_cast<double>(right) / static_cast<double>(loss.count)};
}

/// How long the sequences of update number `number` are. One answer a sequence is little to learn from: the further
/// apart the symbols, the later it shows that both matter.
inline Index time_of(const Settings& settings, std::int64_t number) {
  constexpr Index shortest = 8;
  if (settings.task == Task::parity || number >= settings.growing) return settings.time;
  return shortest + (settings.time - shortest) * static_cast<Index>(number) / static_cast<Index>(settings.growing);
}

/// `prepare(mixer)` changes what the mixer starts with.
template <class Mixer, class Prepare>
Result train_network(Mixer mixer, const Settings& settings, Prepare&& prepare) {
  using Model = Network<Mixer>;
  constexpr Index members = 64, shard_members = 16;
  constexpr double solved = 0.01;
  const auto start = std::chrono::steady_clock::now();
  Model model({}, stepscan::Residual<stepscan::RmsNorm<float, model_features>, Mixer>({}, std::move(mixer)), {}, {});
  stepscan::initialize(model, settings.seed);
  prepare(std::get<1>(model.template get<1>().inner.layers));

  stepscan::AdamW<Model> optimizer(model, {.weight_decay = 0});
  stepscan::Trainer trainer(model, optimizer,
                            {.updates = settings.updates, .clip_norm = 1, .evaluate_every = 50, .target = solved});
  trainer.learning_rate =
      stepscan::WarmUp{50, stepscan::CosineRate{0.01, 0.001, std::max<std::int64_t>(settings.updates - 50, 1)}};
  trainer.evaluate = [&](const Model& trained) { return score(trained, settings, settings.time).loss; };
  stepscan::DataParallel<Model, stepscan::SequenceGradient<Model>> parallel(shard_members);
  trainer.run([&](std::int64_t number, Model& gradient) {
    const Batch batch = make_batch(settings.task, members, time_of(settings, number), settings.seed,
                                   static_cast<std::uint64_t>(number));
    const stepscan::SequenceView<const float> x(batch.x);
    const stepscan::ClassTargets targets(batch.targets);
    return parallel(members, gradient, [&](stepscan::Shard shard, Model& part, auto& sequence) {
      return sequence(model, x.members(shard.first, shard.count), targets.middle_rows(shard.first, shard.count),
                      stepscan::CrossEntropy<float>{.ignore_index = -1}, part);
    });
  });

  const Score same = score(model, settings, settings.time);
  return {stepscan::element_count(model),
          trainer.progress.updates,
          seconds_since(start),
          same.loss,
          same.accuracy,
          score(model, settings, 4 * settings.time).accuracy};
}

/// `make()` is the layer to train.
template <class Make, class Prepare>
Entry entry(std::string name, bool has_negative_feedback, Make make, Prepare prepare) {
  return {std::move(name), has_negative_feedback,
          [make, prepare](const Settings& settings) { return train_network(make(), settings, prepare); }};
}
template <class Make>
Entry entry(std::string name, bool has_negative_feedback, Make make) {
  return entry(std::move(name), has_negative_feedback, make, [](auto&) {});
}

}  // namespace examples
