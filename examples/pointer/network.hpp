#pragma once

#include <stepscan/kernels/half.hpp>
#include <stepscan/models/pointer_network.hpp>

#include "point_sets.hpp"

/// A pointer network (arXiv 1506.03134) that is asked about points: they are its items, [x, y] their features.
namespace examples {

using Network = stepscan::PointerNetwork<float>;

/// A network for a task: hulls and tours point at no point twice, and tours have no end slot.
[[nodiscard]] inline Network network_of(Task task, Index hidden, Index attention_features) {
  Network network(2, hidden, attention_features, has_end(task));
  network.mask_visited = task != Task::delaunay;
  return network;
}

/// One with fresh parameters: those of the paper, but that coordinates, few beside the state and small, weigh more, and
/// that both LSTMs begin by remembering. With the paper's own, learning hulls of up to 50 points stands still at first.
[[nodiscard]] inline Network make_network(Task task, Index hidden, std::uint64_t seed) {
  constexpr float input_scale = 12;
  Network network = network_of(task, hidden, hidden);
  stepscan::Random random(seed);
  network.initialize(random);
  for (Network::Recurrence* lstm : {&network.encoder, &network.decoder}) {
    for (float& weight : lstm->weight_ih) weight *= input_scale;
    for (Index i = hidden; i < 2 * hidden; ++i) lstm->bias_ih[i] += 1;
  }
  return network;
}

/// Reads the parameters from a file, which also gives the sizes. Throws FileError when it holds no network for the
/// task.
[[nodiscard]] inline Network load_network(Task task, const std::filesystem::path& path) {
  const auto file = stepscan::SafetensorsFile::open(path);
  const std::vector<Index> recurrent = file.tensor("encoder.weight_hh").shape,
                           pointer = file.tensor("pointer.w1").shape, end = file.tensor("end").shape;
  if (recurrent.size() != 2 || pointer.size() != 2 || end.size() != 1 || (end[0] > 0) != has_end(task)) {
    stepscan::fail<stepscan::FileError>(
        file.where() + ": expected a pointer network " + (has_end(task) ? "with" : "without") +
        " an end slot, found encoder.weight_hh " + stepscan::shape_text(recurrent) + ", pointer.w1 " +
        stepscan::shape_text(pointer) + " and end " + stepscan::shape_text(end));
  }
  Network network = network_of(task, recurrent[1], pointer[0]);
  stepscan::load_safetensors(file, network);
  return network;
}

/// Writes the parameters rounded to 16 bits. Throws FileError.
inline void save_network(const std::filesystem::path& path, const Network& network) {
  stepscan::TensorMap tensors;
  stepscan::for_each_tensor(
      [&](const stepscan::Path& name, const auto& tensor) {
        std::vector<stepscan::Half> numbers;
        for (const float value : tensor) numbers.emplace_back(value);
        const auto shape = tensor.shape();
        stepscan::set_tensor<stepscan::Half>(tensors, name.str(), {shape.begin(), shape.end()}, numbers);
      },
      network);
  stepscan::save_safetensors(path, tensors);
}

}  // namespace examples
