#pragma once

#include <functional>
#include <stepscan/core/tensor.hpp>
#include <stepscan/train/curve_plot.hpp>
#include <string>
#include <vector>

/// What the units of this example share: the text, what is asked for, what comes out.
namespace examples {

using stepscan::Dynamic;
using stepscan::Index;

/// A text as numbers of its characters, each character once in `characters`.
struct Text {
  std::string characters;
  std::vector<Index> training;    ///< the first nine tenths
  std::vector<Index> validation;  ///< the last tenth

  [[nodiscard]] Index vocabulary() const { return static_cast<Index>(characters.size()); }
};
/// Throws FileError when the file cannot be read or holds fewer than 1,000 characters.
[[nodiscard]] Text read_text(const std::string& path);
/// Sums in words, without end: a text for those who have none at hand.
[[nodiscard]] Text invent_text(std::size_t characters);

struct Settings {
  Index width = 192;  ///< features; a multiple of 32
  Index batch = 16;   ///< windows of text to an update; more of them would leave too few updates for minutes
  Index time = 256;   ///< characters to a window
  double learning_rate = 3e-3;
  double dropout = 0;  ///< of what a layer adds: few minutes read the text too seldom to learn it by heart
  double weight_decay = 0.1;
  std::int64_t updates = 0;  ///< of the parameters; 0: as many as `seconds` are enough for
  double seconds = 0;        ///< of training, of one core
  std::int64_t evaluations = 10;
  Index generated = 500;  ///< characters
  std::uint64_t seed = 1;
  std::string folder;  ///< for logs and checkpoints; empty: none are written
};

struct Result {
  Index parameters = 0;
  double bits = 0;           ///< per character of the last tenth
  double training_bits = 0;  ///< of the last updates
  double minutes = 0;        ///< of training, of one core
  double trained_rate = 0;   ///< characters per second of one core
  double generated_rate = 0;
  std::string sample;
  stepscan::Curve curve;  ///< bits of a part of the last tenth, over seconds of training
};

/// A layer that mixes tokens, in a model that is the same for all: two blocks of it and a gated feed-forward network,
/// whose hidden units are as many as make all models equally large.
struct Entry {
  std::string name;
  std::function<Result(const Text&, const Settings&)> train;
};

std::vector<Entry> recurrent_models();
std::vector<Entry> attention_models();

}  // namespace examples
