#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <support/catch.hpp>
#include <vector>

/// Trained models and recordings that lie beside the project, in STEPSCAN_SHARED_DIR; a test that misses them says so
/// and ends.
namespace shared_data {

inline std::filesystem::path path(const std::string& name) {
#if defined(STEPSCAN_SHARED_DIR)
  return std::filesystem::path(STEPSCAN_SHARED_DIR) / name;
#else
  return std::filesystem::path("../shared") / name;
#endif
}

/// Whether all files are there; warns about the first that is not.
inline bool present(std::initializer_list<std::string> names) {
  for (const std::string& name : names) {
    if (!std::filesystem::exists(path(name))) {
      WARN("SKIPPED: " << path(name).string() << " is not there");
      return false;
    }
  }
  return true;
}

/// The samples of a mono WAV file of 16-bit PCM, divided by 32768.
inline std::vector<float> read_wav(const std::string& name) {
  std::ifstream file(path(name), std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t at = 12; at + 8 <= bytes.size();) {
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at + 4, sizeof(size));
    if (std::memcmp(bytes.data() + at, "data", 4) == 0) {
      std::vector<std::int16_t> samples(std::min<std::size_t>(size, bytes.size() - at - 8) / 2);
      std::memcpy(samples.data(), bytes.data() + at + 8, samples.size() * 2);
      std::vector<float> values(samples.size());
      for (std::size_t i = 0; i < samples.size(); ++i) values[i] = static_cast<float>(samples[i]) / 32768.0F;
      return values;
    }
    at += 8 + size + size % 2;
  }
  FAIL("no audio in " << name);
  return {};
}

/// The largest difference of two lists of one length; infinite when the lengths differ or a number is NaN.
template <class A, class B>
double difference(const A& a, const B& b) {
  const auto size = std::ssize(a);
  if (size != std::ssize(b) || size == 0) return HUGE_VAL;
  double most = 0;
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(d <= most)) most = std::isnan(d) ? HUGE_VAL : d;
  }
  return most;
}

}  // namespace shared_data
