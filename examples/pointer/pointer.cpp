/// A pointer network looks for convex hulls, short tours or Delaunay triangles of points in the plane: how often it
/// finds them, and a drawing beside the exact answers. The weights that come with it were trained by it.

#include "../support/arguments.hpp"
#include "drawing.hpp"
#include "evaluation.hpp"
#include "train.hpp"
#include "views.hpp"

namespace {

using namespace examples;

constexpr const char* usage =
    "usage: stepscan_pointer [--tour | --delaunay] [--weights FILE] [--points FILE] [--beams N] [--views N] ...\n"
    "       stepscan_pointer [--tour | --delaunay] --train [--minutes N] [--folder DIR] ...\n"
    "       stepscan_pointer [--tour | --delaunay] --quick\n"
    "  --tour           tours through all points; convex hulls without\n"
    "  --delaunay       Delaunay triangles\n"
    "  --weights FILE   parameters (safetensors); those that come with the program without\n"
    "  --points FILE    points (safetensors, in/points [sets, points, 2]); random ones without\n"
    "  --size N         random points of a set (default 10)\n"
    "  --sets N         sets to solve, or of the file to take (default 1000)\n"
    "  --beams N        beam search of so many beams; greedy search without\n"
    "  --views N        asks about so many views, the points turned, mirrored and in other orders; takes the shortest\n"
    "                   tour, or what is likeliest over all of them (default 1)\n"
    "  --svg FILE       draws the first sets\n"
    "  --draw N         how many of them (default 4)\n"
    "  --seed N         of random points and fresh parameters (default 1)\n"
    "  --train          learns from random points, from fresh parameters on unless there are --weights\n"
    "  --quick          a small network, a few updates; fails unless its loss has fallen\n"
    "  --minutes N      of one core to train (default 50)\n"
    "  --updates N      of the parameters, in place of a time: the same on every machine\n"
    "  --least N        points of a set (default 5)\n"
    "  --most N         points of a set (default: hulls 50, tours 20, triangles 5; quick 8)\n"
    "  --hidden N       units of fresh networks (default 128, quick 64)\n"
    "  --batch N        sets to an update (default 128)\n"
    "  --shard N        of them with equally many points (default 32)\n"
    "  --rate N         the highest learning rate, in hundred thousandths (default 200, quick 500)\n"
    "  --folder DIR     writes weights.safetensors, a log and checkpoints, from which the same command goes on\n";

Task task_of(Arguments& arguments) {
  if (arguments.flag("--tour")) return Task::tour;
  return arguments.flag("--delaunay") ? Task::delaunay : Task::hull;
}

Index most_points(Task task, bool quick) {
  if (task == Task::delaunay) return 5;
  if (quick) return 8;
  return task == Task::hull ? 50 : 20;
}

TrainingSettings settings_of(Arguments& arguments, Task task, bool quick) {
  TrainingSettings settings;
  settings.task = task;
  settings.least = arguments.number("--least", 5, 3, 1000);
  settings.most =
      arguments.number("--most", static_cast<int>(most_points(task, quick)), static_cast<int>(settings.least), 1000);
  settings.batch = arguments.number("--batch", 128, 1, 4096);
  settings.shard = arguments.number("--shard", 32, 1, 4096);
  settings.learning_rate = arguments.number("--rate", quick ? 500 : 200, 1, 100'000) * 1e-5;
  settings.updates = arguments.number("--updates", quick ? 600 : 0, 0, 1 << 30);
  settings.seconds = 60.0 * arguments.number("--minutes", 50, 1, 100'000);
  settings.folder = arguments.word("--folder", {});
  return settings;
}

/// Trains, and holds what a quick run has learnt against a bound that chance does not reach.
void teach(Network network, const TrainingSettings& settings, bool quick) {
  const TrainingResult result = train(network, settings);
  if (!settings.folder.empty()) save_network(settings.folder + "/weights.safetensors", network);
  constexpr double learnt = 0.9;
  if (quick && !(result.loss < learnt)) {
    stepscan::fail<stepscan::Error>("expected a loss below 0.9 per pointer, found " + std::to_string(result.loss));
  }
}

void run(Arguments arguments) {
  const Task task = task_of(arguments);
  const bool quick = arguments.flag("--quick"), trains = arguments.flag("--train") || quick;
  const std::string weights = arguments.word("--weights", {}), points = arguments.word("--points", {}),
                    svg = arguments.word("--svg", {});
  const Index hidden = arguments.number("--hidden", quick ? 64 : 128, 1, 4096),
              size = arguments.number("--size", 10, 1, 1000), count = arguments.number("--sets", 1000, 1, 1 << 20),
              beams = arguments.number("--beams", 1, 1, 1000), views = arguments.number("--views", 1, 1, 1000),
              drawn = arguments.number("--draw", 4, 1, 1000);
  TrainingSettings settings = settings_of(arguments, task, quick);
  settings.seed = arguments.seed();
  static_cast<void>(arguments.words(0));
  if (trains) {
    teach(weights.empty() ? make_network(task, hidden, settings.seed) : load_network(task, weights), settings, quick);
    return;
  }

  const std::string shipped = std::string(STEPSCAN_EXAMPLE_FOLDER "/weights/") + name_of(task) + ".safetensors";
  const Network network = load_network(task, weights.empty() ? shipped : weights);
  const PointSets sets =
      points.empty() ? random_point_sets(task, count, size, settings.seed) : read_point_sets(task, points, count);
  std::printf("%td parameters, %td sets of %td points\n", stepscan::element_count(network), sets.count(), sets.size());
  stepscan::Workspace workspace;
  const auto start = std::chrono::steady_clock::now();
  const auto found = solve_by_views(task, network, sets, beams, views, workspace);
  const double seconds = seconds_since(start);
  print(evaluate(task, sets, found), task);
  std::printf("%.0f sets a second\n", static_cast<double>(sets.count()) / seconds);
  if (!svg.empty()) draw(svg, task, sets, found, drawn);
}

}  // namespace

int main(int count, char** values) { return examples::run_program("stepscan_pointer", usage, count, values, run); }
