// expect: stepscan: to train this layer, include <stepscan/layers/backward.hpp>
#include <stepscan/layers/linear.hpp>

using namespace stepscan;

void run(const Linear<float, 3, 4>& layer, NoState& state, SequenceView<const float> x, SequenceView<float> y) {
  Tape<Linear<float, 3, 4>> tape;
  layer.forward(state, x, y, tape);
}
