#include <stepscan/layers/multihead_elman.hpp>
#include <stepscan/layers/multihead_gru.hpp>
#include <stepscan/layers/multihead_lstm.hpp>
#include <stepscan/layers/slstm.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::multihead_layers() {
  constexpr Index heads = 4;
  return {
      entry("slstm", [](Index width) { return Slstm<float, Dynamic, Dynamic, Dynamic>(width, heads, width / heads); }),
      entry("slstm, floor one",
            [](Index width) {
              return Slstm<float, Dynamic, Dynamic, Dynamic, NormalizerFloor::one>(width, heads, width / heads);
            }),
      entry("multihead_lstm",
            [](Index width) { return MultiheadLstm<float, Dynamic, Dynamic, Dynamic>(width, heads, width / heads); }),
      entry("multihead_gru",
            [](Index width) { return MultiheadGru<float, Dynamic, Dynamic, Dynamic>(width, heads, width / heads); }),
      entry("multihead_elman",
            [](Index width) { return MultiheadElman<float, Dynamic, Dynamic, Dynamic>(width, heads, width / heads); }),
  };
}
