#pragma once

#include <cmath>
#include <conformance/stack.hpp>

/// Layers that scan a decaying state: q, k, v and gates one behind the other.
namespace conformance {

/// The sizes that all of them have.
struct HeadSizes {
  Index heads = 0;
  Index key_dim = 0;
  Index value_dim = 0;

  explicit HeadSizes(Config& config)
      : heads(config.size("heads")), key_dim(config.size("key_dim")), value_dim(config.size("value_dim")) {}
};

/// Throws unless a schedule of the library gives the numbers of the case.
inline void require_close(const std::string& name, const std::vector<double>& found,
                          const std::vector<double>& expected) {
  bool close = found.size() == expected.size();
  for (std::size_t i = 0; close && i < found.size(); ++i) close = std::abs(found[i] - expected[i]) <= 1e-12;
  if (!close) stepscan::fail<FileError>("config: \"" + name + "\": expected the numbers of its schedule, found others");
}

/// A layer of Dynamic sizes whose options are set; every gate has `gate_width` numbers per head.
template <class L>
void run_decay_layer(Case& golden, Session& session, L layer, const std::vector<std::string>& gates = {},
                     Index gate_width = 1) {
  using S = typename L::scalar_type;
  layer.scale = static_cast<S>(golden.config.number("scale"));
  Stack<L> stack;
  stack.parts = {{"q", layer.heads() * layer.key_dim()},
                 {"k", layer.heads() * layer.key_dim()},
                 {"v", layer.heads() * layer.value_dim()}};
  for (const std::string& gate : gates) stack.parts.push_back({gate, layer.heads() * gate_width});
  stack.layers.push_back(std::move(layer));
  run_stack(golden, session, stack);
}

}  // namespace conformance
