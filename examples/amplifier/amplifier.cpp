/// Plays a recording through a trained model of an amplifier or a pedal (NAM .nam with architecture LSTM, GuitarML and
/// NeuralSeed JSON), in blocks as an audio callback would.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stepscan/core/denormals.hpp>
#include <stepscan/io/amplifier_json.hpp>
#include <stepscan/models/amplifier.hpp>

#include "../support/arguments.hpp"
#include "../support/seconds.hpp"
#include "../support/wav.hpp"

namespace {

constexpr const char* usage =
    "usage: stepscan_amplifier MODEL IN.wav OUT.wav [--block N] [--knob PERCENT] [--dynamic] [--pcm16]\n"
    "  MODEL       a .nam file of architecture LSTM, or GuitarML / NeuralSeed JSON\n"
    "  --block N   samples in one call (default 128)\n"
    "  --knob P    the knob of a model that has one, in percent (default 50)\n"
    "  --dynamic   run the code for sizes known at run time, even where the size is compiled in\n"
    "  --pcm16     write 16-bit PCM (clipped) instead of 32-bit float\n";

struct Timing {
  double total_seconds = 0;
  double worst_seconds = 0;
  std::size_t samples = 0;
};

/// One block; what the model takes of it, not the files, is timed.
void process(stepscan::AmplifierModel<float>& model, std::span<float> samples, Timing& timing) {
  const stepscan::FlushDenormals flush;
  const auto start = std::chrono::steady_clock::now();
  model.process(samples, samples);
  const double seconds = examples::seconds_since(start);
  timing.total_seconds += seconds;
  timing.worst_seconds = std::max(timing.worst_seconds, seconds);
  timing.samples += samples.size();
}

void run(examples::Arguments arguments) {
  const int block = arguments.number("--block", 128, 1, 1 << 20);
  const int knob = arguments.number("--knob", 50, 0, 100);
  const bool dynamic = arguments.flag("--dynamic");
  const bool pcm16 = arguments.flag("--pcm16");
  const auto files = arguments.words(3);
  std::error_code missing;
  if (std::filesystem::equivalent(files[1], files[2], missing)) {
    stepscan::fail<stepscan::ArgumentError>("expected two files, found '" + files[1] + "' as input and as output");
  }

  const stepscan::AmplifierDescription description = stepscan::load_amplifier(files[0]);
  auto model = dynamic ? stepscan::AmplifierModel<float>(description, stepscan::DynamicAmplifiers{})
                       : stepscan::AmplifierModel<float>(description);
  model.set_conditions(
      std::vector<float>(static_cast<std::size_t>(model.condition_count()), static_cast<float>(knob) / 100));

  examples::WavReader in(files[1]);
  examples::WavWriter out(files[2], in.sample_rate(),
                          pcm16 ? examples::SampleFormat::pcm16 : examples::SampleFormat::float32);
  std::printf("%s: %s, hidden size %td, %zu layer(s), %s code\n", files[0].c_str(),
              description.cell == stepscan::AmplifierCell::lstm ? "LSTM" : "GRU", description.hidden_size,
              description.layers.size(), model.has_static_size() ? "static-size" : "Dynamic");
  if (description.sample_rate && *description.sample_rate != in.sample_rate()) {
    std::printf("note: the model was made for %g Hz, %s has %d Hz\n", *description.sample_rate, files[1].c_str(),
                in.sample_rate());
  }
  if (in.channels() > 1) std::printf("note: %d channels are mixed to one\n", in.channels());

  Timing timing;
  std::vector<float> samples(static_cast<std::size_t>(block));
  while (const std::size_t count = in.read(samples)) {
    const auto part = std::span(samples).first(count);
    process(model, part, timing);
    out.write(part);
  }
  if (timing.samples == 0) {
    std::printf("%s holds no samples\n", files[1].c_str());
    return;
  }
  const double seconds = static_cast<double>(timing.samples) / in.sample_rate();
  const double block_seconds = static_cast<double>(block) / in.sample_rate();
  std::printf("%.2f s of audio in %.4f s: %.0f times faster than real time, %.1f ns a sample\n", seconds,
              timing.total_seconds, seconds / timing.total_seconds,
              1e9 * timing.total_seconds / static_cast<double>(timing.samples));
  std::printf("worst block of %d samples: %.1f us, %.2f %% of its %.0f us\n", block, 1e6 * timing.worst_seconds,
              100 * timing.worst_seconds / block_seconds, 1e6 * block_seconds);
}

}  // namespace

int main(int count, char** values) {
  return examples::run_program("stepscan_amplifier", usage, count, values, run);
}
