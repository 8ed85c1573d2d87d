#include "mixed_isa.hpp"

std::vector<double> run_sse2() { return run_layer(); }
const void* function_sse2() { return reinterpret_cast<const void*>(&stepscan::set_max_threads); }
