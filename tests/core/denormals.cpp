#include <limits>
#include <stepscan/core/denormals.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

float half_of(float x) {
  volatile float value = x;
  value = value * 0.5F;
  return value;
}

}  // namespace

TEST_CASE("subnormal numbers are zero inside the scope and numbers outside", "[core]") {
  constexpr float smallest = std::numeric_limits<float>::min();
  REQUIRE(half_of(smallest) > 0);
#if defined(__SSE2__) || defined(__aarch64__)
  {
    const FlushDenormals flush;
    CHECK(half_of(smallest) == 0);
    {
      const FlushDenormals again;
      CHECK(half_of(smallest) == 0);
    }
    CHECK(half_of(smallest) == 0);
    CHECK(half_of(4 * smallest) == 2 * smallest);
  }
#endif
  CHECK(half_of(smallest) > 0);
}
