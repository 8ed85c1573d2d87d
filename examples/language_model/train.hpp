#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stepscan/layers/dropout_backward.hpp>
#include <stepscan/layers/swiglu_backward.hpp>
#include <stepscan/models/generate.hpp>
#include <stepscan/models/repeat.hpp>
#include <stepscan/models/transformer.hpp>
#include <stepscan/train/data_parallel.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <stepscan/train/token_gradient.hpp>

#include "../support/run_folder.hpp"
#include "../support/training_run.hpp"
#include "language_model.hpp"

namespace examples {

using Norm = stepscan::RmsNorm<float, Dynamic>;
/// 12 width^2 parameters, whatever the mixer takes of them. In training a part of what either half adds is dropped.
template <class Mixer>
auto make_block(Mixer mixer, const Settings& settings) {
  const Index width = mixer.input_size();
  const Index left = 12 * width * width - stepscan::element_count(mixer);
  const Index hidden = std::max<Index>((left / (3 * width) + 2) / 4 * 4, 4);
  const stepscan::Dropout<float, Dynamic> dropout(width, settings.dropout);
  return stepscan::transformer_block(
      stepscan::Sequential(std::move(mixer), dropout),
      stepscan::Sequential(stepscan::SwiGlu<float, Dynamic, Dynamic>(width, hidden), dropout));
}

/// Windows of the text, each with the characters that follow.
struct Windows {
  stepscan::Tensor<Index, Dynamic, Dynamic, Dynamic> ids;
  stepscan::Tensor<std::int32_t, Dynamic, Dynamic> targets;

  Windows(Index count, Index time) : ids(count, time, 1), targets(count, time) {}
  void set(Index b, const std::vector<Index>& text, Index start) {
    for (Index t = 0; t < ids.extent(1); ++t) {
      ids(b, t, 0) = text[static_cast<std::size_t>(start + t)];
      targets(b, t) = static_cast<std::int32_t>(text[static_cast<std::size_t>(start + t + 1)]);
    }
  }
};

/// Windows that start anywhere, a pure function of seed and number.
inline Windows random_windows(const Text& text, const Settings& settings, std::int64_t number) {
  stepscan::Random random(settings.seed, static_cast<std::uint64_t>(number));
  Windows windows(settings.batch, settings.time);
  const auto starts = static_cast<std::uint32_t>(text.training.size() - static_cast<std::size_t>(settings.time));
  for (Index b = 0; b < settings.batch; ++b) windows.set(b, text.training, random.below(starts));
  return windows;
}

/// Bits per character of the first `characters` of the text, read as a few streams that carry their states.
template <class Model>
double bits_per_character(const Model& model, const std::vector<Index>& text, Index characters) {
  constexpr Index streams = 4, time = 128;
  const Index length = (std::min(characters, static_cast<Index>(text.size())) - 1) / streams;
  auto state = model.initial_state(streams);
  stepscan::Workspace workspace;
  stepscan::LossSum sum;
  for (Index start = 0; start < length; start += time) {
    const Index count = std::min(time, length - start);
    Windows windows(streams, count);
    for (Index b = 0; b < streams; ++b) windows.set(b, text, b * length + start);
    stepscan::Tensor<float, Dynamic, Dynamic, Dynamic> logits(streams, count, model.vocabulary());
    model.scan(state, windows.ids, logits, workspace);
    sum += stepscan::CrossEntropy<float>{}.sum(logits, windows.targets, {});
  }
  return sum.mean() / std::numbers::ln2;
}

/// Characters that follow a first one, at temperature 0.8.
template <class Model>
std::string generate_text(const Model& model, const Text& text, const Settings& settings) {
  const auto plan = stepscan::prepare(model);
  auto state = plan.initial_state(1);
  stepscan::Workspace workspace;
  stepscan::Tensor<Index, 1, 1, 1> prompt;
  prompt[0] = text.validation.front();
  const stepscan::Generation wanted{
      .count = settings.generated, .sampling = {.temperature = 0.8}, .seed = settings.seed};
  std::string sample;
  stepscan::generate_by(plan, state, prompt, wanted, workspace, [&](const stepscan::TokenColumn& ids) {
    sample += text.characters[static_cast<std::size_t>(ids(0, 0))];
    return true;
  });
  return sample;
}

/// What is left to say of a model that is trained.
template <class Model>
void measure(const Model& model, const Text& text, const Settings& settings, Result& result) {
  result.parameters = stepscan::element_count(model);
  result.bits = bits_per_character(model, text.validation, static_cast<Index>(text.validation.size()));
  const double start = processor_seconds();
  result.sample = generate_text(model, text, settings);
  result.generated_rate = static_cast<double>(settings.generated) / (processor_seconds() - start);
}

/// Gradients of batches of windows, a pure function of seed and number.
template <class Model>
class WindowGradients {
 public:
  WindowGradients(const Text& text, const Settings& settings)
      : text_(text), settings_(settings), parallel_((settings.batch + 1) / 2) {}

  /// Adds the gradient of the summed loss of batch `number`.
  stepscan::LossSum operator()(const Model& model, std::int64_t number, Model& gradient) {
    const Windows windows = random_windows(text_, settings_, number);
    const stepscan::TokenIds ids(windows.ids);
    const stepscan::ClassTargets targets(windows.targets);
    return parallel_(settings_.batch, gradient, [&](stepscan::Shard shard, Model& part, auto& tokens) {
      auto state = model.initial_state(shard.count);
      stepscan::start_dropout(state, settings_.seed, static_cast<std::uint64_t>(number), shard.first);
      return tokens(model, state, ids.members(shard.first, shard.count), targets.middle_rows(shard.first, shard.count),
                    stepscan::CrossEntropy<float>{}, part);
    });
  }

 private:
  const Text& text_;
  const Settings& settings_;
  stepscan::DataParallel<Model, stepscan::TokenGradient<Model>> parallel_;
};

/// Trains a model and measures it. A run in a folder goes on from its last checkpoint.
template <class Blocks>
Result train_model(const std::string& name, Blocks blocks, const Text& text, const Settings& settings) {
  using Model = stepscan::LanguageModel<float, Dynamic, Dynamic, Blocks>;
  using stepscan::Kept;
  const Index width = blocks.input_size();
  Model model(text.vocabulary(), std::move(blocks), Norm(width));
  stepscan::initialize(model, settings.seed);
  WindowGradients<Model> gradients(text, settings);
  const auto add_gradient = [&](std::int64_t number, Model& gradient) { return gradients(model, number, gradient); };
  const std::int64_t updates =
      settings.updates > 0 ? settings.updates : updates_within(settings.seconds, model, 3, add_gradient);

  stepscan::AdamW<Model> optimizer(model, {.beta2 = 0.99, .weight_decay = settings.weight_decay});
  const std::int64_t warm_up = std::min<std::int64_t>(updates / 10 + 1, 100);
  stepscan::Trainer trainer(model, optimizer,
                            {.updates = updates,
                             .clip_norm = 1,
                             .evaluate_every = std::max<std::int64_t>(updates / settings.evaluations, 1),
                             .label = name});
  trainer.learning_rate = stepscan::WarmUp{
      warm_up, stepscan::CosineRate{settings.learning_rate, settings.learning_rate / 20, updates - warm_up}};
  double start = processor_seconds();
  trainer.evaluate = [&](const Model& trained) {
    const double before = processor_seconds();
    const double bits = bits_per_character(trained, text.validation, 20'000);
    start += processor_seconds() - before;  // the clock of training stands still meanwhile
    return bits;
  };

  Result result;
  result.curve.name = name;
  const RunFolder folder(settings.folder.empty() ? "" : settings.folder + "/" + name, Kept{"model", model},
                         Kept{"optimizer", optimizer}, Kept{"run", trainer.progress}, Kept{"seconds", result.curve.x},
                         Kept{"bits", result.curve.y});
  const std::int64_t first = trainer.progress.updates;
  const double before = result.curve.x.empty() ? 0 : result.curve.x.back();
  double seconds = 0;
  trainer.log = [&, log = log_in(settings.folder, name, first)](stepscan::TrainingRecord record) {
    record.seconds = seconds = processor_seconds() - start;
    log(record);
    const double bits = record.loss / std::numbers::ln2;
    result.training_bits = result.training_bits == 0 ? bits : 0.9 * result.training_bits + 0.1 * bits;
    if (!std::isnan(record.metric)) result.curve.add(before + seconds, record.metric);
  };
  trainer.after_update = [&](const stepscan::TrainingProgress& progress) {
    folder.save_every(200, progress.updates, updates);
  };
  run_to_end(trainer, name, add_gradient);

  const auto trained = static_cast<double>((trainer.progress.updates - first) * settings.batch * settings.time);
  result.trained_rate = seconds > 0 ? trained / seconds : 0;
  result.minutes = (before + seconds) / 60;
  measure(model, text, settings, result);
  return result;
}

/// `make(settings)` is one layer that mixes tokens, twice in the model.
template <class Make>
Entry entry(std::string name, Make make) {
  return {name, [name, make](const Text& text, const Settings& settings) {
            const auto block = make_block(make(settings), settings);
            return train_model(name, stepscan::Repeat<2, std::remove_const_t<decltype(block)>>(block), text, settings);
          }};
}

}  // namespace examples
