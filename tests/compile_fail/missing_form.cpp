// expect: stepscan: this layer does not have the form asked for; see its Forms
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/slstm.hpp>
#include <stepscan/models/sequential.hpp>

using namespace stepscan;

using Model = Sequential<Linear<float, 3, 4>, Slstm<float, 4, 2, 2>>;

void run(const Model& model, Model::State& state, SequenceView<const float> x, SequenceView<float> y) {
  model.scan(state, x, y, Convolution{});
}
