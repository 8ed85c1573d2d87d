#pragma once

#include "figures.hpp"

/// The report as one HTML file and as Markdown: no scripts, nothing from the network.
namespace report {

/// "1.23 ms"
[[nodiscard]] inline std::string duration_text(double seconds) {
  const auto [scale, unit] = seconds < 1e-6   ? std::pair(1e9, " ns")
                             : seconds < 1e-3 ? std::pair(1e6, " us")
                             : seconds < 1    ? std::pair(1e3, " ms")
                                              : std::pair(1.0, " s");
  return svg::number_text(seconds * scale, 3) + unit;
}

[[nodiscard]] inline std::string percent_text(double share) {
  return share > 0 ? svg::number_text(std::round(100 * share), 4) + " %" : "";
}

/// Rows of cells, the first of them the head, as HTML.
[[nodiscard]] inline std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  std::string text = "<table>\n";
  for (const auto& row : rows) {
    const std::string cell = &row == &rows.front() ? "th" : "td";
    text += "<tr>";
    for (const std::string& value : row) text += "<" + cell + ">" + svg::xml_text(value) + "</" + cell + ">";
    text += "</tr>\n";
  }
  return text + "</table>\n";
}
[[nodiscard]] inline std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (const auto& row : rows) {
    for (const std::string& value : row) text += "| " + value + " ";
    text += "|\n";
    if (&row != &rows.front()) continue;
    for (std::size_t i = 0; i < row.size(); ++i) text += "|---";
    text += "|\n";
  }
  return text;
}

using Table = std::vector<std::vector<std::string>>;

/// Case, ours, best peer, ratio, share of the floor: ours as it ran beside that peer.
[[nodiscard]] inline Table comparison_table(const std::vector<Comparison>& cases) {
  Table table{{"case", "stepscan", "best peer", "ratio", "share of the floor"}};
  for (const Comparison& c : cases) {
    const auto& [peer, race] = c.best();
    table.push_back({c.name, duration_text(race.ours), duration_text(race.peer) + ", " + peer,
                     svg::number_text(race.ratio(), 3), percent_text(c.share_of_floor())});
  }
  return table;
}

[[nodiscard]] inline Table crossover_table(const std::vector<FormCurves>& all) {
  Table table{{"layer", "one thread", "two threads"}};
  for (const FormCurves& c : all) {
    std::vector<std::string> row{c.subject + (c.variant.empty() ? "" : ", " + c.variant)};
    for (const int threads : {1, 2}) {
      std::string& text = row.emplace_back();
      const auto forms = c.times.find(threads);
      if (forms == c.times.end() || forms->second.size() < 2) continue;
      for (const Crossover& x : crossovers(c, threads)) {
        text += (text.empty() ? "" : "; ") + x.from + " to " + x.to + " at " + rounded(x.time);
      }
      if (!text.empty()) continue;
      double sums[2] = {};
      std::string best;
      for (const auto& [form, times] : forms->second) {
        if (threads == 1 && form == "Parallel") continue;
        sums[1] = 0;
        for (const auto& [time, seconds] : times) sums[1] += std::log(seconds / c.tokens(time)) / double(times.size());
        if (best.empty() || sums[1] < sums[0]) best = form, sums[0] = sums[1];
      }
      text = best + " throughout";
    }
    if (row.back() + row[1] != "") table.push_back(std::move(row));
  }
  return table;
}

[[nodiscard]] inline Table ceiling_table(const std::map<std::string, std::string>& context) {
  Table table{{"ceiling", "one thread", "two threads"}};
  const std::array<std::tuple<std::string, std::string, double>, 7> rows{
      {{"product", "GFLOP/s, product of 512", 1e9},
       {"OpenBLAS product", "GFLOP/s, the same by OpenBLAS", 1e9},
       {"exp", "G exp/s", 1e9},
       {"first level", "GB/s, first cache level", 1e9},
       {"second level", "GB/s, second", 1e9},
       {"third level", "GB/s, third", 1e9},
       {"memory", "GB/s, memory", 1e9}}};
  for (const auto& [key, name, unit] : rows) {
    std::vector<std::string> row{name};
    for (const int threads : {1, 2}) {
      const auto found = context.find("ceiling/" + key + "/threads:" + std::to_string(threads));
      row.push_back(found == context.end() ? "" : svg::number_text(std::stod(found->second) / unit, 3));
    }
    if (row[1] + row[2] != "") table.push_back(std::move(row));
  }
  return table;
}

[[nodiscard]] inline Table result_table(const std::vector<Result>& results) {
  Table table{{"layer", "form", "pass", "batch", "tokens", "threads", "time", "tokens/s", "share of the floor"}};
  for (const Result& r : results) {
    table.push_back({(r.peer.empty() ? "" : r.peer + ": ") + r.subject() + (r.variant.empty() ? "" : ", " + r.variant),
                     r.form, r.pass, std::to_string(r.batch), std::to_string(r.time), std::to_string(r.threads),
                     duration_text(r.seconds), r.tokens > 0 ? svg::number_text(r.tokens, 3) : "",
                     percent_text(r.floor)});
  }
  return table;
}

[[nodiscard]] inline std::string html_page(const Run& run) {
  const std::vector<FormCurves> curves = form_curves(run.results);
  const std::vector<Comparison> cases = comparisons(run.results);
  const auto said = [&](const std::string& key) {
    const auto found = run.context.find(key);
    return found == run.context.end() ? std::string("?") : svg::xml_text(found->second);
  };
  std::string text =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>stepscan: benchmarks</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width\"><style>\n"
      ":root{color-scheme:light dark}body{font:15px/1.5 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;"
      "background:#fff;color:#1f2328}svg{width:100%;height:auto}table{border-collapse:collapse;font-size:13px}"
      "td,th{padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid #8884;white-space:nowrap}"
      "summary{cursor:pointer}@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}}"
      "</style></head><body>\n<h1>stepscan: benchmarks</h1>\n";
  text += "<p>" + said("date") + ", " + said("num_cpus") + " processors at " + said("mhz_per_cpu") +
          " MHz, built for " + said("instruction_set") +
          ". Times are medians or means of Google Benchmark's runs.</p>\n";
  text += html_table(ceiling_table(run.context));
  const auto section = [&](const std::string& title, const std::string& words, const std::string& content) {
    if (!content.empty()) text += "<h2>" + title + "</h2>\n<p>" + words + "</p>\n" + content;
  };
  if (!cases.empty()) {
    section("Peers", "Above 1, stepscan is faster.",
            peer_plot(cases).svg_picture() + html_table(comparison_table(cases)));
  }
  std::vector<CurvePlot> forms;
  for (const FormCurves& c : curves) forms.push_back(form_plot(c));
  section("Forms over time",
          "Time of one token in each form; rings mark the lengths at which the fastest form changes.",
          grid(forms, 2) + html_table(crossover_table(curves)));
  section("Threads", "The fastest form on two threads beside the fastest on one.", grid(thread_plots(curves), 2));
  const DotPlot floors = floor_plot(run.results);
  section("Share of the floor",
          "The floor is the longer of arithmetic (a matrix product's rate, exponentials) and memory traffic, at the "
          "ceilings measured in the same run. For each layer the best of all lengths. Where data come from a nearer "
          "cache than the sizes say, a share may pass 100 %.",
          floors.rows.empty() ? "" : floors.svg_picture());
  return text + "<details><summary>All results</summary>\n" + html_table(result_table(run.results)) +
         "</details>\n</body></html>\n";
}

}  // namespace report
