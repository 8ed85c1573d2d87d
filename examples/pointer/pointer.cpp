/// A pointer network looks for convex hulls, or for short tours, of points in the plane: how often it finds them, and a
/// drawing beside the exact answers.

#include <chrono>

#include "../support/arguments.hpp"
#include "drawing.hpp"
#include "evaluation.hpp"
#include "solver.hpp"

namespace {

using namespace examples;

constexpr const char* usage =
    "usage: stepscan_pointer [--tour] [--weights FILE] [--points FILE] [--sets N] [--beams N] [--svg FILE] ...\n"
    "  --tour           looks for tours; for convex hulls without\n"
    "  --weights FILE   parameters (safetensors); fresh ones without, which find little\n"
    "  --hidden N       units of fresh ones (default 128)\n"
    "  --points FILE    points (safetensors, in/points [sets, points, 2]); random ones without\n"
    "  --size N         random points of a set (default 10)\n"
    "  --sets N         sets to solve, or of the file to take (default 1000)\n"
    "  --beams N        beam search of so many beams; greedy search without\n"
    "  --svg FILE       draws the first sets\n"
    "  --draw N         how many of them (default 4)\n"
    "  --seed N         of random points and fresh parameters (default 1)\n";

void run(Arguments arguments) {
  const Task task = arguments.flag("--tour") ? Task::tour : Task::hull;
  const std::string weights = arguments.word("--weights", {}), points = arguments.word("--points", {}),
                    svg = arguments.word("--svg", {});
  const Index hidden = arguments.number("--hidden", 128, 1, 4096), size = arguments.number("--size", 10, 1, 1000),
              count = arguments.number("--sets", 1000, 1, 1 << 20), beams = arguments.number("--beams", 1, 1, 1000),
              drawn = arguments.number("--draw", 4, 1, 1000);
  const auto seed = static_cast<std::uint64_t>(arguments.number("--seed", 1, 0, 1 << 30));
  static_cast<void>(arguments.words(0));

  const PointSets sets =
      points.empty() ? random_point_sets(task, count, size, seed) : read_point_sets(task, points, count);
  const Network network = weights.empty() ? make_network(task, hidden, seed) : load_network(task, weights);
  std::printf("%td parameters, %td sets of %td points\n", stepscan::element_count(network), sets.count(), sets.size());

  stepscan::Workspace workspace;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Polygon> found = solve(network, sets, beams, workspace);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print(evaluate(sets, found), task);
  std::printf("%.0f sets a second\n", static_cast<double>(sets.count()) / seconds);
  if (!svg.empty()) draw(svg, sets, found, drawn);
}

}  // namespace

int main(int count, char** values) { return examples::run_program("stepscan_pointer", usage, count, values, run); }
