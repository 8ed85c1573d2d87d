#pragma once

#include <algorithm>
#include <cstdio>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <stepscan/train/sequence_gradient.hpp>
#include <stepscan/train/trainer.hpp>

#include "image_reader.hpp"
#include "image_training.hpp"

/// The copying memory task (arXiv 1511.06464, section 5.1): a few symbols, a long silence, then a cue for every symbol
/// to be repeated. What a state space keeps through the silence is all it can answer with.
namespace examples {

/// Sequences of it: symbols one-hot, the cue in a feature of its own, and the symbol to be given at each token, -100
/// where none is.
struct Copies {
  static constexpr Index symbols = 4, copied = 6, inputs = symbols + 1;

  stepscan::Tensor<float, Dynamic, Dynamic, inputs> tokens;
  stepscan::Tensor<std::int32_t, Dynamic, Dynamic> targets;

  /// `count` sequences with so many silent tokens, number `batch` of the stream that the seed begins.
  Copies(Index count, Index delay, std::uint64_t seed, std::int64_t batch)
      : tokens(count, 2 * copied + delay, Index{inputs}), targets(count, 2 * copied + delay) {
    stepscan::Random random(seed, static_cast<std::uint64_t>(batch));
    std::fill(targets.begin(), targets.end(), -100);
    for (Index b = 0; b < count; ++b) {
      for (Index i = 0; i < copied; ++i) {
        const auto symbol = static_cast<Index>(random.below(symbols));
        tokens(b, i, symbol) = 1;
        tokens(b, copied + delay + i, Index{symbols}) = 1;
        targets(b, copied + delay + i) = static_cast<std::int32_t>(symbol);
      }
    }
  }
};

/// The blocks of S4D that read images between the symbols and logits of them.
using CopyModel = stepscan::Sequential<stepscan::Linear<float, Copies::inputs, image_width>, S4dBlock, S4dBlock,
                                       stepscan::Linear<float, image_width, Copies::symbols>>;

/// Which share of the symbols is repeated, as the sequences are scanned or, token by token, stepped.
template <class Plan>
double share_copied(const Plan& plan, const Copies& copies, bool stepped) {
  const Index count = copies.tokens.extent(0), time = copies.tokens.extent(1);
  stepscan::Tensor<float, Dynamic, Dynamic, Copies::symbols> logits(count, time, Index{Copies::symbols});
  const stepscan::SequenceView<const float, Copies::inputs> tokens = copies.tokens;
  const stepscan::SequenceView<float, Copies::symbols> answers = logits;
  auto state = plan.initial_state(count);
  if (stepped) {
    for (Index t = 0; t < time; ++t) plan.step(state, tokens.frame(t), answers.frame(t));
  } else {
    plan.scan(state, tokens, answers);
  }
  Index right = 0;
  for (Index b = 0; b < count; ++b) {
    for (Index t = time - Copies::copied; t < time; ++t) {
      const float* const row = answers.token(b, t);
      if (std::max_element(row, row + Copies::symbols) - row == copies.targets(b, t)) ++right;
    }
  }
  return static_cast<double>(right) / static_cast<double>(count * Copies::copied);
}

/// Trains a model on sequences with so many silent tokens and prints what it repeats of others.
inline void run_copies(Index delay, int updates, std::uint64_t seed) {
  constexpr Index members = 16;
  CopyModel model;
  initialize(model, seed);
  stepscan::AdamW<CopyModel> optimizer(model);
  stepscan::Trainer trainer(model, optimizer, {.updates = updates, .clip_norm = 1, .label = "copy"});
  trainer.learning_rate = stepscan::WarmUp{50, stepscan::CosineRate{4e-3, 0, updates}};
  double loss = 0;
  trainer.log = [&](const stepscan::TrainingRecord& record) { loss = record.loss; };
  stepscan::SequenceGradient<CopyModel> gradient_of;
  trainer.run([&](std::int64_t batch, CopyModel& gradient) {
    const Copies copies(members, delay, seed, batch);
    return gradient_of(model, copies.tokens, copies.targets, stepscan::CrossEntropy<float>{}, gradient);
  });
  const Copies others(256, delay, seed + 1, 0);
  const auto plan = prepare(model);
  std::printf("%td symbols of %td kinds through %td silent tokens, %d updates: loss %.3f\n", Copies::copied,
              Copies::symbols, delay, updates, loss);
  std::printf("repeated: %.3f scanned, %.3f token by token (%.3f by chance)\n", share_copied(plan, others, false),
              share_copied(plan, others, true), 1.0 / static_cast<double>(Copies::symbols));
}

}  // namespace examples
