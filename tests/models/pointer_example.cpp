#include <models/shared_data.hpp>

#include "../../examples/pointer/evaluation.hpp"
#include "../../examples/pointer/lessons.hpp"
#include "../../examples/pointer/views.hpp"

using namespace stepscan;
using namespace examples;

namespace {

std::vector<Polygon> answers_in(const SafetensorsFile& file, const std::string& name) {
  const auto values = file.values<std::int64_t>(name);
  const std::size_t size = values.size() / static_cast<std::size_t>(file.tensor(name).shape[0]);
  std::vector<Polygon> polygons;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % size == 0) polygons.emplace_back();
    if (values[i] >= 0) polygons.back().push_back(values[i]);
  }
  return polygons;
}

}  // namespace

TEST_CASE("point sets: hulls, triangles and tours are those of the shared files", "[pointer][shared]") {
  for (const std::string size : {"05", "10", "50"}) {
    const std::string name = "data/geometry_n" + size + ".safetensors";
    if (!shared_data::present({name})) return;
    const auto file = SafetensorsFile::open(shared_data::path(name));
    CHECK(read_point_sets(Task::hull, shared_data::path(name), 1000).answers == answers_in(file, "out/hull"));
    // Triangles of fifty points and tours of ten take their time without optimisation.
    auto triangles = answers_in(file, "out/triangles");
    triangles.resize(size == "50" ? 10 : 1000);
    CHECK(read_point_sets(Task::delaunay, shared_data::path(name), static_cast<Index>(triangles.size())).answers ==
          triangles);
    const PointSets sets = read_point_sets(Task::tour, shared_data::path(name), size == "10" ? 20 : 1000);
    auto tours = answers_in(file, "out/tour");
    tours.resize(sets.answers.size());
    for (Index i = 0; i < sets.count(); ++i) {
      auto& tour = tours[static_cast<std::size_t>(i)];
      tour = tour_in_order(sets.set(i), tour);
    }
    CHECK(sets.answers == tours);
  }
}

TEST_CASE("point sets: the shortest tour is the shortest of all, a hull has all points to its left", "[pointer]") {
  for (const Index size : {1, 2, 3, 4, 7}) {
    const PointSets sets = random_point_sets(Task::tour, 5, size, 3);
    for (Index i = 0; i < sets.count(); ++i) {
      const auto points = sets.set(i);
      const double found = tour_length(points, sets.answers[static_cast<std::size_t>(i)]);
      Polygon tour(points.size());
      std::iota(tour.begin(), tour.end(), Index{0});
      double shortest = found + 1;
      do {
        shortest = std::min(shortest, tour_length(points, tour));
      } while (std::next_permutation(tour.begin() + 1, tour.end()));
      CHECK(std::abs(found - shortest) < 1e-12);
      CHECK(tour_length(points, short_tour(points, 8)) < 1.02 * shortest + 1e-12);
      const Polygon hull = convex_hull(points);
      for_each_edge(points, hull, [&](const Point& a, const Point& b) {
        for (const Point& p : points) CHECK(turn(a, b, p) >= -1e-12);
      });
      CHECK_FALSE(crosses_itself(points, hull));
    }
  }
}

TEST_CASE("point sets: scores of exact, reversed and crossing answers", "[pointer]") {
  PointSets square;
  square.points = decltype(square.points)(Index{1}, Index{4}, Index{2});
  const std::vector<float> corners{0, 0, 1, 0, 1, 1, 0, 1};
  std::copy(corners.begin(), corners.end(), square.points.begin());
  square.answers = {{0, 1, 2, 3}};
  const Score exact = evaluate(Task::hull, square, {{2, 1, 0, 3}}), half = evaluate(Task::hull, square, {{0, 1, 2}}),
              crossing = evaluate(Task::hull, square, {{0, 2, 1, 3}});
  CHECK((exact.accuracy == 1 && exact.area == 1 && exact.simple == 1 && exact.length == 4));
  CHECK((half.accuracy == 0 && half.area == 0.5 && half.simple == 1));
  CHECK((crossing.accuracy == 0 && crossing.area == 0 && crossing.simple == 0));
  square.answers = {{0, 1, 2, 0, 2, 3}};
  const Score both = evaluate(Task::delaunay, square, {{3, 2, 0, 2, 1, 0, 0, 1, 2}}),
              one = evaluate(Task::delaunay, square, {{0, 1, 2, 1, 2, 3, 0}});
  CHECK((both.accuracy == 1 && both.coverage == 1));
  CHECK((one.accuracy == 0 && one.coverage == 0.5));
}

TEST_CASE("point sets: what a network finds is valid, what it is taught may be pointed at", "[pointer]") {
  for (const Task task : {Task::hull, Task::tour, Task::delaunay}) {
    const PointSets sets = random_point_sets(task, 6, 7, 5);
    const Network network = make_network(task, 8, 2);
    Workspace workspace;
    for (const Index views : {1, 3}) {
      for (std::vector<Index> answer : solve_by_views(task, network, sets, 4 - views, views, workspace)) {
        CHECK((task != Task::tour || answer.size() == 7));
        std::sort(answer.begin(), answer.end());
        CHECK((task == Task::delaunay || std::adjacent_find(answer.begin(), answer.end()) == answer.end()));
      }
    }
    Random random(3);
    const Lessons lessons = random_lessons(task, 6, 7, random);
    CHECK(std::is_sorted(lessons.lengths.rbegin(), lessons.lengths.rend()));
    PointerLesson<float> lesson;
    network.teach(network.initial_state(6), SequenceView<const float>(lessons.sets.points), lessons.targets(), lesson,
                  workspace);
    CHECK(lesson.loss > 0);
    // The answers went along with their points.
    CHECK(lessons.sets.answers[2] == answer(lessons.sets.set(2), task, 12, 1));
  }
}

TEST_CASE("point sets: an exact answer about a view is the exact answer about the points", "[pointer]") {
  for (const Task task : {Task::hull, Task::tour, Task::delaunay}) {
    const PointSets sets = random_point_sets(task, 1, 6, 5);
    for (Index view = 0; view < 9; ++view) {
      const auto order = examples::detail::order_of_view(6, view);
      std::vector<Point> seen;
      for (const Index i : order) seen.push_back(examples::detail::moved(point_of(sets.set(0), i), view % 8));
      const auto found = examples::detail::answer_from_view(task, answer(seen, task, 12, 1), order, view % 8);
      CHECK(found ==
            examples::detail::answer_from_view(task, sets.answers[0], examples::detail::order_of_view(6, 0), 0));
    }
  }
}

TEST_CASE("point sets: a network is read with its sizes, and only for its task", "[pointer]") {
  const auto path = std::filesystem::temp_directory_path() / "stepscan_pointer_example.safetensors";
  const Network network = make_network(Task::hull, 6, 2);
  save_safetensors(path, network);
  const Network loaded = load_network(Task::hull, path);
  CHECK(loaded.hidden() == 6);
  CHECK(loaded.pointer.w1.span()[3] == network.pointer.w1.span()[3]);
  save_network(path, network);
  const float rounded = load_network(Task::hull, path).pointer.w1.span()[3];
  CHECK(rounded == static_cast<float>(Half(network.pointer.w1.span()[3])));
  CHECK_THROWS_AS(load_network(Task::tour, path), FileError);
  std::filesystem::remove(path);
}
