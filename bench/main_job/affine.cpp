#include <stepscan/layers/min_gru.hpp>
#include <stepscan/layers/min_lstm.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::affine_layers() {
  return {
      entry("min_gru", [](Index width) { return MinGru<float, Dynamic, Dynamic>(width, width); }),
      entry("min_lstm", [](Index width) { return MinLstm<float, Dynamic, Dynamic>(width, width); }),
  };
}
