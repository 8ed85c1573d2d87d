#include <cstdint>
#include <stepscan/core/tensor.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

template <class T>
bool aligned(const T& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data()) % tensor_alignment == 0;
}

}  // namespace

TEMPLATE_TEST_CASE("a tensor starts as zeros, aligned, in row-major order", "[core]", (Tensor<float, 3, 5>),
                   (Tensor<float, Dynamic, 5>), (Tensor<double, Dynamic, Dynamic>), (Tensor<double, 3, Dynamic>)) {
  TestType tensor(3, 5);
  REQUIRE(tensor.size() == 15);
  CHECK(tensor.shape() == std::array<Index, 2>{3, 5});
  CHECK(aligned(tensor));
  for (const auto value : tensor) CHECK(value == 0);
  for (Index i = 0; i < 15; ++i) tensor[i] = static_cast<typename TestType::value_type>(i);
  CHECK(tensor(2, 3) == 13);
  CHECK(std::as_const(tensor)(1, 4) == 9);
  CHECK(tensor.span().back() == 14);
}

TEST_CASE("a small static tensor is a plain value, a large one lies on the heap", "[core]") {
  STATIC_REQUIRE(std::is_trivially_copyable_v<Tensor<float, 16, 16>>);
  STATIC_REQUIRE(sizeof(Tensor<float, 16, 16>) == 16 * 16 * sizeof(float));
  STATIC_REQUIRE(sizeof(Tensor<float, 256, 256>) < 128);
  const Tensor<float, 256, 256> large;
  CHECK(large.size() == 256 * 256);
  CHECK(aligned(large));
}

TEST_CASE("a dynamic tensor is empty until it is given sizes", "[core]") {
  const Tensor<float, Dynamic, 4> tensor;
  CHECK(tensor.empty());
  CHECK(tensor.shape() == std::array<Index, 2>{0, 4});
  CHECK(Tensor<float, Dynamic, 4>(0, 4).empty());
}

TEST_CASE("a tensor refuses sizes that are not its own", "[core]") {
  using T = Tensor<float, Dynamic, 4>;
  CHECK_THROWS_AS(T(2, 5), ShapeError);
  CHECK_THROWS_WITH(T(2, 5), ContainsSubstring("[-1, 4]") && ContainsSubstring("[2, 5]"));
  CHECK_THROWS_AS(T(-2, 4), ShapeError);
}

TEST_CASE("a tensor refuses sizes whose product overflows", "[core]") {
  using T = Tensor<float, Dynamic, Dynamic>;
  const Index half = GENERATE(as<Index>{}, Index{1} << 32, Index{1} << 40);
  CHECK_THROWS_AS(T(half, half), ShapeError);
  CHECK_THROWS_AS(T(half, half / 4), ShapeError);
  CHECK_THROWS_WITH(T(half, half), ContainsSubstring(shape_text({half, half})));
  CHECK(T(0, half).empty());
}

TEST_CASE("the static extents of a tensor may be left out", "[core]") {
  const Tensor<float, Dynamic, 4, Dynamic> tensor(2, 5);
  CHECK(tensor.shape() == std::array<Index, 3>{2, 4, 5});
}

TEST_CASE("tensors are values", "[core]") {
  Tensor<float, Dynamic> a(4);
  a.fill(1.5F);
  Tensor<float, Dynamic> b = a;
  CHECK(a == b);
  b[2] = 0;
  CHECK_FALSE(a == b);
  CHECK(a[2] == 1.5F);
  const float* memory = a.data();
  const Tensor<float, Dynamic> c = std::move(a);
  CHECK(c.data() == memory);
  CHECK_FALSE(c == Tensor<float, Dynamic>(3));
}

TEST_CASE("assignment between equal sizes allocates nothing", "[core]") {
  Tensor<double, Dynamic, Dynamic> a(7, 9), b(7, 9);
  b.fill(2);
  const double* memory = a.data();
  const long before = testing::allocation_count();
  a = b;
  CHECK(testing::allocation_count() == before);
  CHECK(a.data() == memory);
  CHECK(a == b);
  b = Tensor<double, Dynamic, Dynamic>(2, 2);
  a = b;
  CHECK(a.shape() == std::array<Index, 2>{2, 2});
}
