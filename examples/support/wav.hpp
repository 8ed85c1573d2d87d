#pragma once

#include <sndfile.h>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>
#include <stepscan/core/error.hpp>
#include <string>
#include <vector>

/// Sound files for the examples, by libsndfile: WAV, FLAC, AIFF and what else it reads.
namespace examples {

namespace detail {

struct CloseSound {
  void operator()(SNDFILE* file) const noexcept { sf_close(file); }
};
using Sound = std::unique_ptr<SNDFILE, CloseSound>;

inline Sound open_sound(const std::filesystem::path& path, int mode, SF_INFO& info) {
  Sound sound(sf_open(path.string().c_str(), mode, &info));
  if (sound == nullptr) {
    stepscan::fail<stepscan::FileError>("'" + path.string() + "': expected a sound file that can be " +
                                        (mode == SFM_READ ? "read" : "written") + ", found: " + sf_strerror(nullptr));
  }
  return sound;
}

}  // namespace detail

/// Reads a sound file piece by piece, its channels mixed to one; samples in [-1, 1].
class WavReader {
 public:
  /// Throws FileError when the file cannot be read.
  explicit WavReader(const std::filesystem::path& path) : sound_(detail::open_sound(path, SFM_READ, info_)) {}

  [[nodiscard]] int sample_rate() const noexcept { return info_.samplerate; }
  [[nodiscard]] int channels() const noexcept { return info_.channels; }
  [[nodiscard]] std::size_t frames() const noexcept { return static_cast<std::size_t>(info_.frames); }

  /// Fills `samples` as far as the file goes; returns how many there were.
  std::size_t read(std::span<float> samples) {
    const auto channels = static_cast<std::size_t>(info_.channels);
    interleaved_.resize(samples.size() * channels);
    const auto count = static_cast<std::size_t>(
        sf_readf_float(sound_.get(), interleaved_.data(), static_cast<sf_count_t>(samples.size())));
    for (std::size_t i = 0; i < count; ++i) {
      float sum = 0;
      for (std::size_t c = 0; c < channels; ++c) sum += interleaved_[i * channels + c];
      samples[i] = sum / static_cast<float>(channels);
    }
    return count;
  }

 private:
  SF_INFO info_{};
  detail::Sound sound_;
  std::vector<float> interleaved_;
};

enum class SampleFormat { pcm16, float32 };

/// Writes a mono WAV file piece by piece. In pcm16 samples outside [-1, 1] are clipped.
class WavWriter {
 public:
  /// Throws FileError when the file cannot be written.
  WavWriter(const std::filesystem::path& path, int sample_rate, SampleFormat format) : path_(path.string()) {
    SF_INFO info{};
    info.samplerate = sample_rate;
    info.channels = 1;
    info.format = SF_FORMAT_WAV | (format == SampleFormat::pcm16 ? SF_FORMAT_PCM_16 : SF_FORMAT_FLOAT);
    sound_ = detail::open_sound(path, SFM_WRITE, info);
    sf_command(sound_.get(), SFC_SET_CLIPPING, nullptr, SF_TRUE);
  }

  /// Throws FileError when the disk does not take them.
  void write(std::span<const float> samples) {
    const auto count = static_cast<sf_count_t>(samples.size());
    if (sf_writef_float(sound_.get(), samples.data(), count) != count) {
      stepscan::fail<stepscan::FileError>("'" + path_ + "': expected room for " + std::to_string(count) +
                                          " samples, found: " + sf_strerror(sound_.get()));
    }
  }

 private:
  std::string path_;
  detail::Sound sound_;
};

/// A whole sound file.
struct Recording {
  std::vector<float> samples;
  int sample_rate = 0;
};

/// Throws FileError when the file cannot be read.
[[nodiscard]] inline Recording read_recording(const std::filesystem::path& path) {
  WavReader reader(path);
  Recording recording{{}, reader.sample_rate()};
  std::vector<float> piece(1 << 16);
  while (const std::size_t count = reader.read(piece)) {
    recording.samples.insert(recording.samples.end(), piece.begin(),
                             piece.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return recording;
}

}  // namespace examples
