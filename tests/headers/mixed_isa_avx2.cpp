#include "mixed_isa.hpp"

std::vector<double> run_avx2() { return run_layer(); }
const void* function_avx2() { return reinterpret_cast<const void*>(&stepscan::set_max_threads); }
