#include <stepscan/layers/dss_initialize.hpp>
#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/lssl.hpp>
#include <stepscan/layers/s4_initialize.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/layers/s5.hpp>
#include <stepscan/layers/s5_initialize.hpp>
#include <stepscan/models/s4_block.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::state_space_layers() {
  constexpr Index states = 64;
  return {
      entry("s4d", [](Index width) { return S4d<float, Dynamic, Dynamic>(width, states); }),
      entry("dss", [](Index width) { return Dss<float, Dynamic, Dynamic>(width, states); }),
      entry("s4", [](Index width) { return S4<float, Dynamic, Dynamic>(width, states); }),
      entry("lssl", [](Index width) { return Lssl<float, Dynamic, Dynamic>(width, 16); }),
      entry("s5", [](Index width) { return S5<float, Dynamic, Dynamic>(width, width); }),
      entry("lru", [](Index width) { return Lru<float, Dynamic, Dynamic>(width, width); }),
      entry("s4_block(s4d)", [](Index width) { return s4_block(S4d<float, Dynamic, Dynamic>(width, states)); }),
  };
}
