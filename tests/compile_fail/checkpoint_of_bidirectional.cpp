// expect: stepscan: the layer inside a Checkpoint reads the whole sequence before its first output
#include <stepscan/layers/min_gru.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/checkpoint.hpp>

using namespace stepscan;

Checkpoint<8, Bidirectional<MinGru<float, 3, 4>>> model;
