#include <RTNeural/RTNeural.h>

#include "../support.hpp"
#include "streaming.hpp"

/// Streaming steps of RTNeural's LSTM and GRU with sizes known to the compiler, one input, and ours with the same
/// parameters beside them, to read ratios in one run (--benchmark_enable_random_interleaving). Outputs of a sequence
/// are compared before anything is timed.
namespace {

using namespace bench;
using namespace peers;

/// Rows [gates * hidden, columns] of ours, by blocks of gates in another order, as RTNeural's [columns][gates *
/// hidden].
template <std::size_t Gates, class Rows>
std::vector<std::vector<float>> columns_of(const Rows& rows, Index columns, const std::array<Index, Gates>& gates) {
  const Index hidden = rows.size() / columns / static_cast<Index>(Gates);
  std::vector<std::vector<float>> all(static_cast<std::size_t>(columns));
  for (Index column = 0; column < columns; ++column) {
    for (const Index gate : gates) {
      for (Index u = 0; u < hidden; ++u) {
        all[static_cast<std::size_t>(column)].push_back(rows[(gate * hidden + u) * columns + column]);
      }
    }
  }
  return all;
}

/// A layer's name and its gates in RTNeural's order: of each the block of rows in our parameters.
struct LstmKind {
  static constexpr const char* name = "lstm";
  static constexpr std::array<Index, 4> gates{0, 1, 2, 3};
  template <Index Hidden>
  using Ours = StreamingLstm<Hidden>;
  template <int Hidden>
  using Theirs = RTNeural::LSTMLayerT<float, 1, Hidden>;
};
struct GruKind {
  static constexpr const char* name = "gru";
  static constexpr std::array<Index, 3> gates{1, 0, 2};
  template <Index Hidden>
  using Ours = StreamingGru<Hidden>;
  template <int Hidden>
  using Theirs = RTNeural::GRULayerT<float, 1, Hidden>;
};

template <class Kind, class Theirs, class Ours>
void copy_parameters(const Ours& from, Theirs& to) {
  to.setWVals(columns_of(from.weight_ih, 1, Kind::gates));
  to.setUVals(columns_of(from.weight_hh, from.output_size(), Kind::gates));
  const auto bias = columns_of(from.bias_ih, 1, Kind::gates)[0];
  const auto recurrent_bias = columns_of(from.bias_hh, 1, Kind::gates)[0];
  if constexpr (Kind::gates.size() == 3) {
    to.setBVals({bias, recurrent_bias});
  } else {
    std::vector<float> both(bias);
    for (std::size_t i = 0; i < both.size(); ++i) both[i] += recurrent_bias[i];
    to.setBVals(both);
  }
}

/// Throws unless both give the same for a sequence.
template <class Plan, class Model>
void compare(const std::string& name, const Plan& plan, Model& model) {
  constexpr float bound = 2e-5f;
  constexpr Index time = 64;
  Tensor<float, Dynamic, Dynamic> x(1, 1), y(1, plan.output_size());
  auto state = plan.initial_state(1);
  Random random(1);
  model.reset();
  float largest = 0;
  for (Index t = 0; t < time; ++t) {
    x[0] = static_cast<float>(random.uniform(-1, 1));
    plan.step(state, MatrixView<const float>(x), MatrixView<float>(y));
    model.forward(x.data());
    for (Index u = 0; u < y.size(); ++u) largest = std::max(largest, std::abs(y[u] - model.getOutputs()[u]));
  }
  std::fprintf(stderr, "%s: largest difference %.1e\n", name.c_str(), static_cast<double>(largest));
  if (!(largest <= bound)) fail<Error>(name + ": outputs differ by more than 2e-5, nothing is timed");
}

/// Both sides with the same parameters: compared, then registered.
template <class Kind, Index Hidden>
void add_pair() {
  using Theirs = typename Kind::template Theirs<static_cast<int>(Hidden)>;
  const auto layer = [] {
    typename Kind::template Ours<Hidden> fresh;
    initialize(fresh, 1);
    return fresh;
  }();
  const auto model = std::make_shared<RTNeural::ModelT<float, 1, static_cast<int>(Hidden), Theirs>>();
  copy_parameters<Kind>(layer, model->template get<0>());
  const auto plan = prepare(layer);
  const std::string name = name_of(std::string("RTNeural:") + Kind::name, "own", "step", {1, 1, 1, Hidden}, 1);
  compare(name, plan, *model);
  const double flops = 2.0 * static_cast<double>(Kind::gates.size()) * static_cast<double>(Hidden * (Hidden + 1));
  add(name, 1, 1, flops, [model] { return [model, x = 0.5F] { benchmark::DoNotOptimize(model->forward(&x)); }; });
  add_step(Kind::name, plan, 1, flops);
  add_step(std::string(Kind::name) + ", Fast", prepare<float, Fast>(layer), 1, flops);
}

}  // namespace

void bench::add_benchmarks() {
  for_each_streaming_size([]<Index Hidden>(std::integral_constant<Index, Hidden>) {
    add_pair<LstmKind, Hidden>();
    add_pair<GruKind, Hidden>();
  });
}
