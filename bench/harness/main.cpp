#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "ceilings.hpp"
#include "choice.hpp"
#include "text_of.hpp"

/// Every benchmark program: Google Benchmark's options, and --quick.
int main(int argc, char** argv) {
  char** const end = std::remove_if(argv + 1, argv + argc, [](const char* word) {
    const bool known = std::string(word) == "--quick";
    if (known) bench::quick = true;
    return known;
  });
  argc = static_cast<int>(end - argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("instruction_set", STEPSCAN_TEXT(STEPSCAN_ISA));
  bench::add_ceilings_to_context();
  bench::add_matrix_product();
  bench::add_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
}
