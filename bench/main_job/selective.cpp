#include <stepscan/layers/mamba.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::selective_layers() {
  constexpr Index states = 16, taps = 4;
  return {
      entry("causal_conv1d", [](Index width) { return CausalConv1d<float, Dynamic, Dynamic>(width, taps); }),
      entry("selective_scan", [](Index width) { return SelectiveScan<float, Dynamic, Dynamic>(width, states); }),
      entry("mamba",
            [](Index width) {
              return Mamba<float, Dynamic, Dynamic, Dynamic, Dynamic, Dynamic>(width, 2 * width, states, taps,
                                                                               (width + 15) / 16);
            }),
  };
}
