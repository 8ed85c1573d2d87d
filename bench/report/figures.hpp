#pragma once

#include <set>
#include <stepscan/train/curve_plot.hpp>

#include "analysis.hpp"

/// The pictures: curves over time, what threads bring, shares of the floor, and peers.
namespace report {

using stepscan::Curve;
using stepscan::CurvePlot;
using stepscan::PlotScale;
namespace svg = stepscan::detail;

/// A form keeps its colour in every picture.
[[nodiscard]] inline int colour_of(const std::string& form) {
  const std::array names{"Recurrent", "Chunked", "Parallel", "Convolution", "Newton full", "Newton diagonal", "own"};
  return static_cast<int>(std::find(names.begin(), names.end(), form) - names.begin());
}

/// "23 tokens" and the like: two digits are what an interpolation is worth.
[[nodiscard]] inline std::string rounded(double value) {
  if (value < 10) return svg::number_text(std::round(value * 10) / 10, 4);
  const double power = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return svg::number_text(std::round(value / power) * power, 10);
}

/// Time of one token in every form, one thread; dashed, the fastest on two.
[[nodiscard]] inline CurvePlot form_plot(const FormCurves& curves) {
  CurvePlot plot;
  plot.title = curves.subject + (curves.variant.empty() ? "" : ", " + curves.variant);
  plot.x_label = "tokens";
  plot.y_label = "ns a token";
  plot.x_scale = PlotScale::binary;
  plot.y_scale = PlotScale::decimal;
  plot.width = 480;
  plot.height = 310;
  plot.names_width = 150;
  const auto add = [&](const std::string& name, const Times& times, int colour, bool dashed) {
    Curve curve{name, {}, {}, dashed, colour};
    for (const auto& [time, seconds] : times) {
      curve.add(static_cast<double>(time), 1e9 * seconds / curves.tokens(time));
    }
    plot.curves.push_back(std::move(curve));
  };
  const auto& one = curves.times.at(1);
  for (const auto& [form, times] : one) add(form, times, colour_of(form), false);
  const auto two = curves.times.find(2);
  if (two != curves.times.end()) add("two threads", fastest(two->second), 6, true);
  int colour = 4;
  for (const auto& [peer, times] : curves.peers) add(peer, times, colour++, true);
  for (const Crossover& c : crossovers(curves, 1)) {
    plot.marks.push_back({c.time, 1e9 * c.seconds / (static_cast<double>(curves.batch) * c.time), rounded(c.time)});
  }
  return plot;
}

/// How many times as fast the fastest form of two threads is as that of one.
[[nodiscard]] inline std::vector<CurvePlot> thread_plots(const std::vector<FormCurves>& all) {
  std::vector<CurvePlot> plots;
  std::string family;
  for (const FormCurves& c : all) {
    const auto two = c.times.find(2);
    if (two == c.times.end() || !c.variant.empty()) continue;
    if (plots.empty() || c.family != family) {
      CurvePlot& plot = plots.emplace_back();
      family = c.family;
      plot.title = family;
      plot.x_label = "tokens";
      plot.y_label = "speed-up on two threads";
      plot.x_scale = PlotScale::binary;
      plot.width = 480;
      plot.height = 310;
      plot.names_width = 210;
    }
    auto& drawn = plots.back().curves;
    const std::string layer = c.subject.substr(0, c.subject.find(' '));
    const bool is_known = std::any_of(drawn.begin(), drawn.end(), [&](const Curve& d) { return d.name == layer; });
    Curve curve{is_known ? c.subject : layer, {}, {}};
    const Times one = fastest(c.times.at(1));
    for (const auto& [time, seconds] : fastest(two->second)) {
      const auto alone = one.find(time);
      if (alone == one.end()) continue;
      curve.add(static_cast<double>(time), alone->second / seconds);
    }
    drawn.push_back(std::move(curve));
  }
  return plots;
}

/// Plots side by side.
[[nodiscard]] inline std::string grid(const std::vector<CurvePlot>& plots, int columns) {
  if (plots.empty()) return {};
  const int width = plots[0].width, height = plots[0].height, count = static_cast<int>(plots.size());
  columns = std::min(columns, count);
  std::string text = svg::plot_header(columns * width, (count + columns - 1) / columns * height);
  for (int i = 0; i < count; ++i) {
    text += "<g transform=\"translate(" + std::to_string(i % columns * width) + " " +
            std::to_string(i / columns * height) + ")\">\n" + plots[static_cast<std::size_t>(i)].body() + "</g>\n";
  }
  return text + "</svg>\n";
}

/// Rows of named dots over one axis.
struct DotPlot {
  struct Dot {
    double value;
    int colour;
  };
  struct Row {
    std::string name;
    std::vector<Dot> dots;
  };

  std::string title;
  std::string label;
  std::vector<std::string> names;  ///< of the colours
  std::vector<Row> rows = {};
  PlotScale scale = PlotScale::linear;
  double from = 0, to = 1;
  int names_width = 250;
  double emphasised = std::nan("");  ///< a value whose line is drawn stronger

  [[nodiscard]] std::string svg_picture() const {
    constexpr int width = 860, spacing = 20, top = 74;
    const double bottom = top + spacing * static_cast<double>(rows.size());
    svg::PlotAxis axis(scale, names_width, width - 30);
    axis.include(from);
    axis.include(to);
    axis.finish();
    std::string text = svg::plot_header(width, static_cast<int>(bottom) + 52);
    text += svg::svg_text(16, 28, title, " font-size=\"17\"");
    double x = 16;
    for (std::size_t i = 0; i < names.size(); ++i) {
      text += dot(x + 5, 48, static_cast<int>(i)) + svg::svg_text(x + 16, 52, names[i], {});
      x += 40 + 7.2 * static_cast<double>(names[i].size());
    }
    for (const double tick : axis.ticks) {
      text += svg::svg_line(axis.pixel(tick), top - 8, axis.pixel(tick), bottom, tick == emphasised ? "frame" : "rule");
      text += svg::svg_text(axis.pixel(tick), bottom + 18, svg::number_text(tick, 6), " text-anchor=\"middle\"");
    }
    text += svg::svg_text((names_width + width - 30) / 2.0, bottom + 42, label, " text-anchor=\"middle\"");
    double y = top + spacing / 2.0 - 4;
    for (const Row& row : rows) {
      text += svg::svg_text(names_width - 12, y + 4, row.name, " text-anchor=\"end\"");
      text += svg::svg_line(names_width, y, width - 30, y, "rule");
      for (const Dot& d : row.dots) text += dot(axis.pixel(d.value), y, d.colour);
      y += spacing;
    }
    return text + "</svg>\n";
  }

 private:
  static std::string dot(double x, double y, int colour) {
    return "<circle cx=\"" + svg::pixel_text(x) + "\" cy=\"" + svg::pixel_text(y) + "\" r=\"5\" class=\"c" +
           std::to_string(colour) + "f\"/>\n";
  }
};

/// The share of the floor of each layer: one step, and the best of scan, forward and backward pass on one thread.
[[nodiscard]] inline DotPlot floor_plot(const std::vector<Result>& results) {
  const std::array<std::string, 4> passes{"scan", "step", "forward", "backward"};
  DotPlot plot{"Share of the time that the least arithmetic and memory traffic take",
               "% of the floor, one thread",
               {passes.begin(), passes.end()}};
  plot.to = 100;
  std::map<std::string, std::size_t> place;
  std::map<std::pair<std::string, int>, double> best;
  for (const Result& r : results) {
    const auto pass = std::find(passes.begin(), passes.end(), r.pass);
    if (pass == passes.end() || r.floor == 0 || r.threads != 1 || !r.peer.empty() || !r.variant.empty()) continue;
    if (place.emplace(r.subject(), plot.rows.size()).second) plot.rows.push_back({r.subject(), {}});
    double& share = best[{r.subject(), static_cast<int>(pass - passes.begin())}];
    share = std::max(share, 100 * r.floor);
  }
  for (const auto& [key, share] : best) plot.rows[place.at(key.first)].dots.push_back({share, key.second});
  for (const auto& [key, share] : best) plot.to = std::max(plot.to, share);
  return plot;
}

/// How many times a peer's time ours is in, case by case.
[[nodiscard]] inline DotPlot peer_plot(const std::vector<Comparison>& cases) {
  std::set<std::string> peers;
  DotPlot plot{"Time of peers over ours", "times as long as stepscan takes", {}};
  plot.scale = PlotScale::decimal;
  plot.names_width = 400;
  plot.emphasised = 1;
  plot.from = plot.to = 1;
  for (const Comparison& c : cases) {
    for (const auto& [peer, race] : c.peers) peers.insert(peer);
  }
  plot.names.assign(peers.begin(), peers.end());
  for (const Comparison& c : cases) {
    DotPlot::Row row{c.name, {}};
    for (const auto& [peer, race] : c.peers) {
      const double ratio = race.ratio();
      plot.from = std::min(plot.from, ratio);
      plot.to = std::max(plot.to, ratio);
      row.dots.push_back({ratio, static_cast<int>(std::distance(peers.begin(), peers.find(peer)))});
    }
    plot.rows.push_back(std::move(row));
  }
  return plot;
}

}  // namespace report
