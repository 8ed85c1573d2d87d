/// Trains language models of characters, one for every kind of layer and all of the same size, and compares them: bits
/// per character on text they have not seen, characters per second in training and in generation.

#include "language_model.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stepscan/core/random.hpp>
#include <stepscan/core/threads.hpp>

#include "../support/arguments.hpp"
#include "../support/training_run.hpp"

namespace examples {

namespace {

Text text_of(const std::string& content) {
  Text text{content, {}, {}};
  std::sort(text.characters.begin(), text.characters.end());
  text.characters.erase(std::unique(text.characters.begin(), text.characters.end()), text.characters.end());
  const std::size_t training = content.size() / 10 * 9;
  for (std::size_t i = 0; i < content.size(); ++i) {
    (i < training ? text.training : text.validation).push_back(static_cast<Index>(text.characters.find(content[i])));
  }
  return text;
}

}  // namespace

Text read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  constexpr std::size_t least = 1000;
  if (content.size() < least) {
    stepscan::fail<stepscan::FileError>("'" + path + "': expected a text of at least 1000 characters, found " +
                                        std::to_string(content.size()));
  }
  return text_of(content);
}

Text invent_text(std::size_t characters) {
  constexpr std::array numbers{"no",       "one",     "two",     "three",     "four",    "five",   "six",
                               "seven",    "eight",   "nine",    "ten",       "eleven",  "twelve", "thirteen",
                               "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"};
  constexpr std::array things{"apples", "birds", "stones", "ships", "coins"};
  stepscan::Random random(2);
  std::string content;
  while (content.size() < characters) {
    const std::uint32_t a = random.below(10), b = random.below(10);
    const std::string thing = things[random.below(things.size())];
    content +=
        std::string(numbers[a]) + " and " + numbers[b] + " " + thing + " are " + numbers[a + b] + " " + thing + ".\n";
  }
  return text_of(content);
}

}  // namespace examples

namespace {

using namespace examples;

constexpr const char* usage =
    "usage: stepscan_language_model [--text FILE] [--layer NAME] [--quick] [--minutes N] [--updates N] [--width N]\n"
    "                               [--batch N] [--time N] [--rate N] [--dropout N] [--decay N] [--seed N]\n"
    "                               [--folder DIR] [--sample]\n"
    "  --text FILE   characters to learn (default: invented sums in words)\n"
    "  --layer NAME  lstm, slstm, gla, mamba, s4d, attention or hybrid alone\n"
    "  --quick       small models, a few updates each; fails unless each has learnt the invented text\n"
    "  --minutes N   of one core to train each layer (default 3); N cores take as much less of the day\n"
    "  --updates N   of the parameters, in place of a time: the same on every machine\n"
    "  --width N     features, a multiple of 32 (default 192, quick 64)\n"
    "  --batch N     windows of text to an update (default 16)\n"
    "  --time N      characters to a window (default 256, quick 64)\n"
    "  --rate N      the highest learning rate, in hundred thousandths (default 300, quick 1000)\n"
    "  --dropout N   hundredths of what a layer adds that are dropped (default 0)\n"
    "  --decay N     of weights, in hundredths of the learning rate (default 10)\n"
    "  --seed N      seed of weights and windows (default 1)\n"
    "  --folder DIR  writes logs, curves.svg and checkpoints, from which the same command goes on\n"
    "  --sample      prints what each model writes\n";

void print_row(const std::string& name, const Result& result) {
  std::printf("%-12s%12td%12.3f%14.3f%10.2f%12.0f%14.0f\n", name.c_str(), result.parameters, result.bits,
              result.training_bits, result.minutes, result.trained_rate, result.generated_rate);
  std::fflush(stdout);
}

void run(Arguments arguments) {
  const bool quick = arguments.flag("--quick"), sample = arguments.flag("--sample");
  const std::string path = arguments.word("--text", {}), only = arguments.word("--layer", {});
  Settings settings;
  settings.width = arguments.number("--width", quick ? 64 : 192, 32, 4096) / 32 * 32;
  settings.batch = arguments.number("--batch", 16, 1, 4096);
  settings.time = arguments.number("--time", quick ? 64 : 256, 2, 1 << 16);
  settings.learning_rate = arguments.number("--rate", quick ? 1000 : 300, 1, 100'000) * 1e-5;
  settings.dropout = arguments.number("--dropout", 0, 0, 99) * 1e-2;
  settings.weight_decay = arguments.number("--decay", 10, 0, 1000) * 1e-2;
  settings.updates = arguments.number("--updates", quick ? 100 : 0, 0, 1 << 30);
  settings.seconds = 60.0 * arguments.number("--minutes", 3, 1, 100'000);
  settings.seed = arguments.seed();
  settings.folder = arguments.word("--folder", {});
  if (quick) settings.evaluations = 2;
  static_cast<void>(arguments.words(0));
  if (!settings.folder.empty()) std::filesystem::create_directories(settings.folder);

  const Text text = path.empty() ? invent_text(20'000) : read_text(path);
  if (static_cast<Index>(text.training.size()) <= settings.time) {
    stepscan::fail<stepscan::ArgumentError>("--time: expected less than the " + std::to_string(text.training.size()) +
                                            " characters of the training text, found " + std::to_string(settings.time));
  }
  std::printf("%zu characters to learn, %zu to test, %td distinct; width %td, batch %td of %td; threads: %d\n\n",
              text.training.size(), text.validation.size(), text.vocabulary(), settings.width, settings.batch,
              settings.time, stepscan::max_threads());
  std::printf("%-12s%12s%12s%14s%10s%12s%14s\n", "layer", "parameters", "bits/char", "in training", "minutes",
              "trained/s", "generated/s");
  stepscan::CurvePlot plot{
      "Language models of characters", "seconds of one core", "bits per character, validation", {}};
  Failures failures;
  bool found = false;
  for (const auto& family : {recurrent_models(), attention_models()}) {
    for (const Entry& entry : family) {
      if (!only.empty() && entry.name != only) continue;
      found = true;
      const Result result = entry.train(text, settings);
      print_row(entry.name, result);
      if (sample) std::printf("\n%s\n\n", result.sample.c_str());
      plot.curves.push_back(result.curve);
      constexpr double learnt = 1.5;
      failures.add_unless(result.bits < learnt, entry.name);
    }
  }
  if (!found) stepscan::fail<stepscan::ArgumentError>("--layer: expected a layer of those above, found '" + only + "'");
  if (!settings.folder.empty()) plot.save(settings.folder + "/curves.svg");
  if (quick && path.empty()) failures.report("expected less than 1.5 bits per character, found more for ");
}

}  // namespace

int main(int count, char** values) {
  return examples::run_program("stepscan_language_model", usage, count, values, run);
}
