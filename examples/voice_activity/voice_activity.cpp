/// Finds the speech in a recording with a trained voice activity detector, frame by frame as in a live stream.

#include <chrono>
#include <cstdio>
#include <fstream>
#include <stepscan/core/denormals.hpp>

#include "../support/arguments.hpp"
#include "../support/seconds.hpp"
#include "../support/wav.hpp"
#include "speech_segments.hpp"
#include "voice_activity.hpp"

namespace {

constexpr const char* usage =
    "usage: stepscan_voice_activity MODEL.safetensors IN.wav [--threshold PERCENT] [--csv FILE]\n"
    "  MODEL          weights for the sample rate of the recording (16 kHz or 8 kHz)\n"
    "  --threshold P  speech begins at this probability, in percent (default 50), and may end 15 percent below\n"
    "  --csv FILE     writes the time and the probability of every frame\n";

void write_csv(const std::string& path, std::span<const float> probabilities, double frame_seconds) {
  std::ofstream file(path);
  file << "seconds,probability\n";
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    file << static_cast<double>(i) * frame_seconds << ',' << probabilities[i] << '\n';
  }
  if (!file.flush())
    stepscan::fail<stepscan::FileError>("'" + path + "': expected a file that can be written, found an error");
}

void run(examples::Arguments arguments) {
  const int threshold = arguments.number("--threshold", 50, 1, 99);
  const std::string csv = arguments.word("--csv", {});
  const auto files = arguments.words(2);

  const examples::VoiceActivityDetector detector(examples::load_voice_activity(files[0]));
  const auto recording = examples::read_recording(files[1]);
  if (recording.sample_rate != detector.sample_rate()) {
    stepscan::fail<stepscan::FileError>("'" + files[1] + "': expected " + std::to_string(detector.sample_rate()) +
                                        " Hz, the rate of the model, found " + std::to_string(recording.sample_rate) +
                                        " Hz");
  }

  std::vector<float> probabilities;
  examples::VoiceActivityStream stream = detector.start();
  const stepscan::FlushDenormals flush;
  const auto start = std::chrono::steady_clock::now();
  const auto frame = static_cast<std::size_t>(detector.frame_size());
  for (std::size_t at = 0; at < recording.samples.size(); at += frame) {
    const std::size_t count = std::min(frame, recording.samples.size() - at);
    probabilities.push_back(detector.process(stream, std::span(recording.samples).subspan(at, count)));
  }
  const double seconds = examples::seconds_since(start);

  const double rate = detector.sample_rate();
  const double frame_seconds = static_cast<double>(frame) / rate;
  examples::SegmentOptions options;
  options.threshold = threshold / 100.0;
  options.release = std::max(options.threshold - 0.15, 0.01);
  for (const auto& segment : examples::find_speech(probabilities, frame_seconds, options)) {
    std::printf("%8.2f s to %8.2f s\n", segment.begin, segment.end);
  }
  const double audio = static_cast<double>(recording.samples.size()) / rate;
  if (!probabilities.empty()) {
    std::printf("%.2f s of audio in %.3f s: %.0f times faster than real time, %.1f us a frame\n", audio, seconds,
                audio / seconds, 1e6 * seconds / static_cast<double>(probabilities.size()));
  }
  if (!csv.empty()) write_csv(csv, probabilities, frame_seconds);
}

}  // namespace

int main(int count, char** values) {
  return examples::run_program("stepscan_voice_activity", usage, count, values, run);
}
