#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "job.hpp"

namespace {

using main_job::Options;
using main_job::Row;

void print_table(const std::vector<Row>& rows) {
  std::size_t widest = 5;
  for (const Row& row : rows) widest = std::max(widest, row.layer.size());
  const int width = static_cast<int>(widest);
  std::printf("%-*s  %-16s %14s %10s %12s\n", width, "layer", "form", "tokens/s", "ratio", "difference");
  for (const Row& row : rows) {
    std::printf("%-*s  %-16s %14.0f %9.2fx %12.1e\n", width, row.layer.c_str(), row.form.c_str(), row.tokens_per_second,
                row.ratio, row.difference);
  }
}

bool write_json(const Options& options, const std::vector<Row>& rows) {
  nlohmann::json results = nlohmann::json::array();
  for (const Row& row : rows) {
    results.push_back({{"layer", row.layer},
                       {"form", row.form},
                       {"tokens_per_second", row.tokens_per_second},
                       {"ratio_to_recurrent", row.ratio},
                       {"largest_difference", row.difference}});
  }
  const nlohmann::json document = {{"batch", options.batch},     {"time", options.time}, {"width", options.width},
                                   {"threads", options.threads}, {"scalar", "float"},    {"results", results}};
  std::ofstream file(options.json);
  file << document.dump(2) << '\n';
  return file.good();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.threads = stepscan::max_threads();
  CLI::App app{"Runs every layer of stepscan in every form it has, on the same input, and compares speed and results."};
  app.add_option("--layer", options.layer, "only layers whose name contains this");
  app.add_option("--batch", options.batch, "sequences at once")->capture_default_str()->check(CLI::Range(1, 4096));
  app.add_option("--time", options.time, "tokens per sequence")->capture_default_str()->check(CLI::Range(1, 1 << 24));
  app.add_option("--width", options.width, "features in and out, a multiple of 4")
      ->capture_default_str()
      ->check(CLI::Range(4, 4096));
  app.add_option("--threads", options.threads, "threads of a scan")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--seconds", options.seconds, "how long each form is timed")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 3600.0));
  app.add_option("--json", options.json, "file for the results");
  CLI11_PARSE(app, argc, argv);
  if (options.width % 4 != 0) {
    std::fprintf(stderr, "--width: expected a multiple of 4 (the layers with heads have 4), found %td\n",
                 options.width);
    return 1;
  }
  stepscan::set_max_threads(options.threads);

  std::vector<main_job::Entry> entries;
  for (auto family : {main_job::recurrent_layers, main_job::multihead_layers, main_job::affine_layers,
                      main_job::decay_layers, main_job::selective_layers, main_job::state_space_layers,
                      main_job::attention_layers, main_job::chosen_attention, main_job::pointers, main_job::blocks,
                      main_job::models}) {
    for (auto& entry : family()) {
      if (entry.name.find(options.layer) != std::string::npos) entries.push_back(entry);
    }
  }
  if (entries.empty()) {
    std::fprintf(stderr, "no layer's name contains '%s'\n", options.layer.c_str());
    return 1;
  }

  const bool terminal = isatty(STDERR_FILENO) != 0;
  std::vector<Row> rows;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto progress = [&](const std::string& layer, const std::string& form) {
      if (terminal)
        std::fprintf(stderr, "\r\033[K[%zu/%zu] %s, %s", i + 1, entries.size(), layer.c_str(), form.c_str());
    };
    if (!terminal) std::fprintf(stderr, "[%zu/%zu] %s\n", i + 1, entries.size(), entries[i].name.c_str());
    entries[i].run(options, progress, rows);
  }
  if (terminal) std::fprintf(stderr, "\r\033[K");

  std::printf("float, batch %td, %td tokens, width %td, %d thread(s)\n", options.batch, options.time, options.width,
              options.threads);
  print_table(rows);
  if (!options.json.empty() && !write_json(options, rows)) {
    std::fprintf(stderr, "cannot write %s\n", options.json.c_str());
    return 1;
  }
  return 0;
}
