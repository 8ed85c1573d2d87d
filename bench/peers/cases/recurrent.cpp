#include <stepscan/layers/gated_backward.hpp>

#include "../streaming.hpp"
#include "gradient_case.hpp"

namespace {

using namespace peers;

template <template <Index> class Layer>
std::unique_ptr<Case> streaming(Index hidden) {
  std::unique_ptr<Case> made;
  for_each_streaming_size([&]<Index H>(std::integral_constant<Index, H>) {
    if (hidden == H) made = std::make_unique<ForwardCase<Layer<H>>>(Layer<H>(), 1, 1);
  });
  if (made == nullptr) fail<ArgumentError>("a step of " + std::to_string(hidden) + " units: there is no such case");
  return made;
}

/// Steps of sizes known to the compiler, whole sequences of any size.
template <class L, template <Index> class Streaming>
void add_layer(Makers& makers, const std::string& name) {
  makers[name + "/step"] = [](const Sizes& n) { return streaming<Streaming>(n.at(3)); };
  makers[name + "/scan"] = [](const Sizes& n) {
    return std::make_unique<ForwardCase<L>>(L(n.at(2), n.at(3)), n.at(0), n.at(1));
  };
  makers[name + "/training"] = [](const Sizes& n) {
    return std::make_unique<GradientCase<L>>(L(n.at(2), n.at(3)), n.at(0), n.at(1));
  };
}

}  // namespace

void peers::add_recurrent_cases(Makers& makers) {
  add_layer<Lstm<float, Dynamic, Dynamic>, StreamingLstm>(makers, "lstm");
  add_layer<Gru<float, Dynamic, Dynamic>, StreamingGru>(makers, "gru");
}
