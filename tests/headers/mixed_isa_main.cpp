// Units compiled for different instruction sets, in one program: each must run its own code, and the results agree.

#include <cmath>
#include <cstdio>
#include <vector>

std::vector<double> run_sse2();
std::vector<double> run_avx2();
const void* function_sse2();
const void* function_avx2();

int main() {
  constexpr int skipped = 77;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return skipped;
  if (function_sse2() == function_avx2()) {
    std::puts("expected two copies of a stepscan function, found one: the linker has merged them");
    return 1;
  }
  const std::vector<double> narrow = run_sse2(), wide = run_avx2();
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    largest = std::fmax(largest, std::fabs(narrow[i]));
    difference = std::fmax(difference, std::fabs(narrow[i] - wide[i]));
  }
  std::printf("largest output %g, largest difference %g\n", largest, difference);
  return largest > 0.01 && difference < 1e-5 ? 0 : 1;
}
