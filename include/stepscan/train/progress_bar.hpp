#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <stepscan/core/config.hpp>
#include <string>
#include <utility>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace stepscan::inline STEPSCAN_ISA {

/// What a progress bar shows.
struct ProgressLine {
  std::string label;
  std::int64_t done = 0;
  std::int64_t total = 0;
  double loss = 0;
  double seconds = 0;       ///< that the `worked` updates took
  std::int64_t worked = 0;  ///< updates of this run; those before a resume are not among them
};

namespace detail {

/// "1:02:03" or "2:03"; "-:--" for what is not known.
[[nodiscard]] inline std::string clock_text(double seconds) {
  constexpr double longest = 1e9;
  if (!(seconds >= 0 && seconds < longest)) return "-:--";
  const auto whole = static_cast<long>(std::lround(seconds));
  std::array<char, 40> text{};
  if (whole >= 3600) {
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%ld:%02ld", whole / 60, whole % 60);
  }
  return text.data();
}

[[nodiscard]] inline bool is_terminal([[maybe_unused]] std::FILE* stream) noexcept {
#if __has_include(<unistd.h>)
  return ::isatty(::fileno(stream)) == 1;
#else
  return false;
#endif
}

}  // namespace detail

/// "parity [=====>    ] 120/200  loss 0.6931  35.2 updates/s  ETA 0:02"
[[nodiscard]] inline std::string progress_text(const ProgressLine& line) {
  constexpr std::int64_t width = 24;
  const std::int64_t total = std::max<std::int64_t>(line.total, 1);
  const double share = std::clamp(static_cast<double>(line.done) / static_cast<double>(total), 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(share * width);
  std::string bar(filled, '=');
  if (filled < width) bar += '>';
  bar.resize(width, ' ');
  const double rate = line.seconds > 0 ? static_cast<double>(line.worked) / line.seconds : 0;
  const double left = static_cast<double>(std::max<std::int64_t>(line.total - line.done, 0));
  std::array<char, 120> numbers{};
  std::snprintf(numbers.data(), numbers.size(), "%lld/%lld  loss %.4g  %.3g updates/s  ETA ",
                static_cast<long long>(line.done), static_cast<long long>(line.total), line.loss, rate);
  return line.label + (line.label.empty() ? "[" : " [") + bar + "] " + numbers.data() +
         detail::clock_text(rate > 0 ? left / rate : -1);
}

/// A line on the terminal that is written over as work proceeds, at most ten times a second; silent where the stream is
/// no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::FILE* stream = stderr) : stream_(detail::is_terminal(stream) ? stream : nullptr) {}
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// Leaves the cursor on a line of its own.
  ~ProgressBar() { finish(); }

  void show(const ProgressLine& line) {
    constexpr std::chrono::milliseconds pause(100);
    const auto now = std::chrono::steady_clock::now();
    if (stream_ == nullptr || (shown_ > 0 && line.done < line.total && now - last_ < pause)) return;
    last_ = now;
    std::string text = progress_text(line);
    const std::size_t length = text.size();
    text.resize(std::max(length, shown_), ' ');
    shown_ = length;
    std::fprintf(stream_, "\r%s", text.c_str());
    std::fflush(stream_);
  }

  void finish() {
    if (shown_ > 0) std::fputc('\n', stream_);
    shown_ = 0;
  }

 private:
  std::FILE* stream_;
  std::chrono::steady_clock::time_point last_;
  std::size_t shown_ = 0;
};

}  // namespace stepscan::inline STEPSCAN_ISA
