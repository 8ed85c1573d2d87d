#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stepscan/core/error.hpp>
#include <stepscan/train/number_text.hpp>
#include <string>
#include <utility>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// One line of a plot. Points that are not finite, or not above 0 on a logarithmic axis, leave a gap.
struct Curve {
  std::string name = {};
  std::vector<double> x = {};
  std::vector<double> y = {};
  bool dashed = false;
  int colour = -1;  ///< which of the plot's colours; -1: that of its place among the curves

  void add(double at, double value) {
    x.push_back(at);
    y.push_back(value);
  }
};

/// How numbers lie along an axis: evenly, or their logarithms, with ticks at powers of two or at 1, 2, 5, 10, ...
enum class PlotScale { linear, binary, decimal };

/// A ring around a point, with a word above it.
struct PlotMark {
  double x = 0;
  double y = 0;
  std::string text = {};
};

/// Curves over one pair of axes, each named where it ends, as SVG: what a training run leaves behind. Its colours suit
/// bright and dark pages, whichever the reader's system asks for.
///   CurvePlot plot{"Parity", "update", "loss"};
///   plot.curves.push_back({"training", updates, losses});
///   plot.save("curves.svg");
struct CurvePlot {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::vector<Curve> curves = {};
  std::vector<PlotMark> marks = {};
  PlotScale x_scale = PlotScale::linear;
  PlotScale y_scale = PlotScale::linear;
  int width = 860;
  int height = 480;
  int names_width = 200;  ///< room for the curves' names

  /// The picture as text of an SVG file. Throws ArgumentError when a curve has not as many x as y.
  [[nodiscard]] std::string svg() const;

  /// What stands in it, for a picture of several plots under one detail::plot_header.
  [[nodiscard]] std::string body() const;

  /// Writes it to a file. Throws FileError when that fails.
  void save(const std::filesystem::path& path) const {
    std::ofstream file(path, std::ios::binary);
    file << svg();
    if (!file.flush()) fail<FileError>("cannot write '" + path.string() + "'");
  }
};

namespace detail {

/// The numbers along one axis and where they lie in the picture.
struct PlotAxis {
  PlotScale scale;
  double first_pixel;
  double last_pixel;
  double low = std::numeric_limits<double>::infinity();  ///< of the numbers, or of their logarithms
  double high = -low;
  std::vector<double> ticks = {};

  PlotAxis(PlotScale how, double first, double last) : scale(how), first_pixel(first), last_pixel(last) {}

  [[nodiscard]] double place(double value) const {
    return scale == PlotScale::linear ? value : scale == PlotScale::binary ? std::log2(value) : std::log10(value);
  }
  [[nodiscard]] bool shows(double value) const { return std::isfinite(value) && std::isfinite(place(value)); }
  void include(double value) {
    low = std::min(low, place(value));
    high = std::max(high, place(value));
  }

  /// Widens the range to whole ticks.
  void finish() {
    if (!(low <= high)) low = 0, high = 1;
    if (scale == PlotScale::decimal) {
      finish_decimal();
    } else if (scale == PlotScale::binary) {
      low = std::floor(low);
      high = std::max(std::ceil(high), low + 1);
      const double most = std::max(std::abs(last_pixel - first_pixel) / 48, 1.0);  // labels of six digits
      const double step = std::ceil((high - low) / most);
      for (double power = low; power <= high; power += step) ticks.push_back(std::exp2(power));
    } else {
      finish_linear();
    }
  }

  [[nodiscard]] double pixel(double value) const {
    return first_pixel + (place(value) - low) / (high - low) * (last_pixel - first_pixel);
  }

 private:
  /// About six ticks, 1, 2 or 5 times a power of ten apart; 0 is 0, not the rounding error of a sum.
  void finish_linear() {
    const double least = std::max({std::abs(low), std::abs(high), 1e-12}) * 1e-9;
    if (high - low < least) low -= least, high += least;
    const double rough = high / 5 - low / 5;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    double spacing = 10 * power;
    for (const double step : {5.0, 2.0, 1.0}) {
      if (step * power >= rough) spacing = step * power;
    }
    low = std::floor(low / spacing) * spacing;
    high = std::ceil(high / spacing) * spacing;
    for (long i = 0; i <= std::lround((high - low) / spacing); ++i) {
      const double value = low + static_cast<double>(i) * spacing;
      ticks.push_back(std::abs(value) < spacing * 1e-6 ? 0 : value);
    }
  }
  /// The powers of ten, and where there are few, 2 and 5 times these.
  void finish_decimal() {
    const int first = static_cast<int>(std::floor(low + 1e-9)), last = static_cast<int>(std::ceil(high - 1e-9));
    const int step = (last - first) / 8 + 1;
    for (int decade = first; decade <= last; decade += step) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor == 1 || last - first <= 3) ticks.push_back(factor * std::pow(10.0, decade));
      }
    }
    const auto trim = [&](auto outside) {
      while (ticks.size() > 2 && outside()) ticks.erase(ticks.begin());
    };
    trim([&] { return place(ticks[1]) <= low + 1e-9; });
    std::reverse(ticks.begin(), ticks.end());
    trim([&] { return place(ticks[1]) >= high - 1e-9; });
    std::reverse(ticks.begin(), ticks.end());
    low = std::min(low, place(ticks.front()));
    high = std::max(high, place(ticks.back()));
  }
};

/// A place in the picture, to a tenth of a pixel.
[[nodiscard]] inline std::string pixel_text(double value) { return number_text(std::round(value * 10) / 10, 6); }

[[nodiscard]] inline std::string xml_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20;
    escaped += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : control ? " " : std::string(1, c);
  }
  return escaped;
}

[[nodiscard]] inline std::string svg_text(double x, double y, const std::string& text, const std::string& attributes) {
  return "<text x=\"" + pixel_text(x) + "\" y=\"" + pixel_text(y) + "\"" + attributes + ">" + xml_text(text) +
         "</text>\n";
}

[[nodiscard]] inline std::string svg_line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + pixel_text(x1) + "\" y1=\"" + pixel_text(y1) + "\" x2=\"" + pixel_text(x2) + "\" y2=\"" +
         pixel_text(y2) + "\" class=\"" + style + "\"/>\n";
}

/// The start of a picture: its size, and its colours on bright and dark paper. Curves' colours stay apart for
/// colour-blind readers too (Okabe and Ito; brightened where the paper is dark).
[[nodiscard]] inline std::string plot_header(int width, int height) {
  constexpr std::array bright{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1f2328", "#8C6D31"};
  constexpr std::array dark{"#56A8E8", "#FF8A3C", "#2CC79A", "#E39AC4", "#F2BC45", "#9AD4F5", "#e6edf3", "#C9A86A"};
  const auto colours = [](const auto& list) {
    std::string rules;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string name = ".c" + std::to_string(i), colour = list[i];
      rules += name + "{stroke:" + colour + "}" + name + "f{fill:" + colour + "}";
    }
    return rules;
  };
  const std::string size = std::to_string(width) + " " + std::to_string(height);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size +
         "\" font-family=\"sans-serif\" "
         "font-size=\"13\">\n<style>.paper{fill:#fff}text{fill:#1f2328}.rule{stroke:#e1e4e8}.frame{stroke:#57606a}"
         ".halo{stroke:#fff;stroke-width:4;paint-order:stroke}.curve,.end{fill:none;stroke-width:2;"
         "stroke-linecap:round;stroke-linejoin:round}.end{stroke-width:1;opacity:.6}.dot{stroke-width:5}"
         ".dashed{stroke-dasharray:5 5}" +
         colours(bright) +
         "@media(prefers-color-scheme:dark){.paper{fill:#0d1117}text{fill:#e6edf3}.rule{stroke:#30363d}"
         ".frame{stroke:#8b949e}.halo{stroke:#0d1117}" +
         colours(dark) + "}</style>\n<rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n";
}

/// A curve as pieces between its gaps; a single point is a dot.
[[nodiscard]] inline std::string svg_curve(const Curve& curve, const PlotAxis& x, const PlotAxis& y,
                                           const std::string& colour) {
  std::string svg, points;
  int count = 0;
  const auto finish = [&] {
    const std::string style = "curve " + colour + (count == 1 ? " dot" : curve.dashed ? " dashed" : "");
    if (count == 1) points += " " + points;
    if (count > 0) svg += "<polyline class=\"" + style + "\" points=\"" + points + "\"/>\n";
    points.clear();
    count = 0;
  };
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (!x.shows(curve.x[i]) || !y.shows(curve.y[i])) {
      finish();
      continue;
    }
    if (count > 0) points += ' ';
    points.append(pixel_text(x.pixel(curve.x[i]))).append(",").append(pixel_text(y.pixel(curve.y[i])));
    ++count;
  }
  finish();
  return svg;
}

/// A curve's name, and where it ends.
struct CurveEnd {
  std::string name;
  std::string style;
  double x, y;
};

/// The names beside the ends of their curves, moved apart where these lie close.
[[nodiscard]] inline std::string svg_names(std::vector<CurveEnd> ends, double right, double top, double bottom) {
  constexpr double spacing = 17;
  std::stable_sort(ends.begin(), ends.end(), [](const CurveEnd& a, const CurveEnd& b) { return a.y < b.y; });
  std::vector<double> at;
  for (const CurveEnd& end : ends) at.push_back(std::max(end.y, at.empty() ? top : at.back() + spacing));
  double lowest = bottom;
  for (std::size_t i = at.size(); i-- > 0;) {
    at[i] = std::max(std::min(at[i], lowest), top + spacing * static_cast<double>(i));
    lowest = at[i] - spacing;
  }
  std::string svg;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    svg += svg_line(ends[i].x, ends[i].y, right + 14, at[i], "end " + ends[i].style);
    svg += svg_line(right + 14, at[i], right + 30, at[i], "curve " + ends[i].style);
    svg += svg_text(right + 36, at[i] + 4, ends[i].name, {});
  }
  return svg;
}

inline constexpr int plot_colours = 8;

}  // namespace detail

inline std::string CurvePlot::svg() const { return detail::plot_header(width, height) + body() + "</svg>\n"; }

inline std::string CurvePlot::body() const {
  const double left = 80, right = width - names_width, top = 50, bottom = height - 60;
  detail::PlotAxis across(x_scale, left, right), up(y_scale, bottom, top);
  for (const Curve& curve : curves) {
    if (curve.x.size() != curve.y.size()) {
      fail<ArgumentError>("CurvePlot: curve '" + curve.name + "': expected as many x as y, found " +
                          std::to_string(curve.x.size()) + " and " + std::to_string(curve.y.size()));
    }
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (!across.shows(curve.x[i]) || !up.shows(curve.y[i])) continue;
      across.include(curve.x[i]);
      up.include(curve.y[i]);
    }
  }
  across.finish();
  up.finish();

  const std::string middle = " text-anchor=\"middle\"", end = " text-anchor=\"end\"";
  std::string svg = detail::svg_text((left + right) / 2, 28, title, middle + " font-size=\"17\"");
  for (const double tick : across.ticks) {
    const double x = across.pixel(tick);
    svg += detail::svg_line(x, bottom, x, top, "rule");
    svg += detail::svg_text(x, bottom + 20, detail::number_text(tick, 6), middle);
  }
  for (const double tick : up.ticks) {
    const double y = up.pixel(tick);
    svg += detail::svg_line(left, y, right, y, "rule");
    svg += detail::svg_text(left - 8, y + 4, detail::number_text(tick, 6), end);
  }
  svg += detail::svg_line(left, bottom, right, bottom, "frame");
  svg += detail::svg_line(left, bottom, left, top, "frame");
  svg += detail::svg_text((left + right) / 2, bottom + 46, x_label, middle);
  const std::string turn = "rotate(-90 22 " + detail::pixel_text((top + bottom) / 2) + ")";
  svg += detail::svg_text(22, (top + bottom) / 2, y_label, middle + " transform=\"" + turn + "\"");
  std::vector<detail::CurveEnd> ends;
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Curve& curve = curves[c];
    const int number = curve.colour >= 0 ? curve.colour : static_cast<int>(c);
    const std::string colour = "c" + std::to_string(number % detail::plot_colours);
    svg += detail::svg_curve(curve, across, up, colour);
    for (std::size_t i = curve.x.size(); i-- > 0;) {
      if (!across.shows(curve.x[i]) || !up.shows(curve.y[i])) continue;
      ends.push_back(
          {curve.name, colour + (curve.dashed ? " dashed" : ""), across.pixel(curve.x[i]), up.pixel(curve.y[i])});
      break;
    }
  }
  svg += detail::svg_names(std::move(ends), right, top, bottom);
  for (const PlotMark& mark : marks) {
    if (!across.shows(mark.x) || !up.shows(mark.y)) continue;
    const double x = across.pixel(mark.x), y = up.pixel(mark.y);
    svg += "<circle cx=\"" + detail::pixel_text(x) + "\" cy=\"" + detail::pixel_text(y) +
           "\" r=\"6\" fill=\"none\" stroke-width=\"1.5\" class=\"frame\"/>\n";
    svg += detail::svg_text(x, y - 12, mark.text, middle + " class=\"halo\"");
  }
  return svg;
}

}  // namespace stepscan::inline STEPSCAN_ISA
