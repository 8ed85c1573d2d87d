#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>

#include "gradient_case.hpp"

namespace {

using namespace peers;

template <template <Index> class Layer, Index... Hidden>
std::unique_ptr<Case> streaming(Index hidden) {
  std::unique_ptr<Case> made;
  const auto make_if = [&]<Index H>(std::integral_constant<Index, H>) {
    if (hidden == H) made = std::make_unique<ForwardCase<Layer<H>>>(Layer<H>(), 1, 1);
  };
  (make_if(std::integral_constant<Index, Hidden>{}), ...);
  if (made == nullptr) fail<ArgumentError>("a step of " + std::to_string(hidden) + " units: there is no such case");
  return made;
}

template <Index Hidden>
using StreamingLstm = Lstm<float, 1, Hidden>;
template <Index Hidden>
using StreamingGru = Gru<float, 1, Hidden>;

/// One token of batch 1 with a size known to the compiler, as amplifier models run it; whole sequences of any size.
template <class L, template <Index> class Streaming>
void add_layer(Makers& makers, const std::string& name) {
  makers[name + "/step"] = [](const Sizes& n) {
    return streaming<Streaming, 8, 16, 20, 32, 40, 64, 128, 256>(n.at(3));
  };
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
