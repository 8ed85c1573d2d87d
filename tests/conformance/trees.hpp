#pragma once

#include <conformance/session.hpp>
#include <functional>
#include <optional>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/view.hpp>

/// Tensors and sequences from a case and back.
namespace conformance {

/// Where a tensor of a layer lies in a case: part `part` of `parts` equal ones of the tensor `name`; its last two
/// dimensions may have changed places there.
struct Place {
  std::string name;
  Index part = 0;
  Index parts = 1;
  bool transposed = false;
};

/// From a stack's layer and the dotted name of one of its tensors to its place; nothing: not in the case.
using Naming = std::function<std::optional<Place>(std::size_t layer, const std::string& name)>;

/// A layer's own names, for a case of one layer.
inline std::optional<Place> own_name(std::size_t, const std::string& name) { return Place{name}; }

/// The same for tensors whose last two dimensions have changed places in the case.
inline std::optional<Place> own_name_transposed(std::size_t, const std::string& name) {
  return Place{.name = name, .transposed = true};
}

namespace detail {

/// The position, in a tensor of the case, of number i of a tensor of this shape.
template <class Shape>
Index place_of(const Place& place, const Shape& shape, Index i) {
  if (!place.transposed) return i;
  const Index rows = shape[shape.size() - 2], cols = shape[shape.size() - 1], matrix = i / (rows * cols);
  const Index row = i / cols % rows, col = i % cols;
  return (matrix * cols + col) * rows + row;
}

/// Reads the tensors of a tree that are in the case under `prefix`.
template <class Tree>
void read_tree(Case& golden, const std::string& prefix, const Naming& naming, std::size_t layer, Tree& tree) {
  stepscan::for_each_tensor(
      [&](const stepscan::Path& path, auto& tensor) {
        const auto place = naming(layer, path.str());
        if (!place || !golden.has(prefix + place->name)) return;
        const std::vector<double> values = golden.values(prefix + place->name);
        if (static_cast<Index>(values.size()) != tensor.size() * place->parts) {
          stepscan::fail<ShapeError>(prefix + place->name + ": expected " +
                                     std::to_string(tensor.size() * place->parts) + " numbers, found " +
                                     std::to_string(values.size()));
        }
        for (Index i = 0; i < tensor.size(); ++i) {
          using S = typename std::remove_cvref_t<decltype(tensor)>::value_type;
          const Index at = place->part * tensor.size() + place_of(*place, tensor.shape(), i);
          tensor[i] = static_cast<S>(values[static_cast<std::size_t>(at)]);
        }
      },
      tree);
}

/// Adds the tensors of a tree to the results; the parts of a tensor come in their order.
template <class Tree>
void add_tree(Results& results, const std::string& prefix, const Naming& naming, std::size_t layer, const Tree& tree) {
  stepscan::for_each_tensor(
      [&](const stepscan::Path& path, const auto& tensor) {
        const auto place = naming(layer, path.str());
        if (!place) return;
        auto values = tensor;
        for (Index i = 0; i < tensor.size(); ++i) values[place_of(*place, tensor.shape(), i)] = tensor[i];
        results.add(prefix + place->name, std::as_const(values).span());
      },
      tree);
}

template <Scalar S>
using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

/// A sequence of a case [batch, time, ...] as [batch, time, features].
template <Scalar S>
Sequence<S> read_sequence(Case& golden, const std::string& name, bool time_major, Index features) {
  const std::vector<Index>& shape = golden.shape(name);
  Index count = 1;
  for (std::size_t i = 2; i < shape.size(); ++i) count *= shape[i];
  if (shape.size() < 3 || count != features) {
    stepscan::fail<ShapeError>(name + ": expected a batch of sequences of " + std::to_string(features) +
                               " features, found shape " + stepscan::shape_text(shape));
  }
  const std::vector<double> values = golden.values(name);
  const Index batch = shape[time_major ? 1 : 0], time = shape[time_major ? 0 : 1];
  Sequence<S> sequence(batch, time, features);
  for (Index b = 0; b < batch; ++b) {
    for (Index t = 0; t < time; ++t) {
      const Index token = time_major ? t * batch + b : b * time + t;
      for (Index i = 0; i < features; ++i)
        sequence(b, t, i) = static_cast<S>(values[static_cast<std::size_t>(token * features + i)]);
    }
  }
  return sequence;
}

template <Scalar S>
void add_sequence(Results& results, const std::string& name, const Sequence<S>& sequence, bool time_major) {
  if (!time_major) return results.add(name, std::span<const S>(sequence.span()));
  for (Index t = 0; t < sequence.extent(1); ++t) {
    for (Index b = 0; b < sequence.extent(0); ++b) {
      results.add(name, std::span<const S>(sequence.data() + (b * sequence.extent(1) + t) * sequence.extent(2),
                                           static_cast<std::size_t>(sequence.extent(2))));
    }
  }
}

}  // namespace detail

}  // namespace conformance
