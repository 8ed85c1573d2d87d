#include <models/leaky.hpp>
#include <numeric>
#include <stepscan/layers/conv1d_backward.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/classifier_backward.hpp>
#include <stepscan/train/sequence_gradient.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::difference_error;
using testing::distance;
using testing::Leaky;
using testing::random_sequence;
using testing::randomize;
using testing::Sequence;

namespace {

constexpr Index features = 3, classes = 4;
using Logits = Tensor<double, Dynamic, classes>;

template <class Model>
Logits scanned(const Model& model, SequenceView<const double> x, typename Model::State& state) {
  Workspace workspace;
  Logits logits(x.batch, classes);
  model.scan(state, x, logits, workspace);
  return logits;
}

template <class Model>
Logits scanned(const Model& model, SequenceView<const double> x) {
  auto state = model.initial_state(x.batch);
  return scanned(model, x, state);
}

/// The largest difference between backward and finite differences; padding is NaN.
template <class Model>
double gradient_error(const std::vector<Index>& lengths, Index time) {
  const auto batch = static_cast<Index>(lengths.size());
  Model model;
  randomize(model, 1);
  auto x = random_sequence<double>(batch, time, features, 2);
  testing::spoil_padding(x, lengths);
  const auto view = [&] { return SequenceView<const double>(std::as_const(x)).ragged(lengths); };
  auto start = model.initial_state(batch), dend = start, dstart = start;
  randomize(start, 3);
  randomize(dend, 4);
  Logits dlogits(batch, classes), logits(batch, classes);
  Random random(5);
  for (double& value : dlogits) value = random.uniform(-1, 1);
  const auto loss = [&] {
    auto state = start;
    const Logits found = scanned(model, view(), state);
    const auto end = testing::numbers(state), cotangent = testing::numbers(dend);
    return std::inner_product(found.begin(), found.end(), dlogits.begin(),
                              std::inner_product(end.begin(), end.end(), cotangent.begin(), 0.0));
  };
  Tape<Model> tape;
  auto gradient = zeros_like(model);
  auto state = start;
  Sequence<double> dx(x.shape());
  dx.fill(1);
  model.forward(state, view(), logits, tape);
  state = start;
  const double error = distance(logits, scanned(model, view(), state));
  model.backward(tape, std::as_const(dlogits), dend, gradient, dx, dstart);
  return std::max({error, difference_error(model, gradient, loss), difference_error(start, dstart, loss),
                   difference_error(x, dx, loss)});
}

}  // namespace

TEST_CASE("classifier: logits are those of the pooled real tokens", "[models]") {
  using Mean = Classifier<Leaky<double, features>, classes, Pooling::mean>;
  Mean mean;
  randomize(mean, 1, 0, 1);
  Classifier<Leaky<double, features>, classes, Pooling::last> last;
  Classifier<Leaky<double, features>, classes, Pooling::max> max;
  testing::copy_parameters(mean, last);
  testing::copy_parameters(mean, max);
  const std::vector<Index> lengths{300, 0, 5};
  auto x = random_sequence<double>(3, 300, features, 2);
  const auto h = testing::scanned(mean.encoder, x);
  testing::spoil_padding(x, lengths);
  const auto view = SequenceView<const double>(std::as_const(x)).ragged(lengths);
  const Logits found[] = {scanned(mean, view), scanned(last, view), scanned(max, view)};
  for (Index b = 0; b < 3; ++b) {
    const Index length = lengths[static_cast<std::size_t>(b)];
    for (Index c = 0; c < classes; ++c) {
      double expected[] = {mean.head.bias[c], mean.head.bias[c], mean.head.bias[c]};
      for (Index f = 0; f < features && length > 0; ++f) {
        double sum = 0, most = h(b, 0, f);
        for (Index t = 0; t < length; ++t) {
          sum += h(b, t, f);
          most = std::max(most, h(b, t, f));
        }
        const double pooled[] = {sum / static_cast<double>(length), h(b, length - 1, f), most};
        for (int kind = 0; kind < 3; ++kind) expected[kind] += mean.head.weight(c, f) * pooled[kind];
      }
      for (int kind = 0; kind < 3; ++kind) CHECK(std::abs(found[kind](b, c) - expected[kind]) < 1e-12);
    }
  }
  CHECK(distance(scanned(prepare(mean), view), found[0]) < 1e-13);
}

TEST_CASE("classifier: gradients equal finite differences", "[models]") {
  using Both = Bidirectional<Leaky<double, features>>;
  using Shrinking = Conv1d<double, features, 5, 2>;
  CHECK(gradient_error<Classifier<Both, classes, Pooling::mean>>({6, 0, 2}, 6) < 1e-8);
  CHECK(gradient_error<Classifier<Leaky<double, features>, classes, Pooling::last>>({4, 2}, 4) < 1e-8);
  CHECK(gradient_error<Classifier<Shrinking, classes, Pooling::max>>({7, 4, 0}, 7) < 1e-8);
}

TEST_CASE("classifier: the gradient of a loss on labels, from call to call and from a state", "[models][train]") {
  using Model = Classifier<Leaky<double, features>, classes>;
  Model model;
  randomize(model, 1);
  const std::vector<Index> lengths{6, 0, 2};
  auto x = random_sequence<double>(3, 6, features, 2);
  testing::spoil_padding(x, lengths);
  const auto view = SequenceView<const double>(std::as_const(x)).ragged(lengths);
  Tensor<std::int32_t, Dynamic, Dynamic> labels(3, 1);
  labels[0] = 2, labels[1] = -100, labels[2] = 3;
  const ClassTargets targets(std::as_const(labels));
  auto start = model.initial_state(3);
  randomize(start, 3);
  const auto loss = [&] {
    auto state = start;
    Logits logits = scanned(model, view, state), cotangents = logits;
    return CrossEntropy<double>{}
        .sum(one_token(MatrixView<const double>(logits)), targets, one_token(MatrixView<double>(cotangents)))
        .sum;
  };
  SequenceGradient<Model> gradient_of;
  Model twice = zeros_like(model), once = twice;
  for (int i = 0; i < 2; ++i) {
    auto state = start;
    const LossSum sum = gradient_of(model, state, view, targets, CrossEntropy<double>{}, i == 0 ? once : twice);
    CHECK(sum.sum == Approx(loss()).epsilon(1e-12));
    CHECK(sum.count == 2);
  }
  CHECK(testing::numbers(once) == testing::numbers(twice));
  CHECK(difference_error(model, once, loss) < 1e-8);
  auto fresh = zeros_like(model), given = fresh;
  auto state = model.initial_state(3);
  static_cast<void>(gradient_of(model, view, targets, CrossEntropy<double>{}, fresh));
  static_cast<void>(gradient_of(model, state, view, targets, CrossEntropy<double>{}, given));
  CHECK(testing::numbers(fresh) == testing::numbers(given));
}

TEST_CASE("classifier: sizes that do not fit are refused", "[models]") {
  Classifier<Leaky<double, Dynamic>, Dynamic> model(Leaky<double, Dynamic>(features), classes);
  const auto x = random_sequence<double>(2, 3, features, 2);
  auto state = model.initial_state(2);
  Workspace workspace;
  Tensor<double, Dynamic, Dynamic> narrow(2, classes - 1);
  CHECK_THROWS_AS(model.scan(state, x, narrow, workspace), ShapeError);
}
