#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/lssl.hpp>
#include <stepscan/layers/s5.hpp>
#include <stepscan/layers/s5_initialize.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::mimo_layers() {
  return {
      entry("s5", [](Index width) { return S5<float, Dynamic, Dynamic>(width, width); }),
      entry("lssl", [](Index width) { return Lssl<float, Dynamic, Dynamic>(width, 16); }),
      entry("lru", [](Index width) { return Lru<float, Dynamic, Dynamic>(width, width); }),
  };
}
