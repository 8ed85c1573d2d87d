#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// Reads what Google Benchmark writes. Names are
///
///   [PEER:]LAYER[, VARIANT]/FORM/PASS/BATCH/TIME/SIZES.../threads:N[/real_time]
///
/// with PASS one of step, scan, forward, backward, or training where forward and backward were timed together, or what
/// a layer has of its own (kernel, update). Ours have no PEER; a peer's FORM is `own`. Sizes are those of the layer:
///   inputs/hidden            lstm, gru, elman_rnn, min_gru, min_lstm (slstm: inputs/heads/head size)
///   heads/keys/values        linear_attention and its kin, delta rules, mamba2_ssd
///   channels/state           selective_scan, s4d, s4, dss, lssl, s5, lru; mamba: width/state
///   heads/head size          softmax_attention, whose step has the number of cached keys for TIME
/// Ours and a peer's are one case where layer, pass, batch, time, sizes and threads are the same; a VARIANT of ours
/// (Fast, weights in 16 bits) stands beside the peer of its layer. Times are processor times on one thread and wall
/// times on several. The counter `floor` is the share of the time that the least work takes at the machine's ceilings,
/// which the file's context holds as "ceiling/WHAT/threads:N".
namespace report {

struct Result {
  std::string family;  ///< the program without its prefix
  std::string peer;    ///< empty: ours
  std::string layer;
  std::string variant;
  std::string form;
  std::string pass;
  long batch = 1;
  long time = 1;
  std::vector<long> sizes;
  int threads = 1;
  double seconds = 0;
  double tokens = 0;  ///< a second
  double floor = 0;   ///< share of the time; 0: not known

  /// layer and sizes, as "lstm 128, 128"
  [[nodiscard]] std::string subject() const {
    std::string text = layer;
    for (std::size_t i = 0; i < sizes.size(); ++i) text += (i == 0 ? " " : ", ") + std::to_string(sizes[i]);
    return text;
  }
  [[nodiscard]] double seconds_per_token() const { return seconds / static_cast<double>(batch * time); }
};

[[nodiscard]] inline std::vector<std::string> split(const std::string& text, char between) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, between);) parts.push_back(part);
  return parts;
}

/// What a name says; false where it is none of these names (the matrix product, a floor).
[[nodiscard]] inline bool parse_name(const std::string& name, Result& result) {
  const auto is_number = [](const std::string& text) {
    return !text.empty() && text.size() < 10 &&
           std::all_of(text.begin(), text.end(), [](char c) { return '0' <= c && c <= '9'; });
  };
  std::vector<std::string> parts = split(name, '/');
  if (!parts.empty() && parts.back() == "real_time") parts.pop_back();
  const std::string threads = "threads:";
  if (parts.size() < 6 || parts.back().compare(0, threads.size(), threads) != 0) return false;
  const std::string count = parts.back().substr(threads.size());
  if (!is_number(count) || !std::all_of(parts.begin() + 3, parts.end() - 1, is_number)) return false;
  result.threads = std::stoi(count);
  result.layer = parts[0];
  const std::size_t colon = result.layer.find(':');
  result.peer = colon == std::string::npos ? "" : result.layer.substr(0, colon);
  if (colon != std::string::npos) result.layer.erase(0, colon + 1);
  const std::size_t comma = result.layer.find(", ");
  result.variant = comma == std::string::npos ? "" : result.layer.substr(comma + 2);
  result.layer = result.layer.substr(0, comma);
  result.form = parts[1];
  result.pass = parts[2];
  result.batch = std::stol(parts[3]);
  result.time = std::stol(parts[4]);
  result.sizes.clear();
  for (std::size_t i = 5; i + 1 < parts.size(); ++i) result.sizes.push_back(std::stol(parts[i]));
  return result.batch > 0 && result.time > 0;
}

/// One or several runs.
struct Run {
  std::vector<Result> results;
  std::map<std::string, std::string> context;  ///< of the first file
};

/// Adds a file of Google Benchmark's. Of several repetitions the median counts where it stands in the file. Throws
/// std::runtime_error, which names the file, where it cannot be read.
inline void read_results(const std::string& path, Run& run) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read '" + path + "'");
  const nlohmann::json document = nlohmann::json::parse(file, nullptr, false);
  if (document.is_discarded() || !document.contains("benchmarks") || !document["benchmarks"].is_array()) {
    throw std::runtime_error("'" + path + "': expected the JSON of Google Benchmark, found something else");
  }
  std::string family;
  if (document.contains("context")) {
    for (const auto& [key, value] : document["context"].items()) {
      if (value.is_string()) run.context.emplace(key, value.get<std::string>());
      if (value.is_number()) run.context.emplace(key, value.dump());
    }
    const std::string program = document["context"].value("executable", "");
    family = program.substr(program.find_last_of('/') + 1);
    for (const std::string prefix : {"stepscan_bench_", "stepscan_peer_"}) {
      if (family.compare(0, prefix.size(), prefix) == 0) family.erase(0, prefix.size());
    }
  }
  const auto is_median = [](const nlohmann::json& entry) { return entry.value("aggregate_name", "") == "median"; };
  const auto& entries = document["benchmarks"];
  const bool medians = std::any_of(entries.begin(), entries.end(), is_median);
  for (const auto& entry : entries) {
    Result result;
    if (medians != is_median(entry) || entry.value("error_occurred", false)) continue;
    if (!parse_name(entry.value("run_name", entry.value("name", "")), result)) continue;
    const std::string unit = entry.value("time_unit", "ns");
    const double scale = unit == "ns" ? 1e-9 : unit == "us" ? 1e-6 : unit == "ms" ? 1e-3 : 1;
    result.family = family;
    result.seconds = scale * entry.value(result.threads > 1 ? "real_time" : "cpu_time", 0.0);
    result.tokens = entry.value("tokens/s", 0.0);
    result.floor = entry.value("floor", 0.0);
    if (result.seconds > 0) run.results.push_back(std::move(result));
  }
}

}  // namespace report
