#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "page.hpp"

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write '" + path.string() + "'");
}

/// The pictures as files of their own; of the curves those of the layers named.
void write_figures(const std::filesystem::path& folder, const report::Run& run,
                   const std::vector<std::string>& layers) {
  const auto curves = report::form_curves(run.results);
  std::vector<stepscan::CurvePlot> forms;
  for (const std::string& layer : layers) {
    for (const auto& c : curves) {
      if (c.subject.substr(0, c.subject.find(' ')) == layer && c.variant.empty()) {
        forms.push_back(report::form_plot(c));
        break;
      }
    }
  }
  if (forms.empty()) {
    for (const auto& c : curves) forms.push_back(report::form_plot(c));
  }
  const auto keep = [&](const char* name, const std::string& picture) {
    if (!picture.empty()) write(folder / name, picture);
  };
  std::filesystem::create_directories(folder);
  keep("forms.svg", report::grid(forms, 2));
  keep("threads.svg", report::grid(report::thread_plots(curves), 2));
  const auto floors = report::floor_plot(run.results);
  if (!floors.rows.empty()) keep("floor.svg", floors.svg_picture());
  const auto cases = report::comparisons(run.results);
  if (!cases.empty()) keep("peers.svg", report::peer_plot(cases).svg_picture());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Makes of benchmark results (the JSON of Google Benchmark) a page with pictures."};
  std::vector<std::string> files, layers;
  std::string html, figures;
  bool table = false, crossover_table = false;
  app.add_option("files", files, "results, of one run or several")->required();
  app.add_option("--html", html, "file for the page");
  app.add_option("--figures", figures, "folder for the pictures as SVG files");
  app.add_option("--layers", layers, "whose curves the picture of the forms shows")->delimiter(',');
  app.add_flag("--table", table, "print ours beside the peers, as Markdown");
  app.add_flag("--crossovers", crossover_table, "print the lengths at which the fastest form changes, as Markdown");
  CLI11_PARSE(app, argc, argv);
  try {
    report::Run run;
    for (const std::string& file : files) report::read_results(file, run);
    if (run.results.empty()) throw std::runtime_error("expected results with names of layers, found none");
    if (!html.empty()) write(html, report::html_page(run));
    if (!figures.empty()) write_figures(figures, run, layers);
    if (table)
      std::fputs(report::markdown_table(report::comparison_table(report::comparisons(run.results))).c_str(), stdout);
    if (crossover_table) {
      std::fputs(report::markdown_table(report::crossover_table(report::form_curves(run.results))).c_str(), stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
