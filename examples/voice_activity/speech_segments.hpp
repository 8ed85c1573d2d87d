#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace examples {

/// A stretch of speech, in seconds from the start of the recording.
struct SpeechSegment {
  double begin = 0;
  double end = 0;
};

/// When speech begins and ends. Two thresholds, so that a probability near one of them does not cut speech to pieces.
struct SegmentOptions {
  double threshold = 0.5;    ///< speech begins at this probability
  double release = 0.35;     ///< and may end below this one
  double min_silence = 0.1;  ///< seconds; speech goes on over shorter silence
  double min_speech = 0.25;  ///< seconds; shorter speech is left out
  double padding = 0.03;     ///< seconds added to both ends
};

/// The segments in the probabilities of consecutive frames. Segments never overlap: padding meets in the middle.
[[nodiscard]] inline std::vector<SpeechSegment> find_speech(std::span<const float> probabilities, double frame_seconds,
                                                            const SegmentOptions& options = {}) {
  std::vector<SpeechSegment> segments;
  const double total = frame_seconds * static_cast<double>(probabilities.size());
  bool speaking = false;
  std::size_t begin = 0, loud_end = 0;
  const auto finish = [&] {
    const SpeechSegment segment{frame_seconds * static_cast<double>(begin),
                                frame_seconds * static_cast<double>(loud_end)};
    if (segment.end - segment.begin >= options.min_speech) segments.push_back(segment);
    speaking = false;
  };
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    const auto probability = static_cast<double>(probabilities[i]);
    if (!speaking && probability >= options.threshold) {
      speaking = true;
      begin = i;
    }
    if (!speaking) continue;
    if (probability >= options.release) loud_end = i + 1;
    if (frame_seconds * static_cast<double>(i + 1 - loud_end) >= options.min_silence) finish();
  }
  if (speaking) finish();

  for (std::size_t i = 0; i < segments.size(); ++i) {
    segments[i].begin = std::max(segments[i].begin - options.padding, i == 0 ? 0.0 : segments[i - 1].end);
    const double room = i + 1 < segments.size() ? (segments[i].end + segments[i + 1].begin) / 2 : total;
    segments[i].end = std::min(segments[i].end + options.padding, room);
  }
  return segments;
}

}  // namespace examples
