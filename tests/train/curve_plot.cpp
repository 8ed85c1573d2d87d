#include <io/files.hpp>
#include <stepscan/train/curve_plot.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("a plot has title, labels, round ticks, a legend and its curves", "[train]") {
  CurvePlot plot{"A <b> & c", "update", "loss", {}};
  plot.curves.push_back({"training", {0, 50, 100}, {2.5, 1.25, 0.5}});
  plot.curves.push_back({"validation", {0, 100}, {3, 1}});
  const std::string svg = plot.svg();
  for (const char* text : {">A &lt;b&gt; &amp; c<", ">update<", ">loss<", ">training<", ">validation<", ">0<", ">20<",
                           ">100<", ">0.5<", ">3<"}) {
    CHECK_THAT(svg, ContainsSubstring(text));
  }
  CHECK(count_of(svg, "<polyline") == 2);
  CHECK_THAT(svg, ContainsSubstring("points=\"80,124 370,309 660,420\""));
  CHECK_THAT(svg, ContainsSubstring("660,346\""));
}

TEST_CASE("points that are no numbers leave a gap, and any numbers make a picture", "[train]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CurvePlot plot{"", "", "", {{"gap", {0, 1, 2, 3, 4}, {1, 2, nan, 3, 4}}, {"dot", {2}, {1}}, {"none", {}, {}}}};
  CHECK(count_of(plot.svg(), "<polyline") == 3);
  for (const std::vector<double>& y :
       {std::vector<double>{}, {5, 5}, {0, 0}, {nan, nan}, {1e300, -1e300}, {1e-300, 0}}) {
    plot.curves = {{"y", std::vector<double>(y.size(), 7), y}};
    const std::string svg = plot.svg();
    CHECK(count_of(svg, "nan") == 0);
    CHECK(count_of(svg, "inf") == 0);
    CHECK(count_of(svg, "<text") < 40);
  }
  plot.curves = {{"y", {1}, {1, 2}}};
  CHECK_THROWS_AS(plot.svg(), ArgumentError);
}

TEST_CASE("a plot is saved to a file", "[train]") {
  const stepscan_test::TemporaryFolder folder;
  const CurvePlot plot{"title", "x", "y", {{"line", {0, 1}, {0, 1}}}};
  plot.save(folder / "plot.svg");
  CHECK(stepscan_test::read_text(folder / "plot.svg") == plot.svg());
  CHECK_THROWS_AS(plot.save(folder / "none/plot.svg"), FileError);
}

TEST_CASE("logarithmic axes have ticks at powers of two and at 1, 2, 5, 10, and leave out what has no logarithm",
          "[train]") {
  CurvePlot plot{"", "tokens", "ns", {{"line", {16, 64, 256}, {30, 60, 900}}, {"gap", {16, 0, 64}, {40, 50, 50}}}};
  plot.x_scale = PlotScale::binary;
  plot.y_scale = PlotScale::decimal;
  plot.marks.push_back({64, 60, "cross"});
  const std::string svg = plot.svg();
  for (const char* text : {">16<", ">32<", ">64<", ">256<", ">20<", ">50<", ">100<", ">200<", ">1000<", ">cross<"}) {
    CHECK_THAT(svg, ContainsSubstring(text));
  }
  CHECK(count_of(svg, ">10<") + count_of(svg, ">2000<") + count_of(svg, ">512<") == 0);
  CHECK(count_of(svg, "<polyline") == 3);
  CHECK_THAT(svg, ContainsSubstring("370,"));  // 64 lies in the middle of 16 and 256
}
