#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::recurrent_layers() {
  return {
      entry("lstm", [](Index width) { return Lstm<float, Dynamic, Dynamic>(width, width); }),
      entry("gru", [](Index width) { return Gru<float, Dynamic, Dynamic>(width, width); }),
      entry("gru, reset before", [](Index width) { return Gru<float, Dynamic, Dynamic, Reset::before>(width, width); }),
      entry("elman_rnn, tanh", [](Index width) { return ElmanRnn<float, Dynamic, Dynamic>(width, width); }),
      entry("elman_rnn, relu",
            [](Index width) { return ElmanRnn<float, Dynamic, Dynamic, ReluActivation>(width, width); }),
  };
}
