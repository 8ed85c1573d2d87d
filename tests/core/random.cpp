#include <cmath>
#include <stepscan/core/random.hpp>
#include <support/catch.hpp>

using namespace stepscan;

TEST_CASE("Philox4x32-10 gives its published first block", "[core]") {
  Random random(0);
  CHECK(random.bits() == 0x6627e8d5U);
  CHECK(random.bits() == 0xe169c58dU);
  CHECK(random.bits() == 0xbc57ac4cU);
  CHECK(random.bits() == 0x9b00dbd8U);
}

TEST_CASE("seed, stream and position are key and counter", "[core]") {
  Random random(0x299f31d0a4093822, 0x0370734413198a2e);
  random.seek(4 * std::uint64_t{0x05a308d3243f6a88});
  CHECK(random.bits() == 0x2fe11a02U);
  CHECK(random.bits() == 0x572a2f27U);
  CHECK(random.bits() == 0x2f88763bU);
  CHECK(random.bits() == 0x78d5e325U);
}

TEST_CASE("a generator goes on from where it is told", "[core]") {
  Random a(7, 3), b(7, 3);
  for (int i = 0; i < 6; ++i) static_cast<void>(a.bits());
  CHECK(a.position() == 6);
  b.seek(6);
  for (int i = 0; i < 9; ++i) CHECK(a.bits() == b.bits());
  b.seek(0);
  CHECK(b.bits() == Random(7, 3).bits());
}

TEST_CASE("streams and seeds differ", "[core]") {
  CHECK(Random(7, 0).bits() != Random(7, 1).bits());
  CHECK(Random(7, 0).bits() != Random(8, 0).bits());
}

TEST_CASE("draws have the range and moments of their distribution", "[core]") {
  Random random(42);
  constexpr int count = 100000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < count; ++i) {
    const double u = random.uniform(-1, 3);
    REQUIRE((u >= -1 && u < 3));
    REQUIRE(random.below(7) < 7);
    sum += u;
    squares += (u - 1) * (u - 1);
    const double n = random.normal();
    REQUIRE(std::isfinite(n));
    normal_sum += n;
    normal_squares += n * n;
  }
  CHECK(sum / count == Approx(1.0).margin(0.02));
  CHECK(squares / count == Approx(16.0 / 12).margin(0.02));
  CHECK(normal_sum / count == Approx(0.0).margin(0.02));
  CHECK(normal_squares / count == Approx(1.0).margin(0.03));
}

TEST_CASE("uniform draws are exact in float", "[core]") {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform();
    CHECK(static_cast<double>(static_cast<float>(u)) == u);
  }
}

TEST_CASE("draws are known at compile time", "[core]") { STATIC_REQUIRE(Random(0).bits() == 0x6627e8d5U); }
