#pragma once

#include <functional>
#include <stepscan/core/tensor.hpp>
#include <string>
#include <vector>

/// What the units of this example share: the tasks, how long to train, what comes out.
namespace examples {

using stepscan::Dynamic;
using stepscan::Index;

inline constexpr Index input_features = 4, model_features = 16, classes = 2;

enum class Task {
  parity,  ///< at every token: how many ones there were so far, modulo 2
  match    ///< delayed match to sample: a symbol, blanks, a symbol; there: is it the same?
};

/// A task of sequences that long, inputs one-hot [batch, time, input_features]; targets -1 do not count.
struct Batch {
  stepscan::Tensor<float, Dynamic, Dynamic, Dynamic> x;
  stepscan::Tensor<std::int32_t, Dynamic, Dynamic> targets;
};
[[nodiscard]] Batch make_batch(Task task, Index members, Index time, std::uint64_t seed, std::uint64_t number);

struct Settings {
  Task task = Task::parity;
  std::uint64_t seed = 1;
  Index time = 16;              ///< of the sequences it is trained on
  std::int64_t growing = 300;   ///< updates in which the sequences of match grow from 8 tokens to that time
  std::int64_t updates = 1000;  ///< at most: training ends when the task is solved
};

struct Result {
  Index parameters = 0;
  std::int64_t updates = 0;
  double seconds = 0;
  double loss = 0;             ///< of sequences as long as those it was trained on
  double accuracy = 0;         ///< there
  double longer_accuracy = 0;  ///< of sequences four times as long
};

/// A layer to train, in a small network that is the same for all.
struct Entry {
  std::string name;
  bool has_negative_feedback;  ///< can turn its state over: what parity takes
  std::function<Result(const Settings&)> train;
};

std::vector<Entry> nonlinear_recurrences();
std::vector<Entry> linear_recurrences();
std::vector<Entry> delta_rules();

}  // namespace examples
