/// Two small tasks that tell apart what layers can keep track of. Parity: was the number of ones so far odd? A state
/// has to turn over at every one, for ever: recurrences through a nonlinearity can, and the delta rule with beta up to
/// 2, whose transition has negative eigenvalues; linear recurrences whose state decays by a positive factor cannot
/// (arXiv 2405.04517, section 4.1; 2411.12537). Delayed match to sample: is this symbol the one seen before? A task of
/// memory, which asks less: a decay near 1 keeps the sample, and what the gates of the second symbol let through of it
/// tells, so linear recurrences solve it as well.

#include "parity.hpp"

#include <cstdio>
#include <stepscan/core/random.hpp>

#include "../support/arguments.hpp"
#include "../support/training_run.hpp"

namespace examples {

Batch make_batch(Task task, Index members, Index time, std::uint64_t seed, std::uint64_t number) {
  Batch batch{decltype(Batch::x)(members, time, input_features), decltype(Batch::targets)(members, time)};
  batch.targets.fill(-1);
  stepscan::Random random(seed, number);
  const auto below = [&](Index count) { return static_cast<Index>(random.below(static_cast<std::uint32_t>(count))); };
  for (Index b = 0; b < members; ++b) {
    if (task == Task::parity) {
      std::int32_t parity = 0;
      for (Index t = 0; t < time; ++t) {
        const Index bit = below(2);
        batch.x(b, t, bit) = 1;
        batch.targets(b, t) = parity ^= static_cast<std::int32_t>(bit);
      }
      continue;
    }
    constexpr Index symbols = input_features - 1;
    const Index first = below(time / 4), second = time / 2 + below(time / 2);
    const Index sample = 1 + below(symbols);
    const bool same = below(2) == 1;
    for (Index t = 0; t < time; ++t) {
      const Index other = 1 + (sample + below(symbols - 1)) % symbols;
      batch.x(b, t, t == first ? sample : t != second ? 0 : same ? sample : other) = 1;
    }
    batch.targets(b, second) = same ? 1 : 0;
  }
  return batch;
}

}  // namespace examples

namespace {

using namespace examples;

constexpr const char* usage =
    "usage: stepscan_parity [--quick] [--time N] [--updates N] [--seed N]\n"
    "  --quick      short sequences, under a minute; fails unless parity divides the layers as it should and those "
    "that\n"
    "               solve it match samples as well\n"
    "  --time N     tokens of the sequences trained on (default 40, quick 16)\n"
    "  --updates N  of the parameters, at most (default 5000, quick 1000)\n"
    "  --seed N     seed of weights and data (default 1)\n";

void run(Arguments arguments) {
  const bool quick = arguments.flag("--quick");
  Settings settings;
  settings.time = arguments.number("--time", quick ? 16 : 40, 8, 1 << 14);
  settings.updates = arguments.number("--updates", quick ? 1000 : 5000, 1, 1 << 24);
  settings.growing = quick ? 300 : 1000;
  settings.seed = arguments.seed();
  static_cast<void>(arguments.words(0));

  std::vector<Entry> entries;
  for (const auto& family : {nonlinear_recurrences(), linear_recurrences(), delta_rules()}) {
    entries.insert(entries.end(), family.begin(), family.end());
  }
  std::printf("accuracy on sequences of %td tokens, as trained on, and of %td; chance is 0.500\n\n", settings.time,
              4 * settings.time);
  Failures failures;
  for (const Task task : {Task::parity, Task::match}) {
    settings.task = task;
    std::printf("%-24s%12s%10s%9s%10s%10s%10s\n", task == Task::parity ? "parity" : "delayed match to sample",
                "parameters", "updates", "seconds", "loss", "accuracy", "longer");
    for (const Entry& entry : entries) {
      const Result result = entry.train(settings);
      std::printf("%-24s%12td%10lld%9.1f%10.4f%10.3f%10.3f\n", entry.name.c_str(), result.parameters,
                  static_cast<long long>(result.updates), result.seconds, result.loss, result.accuracy,
                  result.longer_accuracy);
      std::fflush(stdout);
      constexpr double solved_loss = 0.1, unsolved_accuracy = 0.7;
      const bool as_expected = entry.has_negative_feedback
                                   ? result.loss < solved_loss
                                   : task == Task::match || result.longer_accuracy < unsolved_accuracy;
      failures.add_unless(as_expected, entry.name);
    }
    std::printf("\n");
  }
  if (quick) failures.report("training did not end as it should for ");
}

}  // namespace

int main(int count, char** values) { return examples::run_program("stepscan_parity", usage, count, values, run); }
