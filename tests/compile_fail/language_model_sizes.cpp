// expect: stepscan: the blocks of a LanguageModel take or give another number of features than its embedding
#include <stepscan/models/language_model.hpp>

using namespace stepscan;

LanguageModel<float, 256, 64, Linear<float, 64, 32>> model;
