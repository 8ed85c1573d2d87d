// expect: stepscan: this layer has no step: it reads the whole sequence before its first output
#include <stepscan/layers/gru.hpp>
#include <stepscan/models/bidirectional.hpp>

using namespace stepscan;

void run(const Bidirectional<Gru<float, 3, 4>>& model, Bidirectional<Gru<float, 3, 4>>::State& state,
         SequenceView<const float> x, SequenceView<float> y) {
  model.step(state, x.frame(0), y.frame(0));
}
