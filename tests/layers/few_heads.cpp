#include <cstring>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>
#include <vector>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

struct ThreadGuard {
  int before = max_threads();
  ~ThreadGuard() { set_max_threads(before); }
};

template <class TensorType>
void append(std::vector<double>& to, const TensorType& tensor) {
  to.insert(to.end(), tensor.begin(), tensor.end());
}

/// Outputs, last states and all cotangents of a layer on sequences of these lengths.
template <class Form, class L>
std::vector<double> training_step(const L& layer, const Sequence<double>& x, const std::vector<Index>& lengths,
                                  const Form& form = {}) {
  const Index batch = x.extent(0), time = x.extent(1);
  Sequence<double> y(batch, time, layer.output_size()), dx = x;
  const auto dy = random_sequence<double>(batch, time, layer.output_size(), 3);
  auto start = layer.initial_state(batch);
  randomize(start, 4);
  auto state = start, dstart = start;
  Tape<L> tape;
  L gradient = layer;
  layer.forward(state, SequenceView<const double>(x).ragged(lengths), y, tape, form);
  layer.backward(tape, dy, start, gradient, dx, dstart);
  std::vector<double> all;
  append(all, y);
  append(all, dx);
  for_each_tensor([&](const Path&, const auto& tensor) { append(all, tensor); }, state);
  for_each_tensor([&](const Path&, const auto& tensor) { append(all, tensor); }, dstart);
  return all;
}

/// Whether 2, 3 and 5 threads give the bits that 1 gives: heads split into bands of columns, then segments. Inputs
/// from `gates` on are log decays.
template <class Form, class L>
void check_threads(const L& layer, Index gates) {
  const ThreadGuard guard;
  for (const std::vector<Index>& lengths : {std::vector<Index>{283}, std::vector<Index>{283, 1, 70}}) {
    auto x = random_sequence<double>(static_cast<Index>(lengths.size()), 283, layer.input_size(), 2);
    for (Index i = 0; i < x.size(); ++i) {
      if (i % layer.input_size() >= gates) x[i] = -std::abs(x[i]);
    }
    set_max_threads(1);
    const auto expected = training_step<Form>(layer, x, lengths);
    for (const int threads : {2, 3, 5}) {
      set_max_threads(threads);
      const auto found = training_step<Form>(layer, x, lengths);
      CAPTURE(L::name, lengths.size(), threads);
      CHECK(std::memcmp(expected.data(), found.data(), expected.size() * sizeof(double)) == 0);
    }
  }
}

}  // namespace

TEST_CASE("one head on several threads gives the bits of one thread", "[layers]") {
  check_threads<Chunked<32>>(GatedLinearAttentionScan<double, Dynamic, Dynamic, Dynamic>(1, 10, 70), 90);
  check_threads<Chunked<32>>(GatedDeltaRuleScan<double, Dynamic, Dynamic, Dynamic>(1, 10, 70), 91);
  check_threads<Chunked<32>>(MlstmScan<double, Dynamic, Dynamic, Dynamic>(1, 10, 70), 92);
  // Groups do not pay for so few keys: token after token.
  check_threads<Chunked<>>(MlstmScan<double, Dynamic, Dynamic, Dynamic>(1, 10, 70), 92);
}
