#include <cstdio>
#include <functional>
#include <map>
#include <stepscan/core/random.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/layers/softmax_attention.hpp>
#include <string>

#include "../harness/text_of.hpp"

/// Runs one kernel once on warm memory, for a tool that counts instructions inside stepscan_measured alone:
///   stepscan_kernels              lists their names
///   stepscan_kernels NAME         runs one
///   stepscan_kernels --compiler   says which compiler made it, for counts differ
/// bench/instructions/check counts them all and compares with counts.txt.
extern "C" [[gnu::noinline]] void stepscan_measured(const std::function<void()>& kernel) { kernel(); }

namespace {

using namespace stepscan;
#ifdef __clang__
constexpr const char* compiler = "clang++-" STEPSCAN_TEXT(__clang_major__);
#else
constexpr const char* compiler = "g++-" STEPSCAN_TEXT(__GNUC__);
#endif

using Sequences = Tensor<float, Dynamic, Dynamic, Dynamic>;

/// Below zero, for some of them are logarithms of decays.
void fill(Sequences& x) {
  Random random(1);
  for (float& value : x) value = static_cast<float>(random.uniform(-1, 0));
}

/// A scan of a sequence, or a step of a sequence of one token, of the prepared layer; the second time is measured.
template <class L>
std::function<void()> run(L layer, Index time) {
  return [layer, time]() mutable {
    if constexpr (requires(Random & random) { layer.initialize(random); }) initialize(layer, 1);
    const auto plan = prepare(layer);
    Sequences x(1, time, plan.input_size()), y(1, time, plan.output_size());
    fill(x);
    Workspace workspace;
    auto state = plan.initial_state(1);
    plan.scan(state, x, y, workspace);
    state = plan.initial_state(1);
    stepscan_measured([&] {
      if (time == 1) {
        plan.step(state, SequenceView<const float>(x).frame(0), SequenceView<float>(y).frame(0));
      } else {
        plan.scan(state, x, y, workspace);
      }
    });
  };
}

void run_s4d_kernel() {
  constexpr Index features = 64, state = 64, taps = 1024;
  S4d<float, Dynamic, Dynamic> layer(features, state);
  initialize(layer, 1);
  Tensor<float, Dynamic, Dynamic> response(features, taps);
  Workspace workspace;
  layer.kernel(response, workspace);
  stepscan_measured([&] { layer.kernel(response, workspace); });
}

const std::map<std::string, std::function<void()>> kernels{
    {"lstm_step_32", run(Lstm<float, 1, 32>(), 1)},
    {"lstm_scan_256x64", run(Lstm<float, Dynamic, Dynamic>(64, 64), 256)},
    {"gru_step_32", run(Gru<float, 1, 32>(), 1)},
    {"gated_linear_attention_scan_256x4x64",
     run(GatedLinearAttentionScan<float, Dynamic, Dynamic, Dynamic>(4, 64, 64), 256)},
    {"delta_rule_scan_256x4x64", run(DeltaRuleScan<float, Dynamic, Dynamic, Dynamic>(4, 64, 64), 256)},
    {"mamba2_ssd_scan_256x8x16x64", run(Mamba2SsdScan<float, Dynamic, Dynamic, Dynamic>(8, 64, 16), 256)},
    {"selective_scan_256x128x16", run(SelectiveScan<float, Dynamic, Dynamic>(128, 16), 256)},
    {"softmax_attention_scan_512x2x64",
     run(SoftmaxAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic>(AttentionSizes{2, 2, 64, 64}, 512), 512)},
    {"s4d_kernel_64x64x1024", run_s4d_kernel},
};

}  // namespace

int main(int count, char** values) {
  set_max_threads(1);
  if (count < 2) {
    for (const auto& [name, kernel] : kernels) std::puts(name.c_str());
    return 0;
  }
  if (std::string(values[1]) == "--compiler") {
    std::puts(compiler);
    return 0;
  }
  const auto found = kernels.find(values[1]);
  if (found == kernels.end()) {
    std::fprintf(stderr, "there is no kernel %s\n", values[1]);
    return 1;
  }
  found->second();
}
