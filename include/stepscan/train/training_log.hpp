#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stepscan/core/error.hpp>
#include <stepscan/train/number_text.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// One update of a training run.
struct TrainingRecord {
  std::int64_t update = 0;  ///< updates made, this one among them
  double seconds = 0;       ///< since the run began or was resumed
  double learning_rate = 0;
  double loss = 0;                                           ///< the mean before the update
  double gradient_norm = 0;                                  ///< before clipping
  double metric = std::numeric_limits<double>::quiet_NaN();  ///< of an evaluation behind the update, or not a number
};

enum class LogFormat {
  csv,        ///< a line of names, then numbers; nothing where there is none
  json_lines  ///< an object on every line; null where there is no number
};

/// A file with one line for every update, complete after each of them.
class TrainingLog {
 public:
  /// Begins the file anew, or keeps its lines up to that update and goes on behind them: what a run that is resumed
  /// from a checkpoint does. Throws FileError when the file cannot be written.
  explicit TrainingLog(const std::filesystem::path& path, LogFormat format = LogFormat::csv, std::int64_t resume_at = 0)
      : name_(path.string()), format_(format) {
    const std::vector<std::string> kept = lines_until(path, resume_at);
    file_ = std::make_shared<std::ofstream>(path, std::ios::binary);
    if (format_ == LogFormat::csv) *file_ << names << '\n';
    for (const std::string& line : kept) *file_ << line << '\n';
    flush();
  }

  void operator()(const TrainingRecord& record) {
    *file_ << (format_ == LogFormat::csv ? csv_line(record) : json_line(record)) << '\n';
    flush();
  }

  [[nodiscard]] static std::string csv_line(const TrainingRecord& r) {
    return std::to_string(r.update) + "," + number(r.seconds, "") + "," + number(r.learning_rate, "") + "," +
           number(r.loss, "") + "," + number(r.gradient_norm, "") + "," + number(r.metric, "");
  }
  [[nodiscard]] static std::string json_line(const TrainingRecord& r) {
    return json_start + std::to_string(r.update) + ",\"seconds\":" + number(r.seconds, "null") +
           ",\"learning_rate\":" + number(r.learning_rate, "null") + ",\"loss\":" + number(r.loss, "null") +
           ",\"gradient_norm\":" + number(r.gradient_norm, "null") + ",\"metric\":" + number(r.metric, "null") + "}";
  }

 private:
  static constexpr const char* names = "update,seconds,learning_rate,loss,gradient_norm,metric";
  static constexpr const char* json_start = "{\"update\":";

  static std::string number(double value, const char* otherwise) {
    return std::isfinite(value) ? detail::number_text(value, 9) : otherwise;
  }

  /// The lines of updates 1 to `last`; one that a killed run has left half is behind them.
  [[nodiscard]] std::vector<std::string> lines_until(const std::filesystem::path& path, std::int64_t last) const {
    std::vector<std::string> lines;
    std::ifstream file(path, std::ios::binary);
    const std::size_t before = format_ == LogFormat::csv ? 0 : std::string_view(json_start).size();
    for (std::string line; last > 0 && std::getline(file, line) && !file.eof();) {
      if (line.size() <= before) continue;
      const long long update = std::strtoll(line.c_str() + before, nullptr, 10);
      if (update >= 1 && update <= last) lines.push_back(line);
    }
    return lines;
  }

  void flush() {
    if (!file_->flush()) fail<FileError>("cannot write '" + name_ + "'");
  }

  std::string name_;
  LogFormat format_;
  std::shared_ptr<std::ofstream> file_;  ///< shared, so that a std::function can hold the log
};

}  // namespace stepscan::inline STEPSCAN_ISA
