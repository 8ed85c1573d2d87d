// expect: stepscan: the blocks of a LanguageModel are causal and give one output for every token
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/language_model.hpp>

using namespace stepscan;

LanguageModel<float, 256, 64, Bidirectional<Linear<float, 64, 32>>> model;
