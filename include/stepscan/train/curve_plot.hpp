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

/// One line of a plot. Points that are not finite leave a gap.
struct Curve {
  std::string name = {};
  std::vector<double> x = {};
  std::vector<double> y = {};
};

/// Curves over one pair of axes, with title and legend, as SVG: what a training run leaves behind.
///   CurvePlot plot{"Parity", "update", "loss"};
///   plot.curves.push_back({"training", updates, losses});
///   plot.save("curves.svg");
struct CurvePlot {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::vector<Curve> curves = {};

  /// The picture as text of an SVG file. Throws ArgumentError when a curve has not as many x as y.
  [[nodiscard]] std::string svg() const;

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
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  double first_pixel;
  double last_pixel;
  double spacing = 1;  ///< of the ticks: 1, 2 or 5 times a power of ten

  PlotAxis(double first, double last) : first_pixel(first), last_pixel(last) {}

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }

  /// Widens the range to whole ticks, about six of them.
  void finish() {
    if (!(low <= high)) low = 0, high = 1;
    const double least = std::max({std::abs(low), std::abs(high), 1e-12}) * 1e-9;
    if (high - low < least) low -= least, high += least;
    const double rough = high / 5 - low / 5;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    spacing = 10 * power;
    for (const double step : {5.0, 2.0, 1.0}) {
      if (step * power >= rough) spacing = step * power;
    }
    low = std::floor(low / spacing) * spacing;
    high = std::ceil(high / spacing) * spacing;
  }

  [[nodiscard]] double pixel(double value) const {
    return first_pixel + (value - low) / (high - low) * (last_pixel - first_pixel);
  }
  [[nodiscard]] int ticks() const { return static_cast<int>(std::lround((high - low) / spacing)); }
  /// Tick i; 0 is 0, not the rounding error of a sum.
  [[nodiscard]] double tick(int i) const {
    const double value = low + i * spacing;
    return std::abs(value) < spacing * 1e-6 ? 0 : value;
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

[[nodiscard]] inline std::string svg_line(double x1, double y1, double x2, double y2, const char* colour, int width) {
  return "<line x1=\"" + pixel_text(x1) + "\" y1=\"" + pixel_text(y1) + "\" x2=\"" + pixel_text(x2) + "\" y2=\"" +
         pixel_text(y2) + "\" stroke=\"" + colour + "\" stroke-width=\"" + std::to_string(width) + "\"/>\n";
}

/// A curve as pieces between its gaps; a single point is a dot.
[[nodiscard]] inline std::string svg_curve(const Curve& curve, const PlotAxis& x, const PlotAxis& y,
                                           const char* colour) {
  std::string svg, points;
  int count = 0;
  const auto finish = [&] {
    const std::string ink = std::string(" stroke=\"") + colour + "\" stroke-width=\"";
    if (count == 1) points += " " + points;
    if (count > 0) {
      svg += "<polyline fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\"" + ink +
             (count == 1 ? "5" : "2") + "\" points=\"" + points + "\"/>\n";
    }
    points.clear();
    count = 0;
  };
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (!std::isfinite(curve.x[i]) || !std::isfinite(curve.y[i])) {
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

/// Colours that stay apart for colour-blind readers too (Okabe and Ito).
inline constexpr std::array plot_colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                         "#E69F00", "#56B4E9", "#000000", "#8C6D31"};

}  // namespace detail

inline std::string CurvePlot::svg() const {
  constexpr double width = 860, height = 480, left = 80, right = 660, top = 50, bottom = 420;
  detail::PlotAxis across(left, right), up(bottom, top);
  for (const Curve& curve : curves) {
    if (curve.x.size() != curve.y.size()) {
      fail<ArgumentError>("CurvePlot: curve '" + curve.name + "': expected as many x as y, found " +
                          std::to_string(curve.x.size()) + " and " + std::to_string(curve.y.size()));
    }
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (!std::isfinite(curve.x[i]) || !std::isfinite(curve.y[i])) continue;
      across.include(curve.x[i]);
      up.include(curve.y[i]);
    }
  }
  across.finish();
  up.finish();

  const std::string middle = " text-anchor=\"middle\"", end = " text-anchor=\"end\"";
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + std::to_string(int(width)) + " " +
                    std::to_string(int(height)) + "\" font-family=\"sans-serif\" font-size=\"13\">\n" +
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  svg += detail::svg_text((left + right) / 2, 28, title, middle + " font-size=\"17\"");
  for (int i = 0; i <= across.ticks(); ++i) {
    const double x = across.pixel(across.tick(i));
    svg += detail::svg_line(x, bottom, x, top, "#e4e4e4", 1);
    svg += detail::svg_text(x, bottom + 20, detail::number_text(across.tick(i), 6), middle);
  }
  for (int i = 0; i <= up.ticks(); ++i) {
    const double y = up.pixel(up.tick(i));
    svg += detail::svg_line(left, y, right, y, "#e4e4e4", 1);
    svg += detail::svg_text(left - 8, y + 4, detail::number_text(up.tick(i), 6), end);
  }
  svg += detail::svg_line(left, bottom, right, bottom, "#333333", 1);
  svg += detail::svg_line(left, bottom, left, top, "#333333", 1);
  svg += detail::svg_text((left + right) / 2, bottom + 46, x_label, middle);
  const std::string turn = "rotate(-90 22 " + detail::pixel_text((top + bottom) / 2) + ")";
  svg += detail::svg_text(22, (top + bottom) / 2, y_label, middle + " transform=\"" + turn + "\"");
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const char* colour = detail::plot_colours[c % detail::plot_colours.size()];
    svg += detail::svg_curve(curves[c], across, up, colour);
    const double y = top + 8 + 22 * static_cast<double>(c);
    svg += detail::svg_line(right + 16, y, right + 40, y, colour, 3);
    svg += detail::svg_text(right + 48, y + 4, curves[c].name, {});
  }
  return svg + "</svg>\n";
}

}  // namespace stepscan::inline STEPSCAN_ISA
