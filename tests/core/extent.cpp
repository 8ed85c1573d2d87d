#include <stepscan/core/extent.hpp>
#include <support/catch.hpp>
#include <type_traits>

using namespace stepscan;

TEST_CASE("a static extent takes no space and no other size", "[core]") {
  STATIC_REQUIRE(std::is_empty_v<Extent<5>>);
  STATIC_REQUIRE(std::is_trivially_copyable_v<Extent<Dynamic>>);
  STATIC_REQUIRE(Index{Extent<5>()} == 5);
  CHECK(Index{Extent<5>(Index{5})} == 5);
  CHECK_THROWS_AS(Extent<5>(Index{6}), ShapeError);
  CHECK_THROWS_WITH(Extent<5>(Index{6}), "expected size 5, found 6");
}

TEST_CASE("a dynamic extent is its value, at first zero", "[core]") {
  CHECK(Index{Extent<Dynamic>()} == 0);
  CHECK(Index{Extent<Dynamic>(Index{7})} == 7);
}

TEST_CASE("arithmetic on static sizes is Dynamic as soon as one of them is", "[core]") {
  STATIC_REQUIRE(static_product(3, 4) == 12);
  STATIC_REQUIRE(static_product(Dynamic, 4) == Dynamic);
  STATIC_REQUIRE(static_product(0, Dynamic) == Dynamic);
  STATIC_REQUIRE(static_sum(3, 4) == 7);
  STATIC_REQUIRE(static_sum(3, Dynamic) == Dynamic);
  STATIC_REQUIRE(compatible(3, 3));
  STATIC_REQUIRE(compatible(Dynamic, 3));
  STATIC_REQUIRE_FALSE(compatible(4, 3));
}
