#pragma once

#include <stepscan/models/beam_search.hpp>

#include "point_sets.hpp"

/// A pointer network (arXiv 1506.03134) that is asked for hulls or tours: points are its items, [x, y] their features.
namespace examples {

using Network = stepscan::PointerNetwork<float>;

/// A network with fresh parameters; that of hulls has an end slot. No point is pointed at twice.
[[nodiscard]] inline Network make_network(Task task, Index hidden, std::uint64_t seed) {
  Network network(2, hidden, hidden, task == Task::hull);
  stepscan::Random random(seed);
  network.initialize(random);
  return network;
}

/// Reads the parameters from a file, which also gives the sizes. Throws FileError when it holds no network for the
/// task.
[[nodiscard]] inline Network load_network(Task task, const std::filesystem::path& path) {
  const auto file = stepscan::SafetensorsFile::open(path);
  const std::vector<Index> recurrent = file.tensor("encoder.weight_hh").shape,
                           pointer = file.tensor("pointer.w1").shape, end = file.tensor("end").shape;
  if (recurrent.size() != 2 || pointer.size() != 2 || end.size() != 1 || (end[0] > 0) != (task == Task::hull)) {
    stepscan::fail<stepscan::FileError>(
        file.where() + ": expected a pointer network " + (task == Task::hull ? "with" : "without") +
        " an end slot, found encoder.weight_hh " + stepscan::shape_text(recurrent) + ", pointer.w1 " +
        stepscan::shape_text(pointer) + " and end " + stepscan::shape_text(end));
  }
  Network network(2, recurrent[1], pointer[0], task == Task::hull);
  stepscan::load_safetensors(file, network);
  return network;
}

/// The polygons that the network points out, by greedy search or, of several beams, by the best of them. A tour visits
/// every point once; a hull names none twice, and may name none at all.
[[nodiscard]] inline std::vector<Polygon> solve(const Network& network, const PointSets& sets, Index beams,
                                                stepscan::Workspace& workspace) {
  const stepscan::SequenceView<const float> x(sets.points);
  const auto start = network.initial_state(sets.count());
  const Index steps = network.slots(sets.size());
  const auto found = beams == 1 ? stepscan::greedy_search<float>(network, start, x, steps, workspace)
                                : stepscan::beam_search<float>(network, start, x, beams, steps, workspace);
  std::vector<Polygon> polygons(static_cast<std::size_t>(sets.count()));
  for (Index i = 0; i < sets.count(); ++i) {
    for (Index t = 0; t < steps; ++t) {
      const Index slot = found.slots(i, 0, t);
      if (slot >= 0 && slot < sets.size()) polygons[static_cast<std::size_t>(i)].push_back(slot);
    }
  }
  return polygons;
}

}  // namespace examples
