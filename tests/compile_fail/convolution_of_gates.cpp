// expect: stepscan: this layer does not have the form asked for; see its Forms
#include <stepscan/layers/selective_scan.hpp>

using namespace stepscan;

/// A layer that varies over time has no impulse response, whatever its Forms say.
struct Wrong : SelectiveScan<float, 4, 4> {
  using Forms = std::tuple<Recurrent, Convolution>;
};

static_assert(!has_form<Wrong, Convolution> && !TimeInvariant<Wrong>);

void run(const SelectiveScan<float, 4, 4>& layer, SelectiveScan<float, 4, 4>::State& state, SequenceView<const float> x,
         SequenceView<float, 4> y) {
  layer.scan(state, x, y, Convolution{});
}
