// expect: stepscan: branches that are summed or averaged give different numbers of features
#include <stepscan/models/branches.hpp>

using namespace stepscan;

Branches<Join::sum, Linear<float, 3, 8>, Linear<float, 3, 4>> layer;
