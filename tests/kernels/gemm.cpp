#include <cmath>
#include <functional>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/kernels/gemm.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

/// A view of rows x cols numbers inside wider rows of other numbers.
template <class S>
struct Strided {
  Tensor<S, Dynamic, Dynamic> memory;
  MatrixView<S> view;

  Strided(Index rows, Index cols, std::uint64_t seed)
      : memory(rows, cols + 3), view(memory.data() + 1, rows, cols, cols + 3) {
    Random random(seed);
    for (S& value : memory) value = static_cast<S>(random.uniform(-1, 1));
  }
};

struct Sizes {
  Index m, n, k;
};

}  // namespace

TEMPLATE_TEST_CASE("large products add to strided views and touch nothing else", "[kernels][gemm]", float, double) {
  using S = TestType;
  const Sizes size =
      GENERATE(Sizes{1, 1, 1}, Sizes{5, 3, 7}, Sizes{1, 40, 9}, Sizes{33, 1, 20}, Sizes{40, 50, 60}, Sizes{7, 8, 0},
               Sizes{0, 4, 4}, Sizes{200, 190, 185}, Sizes{140, 300, 256}, Sizes{9, 1100, 300}, Sizes{40, 3, 50});
  const Strided<S> before(size.m, size.n, 1);
  Strided<S> c(size.m, size.n, 1);
  std::function<S(Index, Index)> left, right;
  SECTION("A B") {
    const Strided<S> a(size.m, size.k, 2), b(size.k, size.n, 3);
    gemm_add<S>(c.view, a.view, b.view);
    left = [a](Index i, Index j) { return a.memory(i, 1 + j); };
    right = [b](Index i, Index j) { return b.memory(i, 1 + j); };
  }
  SECTION("A^T B") {
    const Strided<S> a(size.k, size.m, 2), b(size.k, size.n, 3);
    gemm_add_left_transposed<S>(c.view, a.view, b.view);
    left = [a](Index i, Index j) { return a.memory(j, 1 + i); };
    right = [b](Index i, Index j) { return b.memory(i, 1 + j); };
  }
  SECTION("A B^T") {
    const Strided<S> a(size.m, size.k, 2), b(size.n, size.k, 3);
    gemm_add_right_transposed<S>(c.view, a.view, b.view);
    left = [a](Index i, Index j) { return a.memory(i, 1 + j); };
    right = [b](Index i, Index j) { return b.memory(j, 1 + i); };
  }
  double worst = 0;
  bool untouched = true;
  for (Index i = 0; i < size.m; ++i) {
    for (Index j = -1; j < size.n + 2; ++j) {
      if (j < 0 || j >= size.n) {
        untouched = untouched && c.memory(i, 1 + j) == before.memory(i, 1 + j);
        continue;
      }
      double sum = before.memory(i, 1 + j);
      for (Index k = 0; k < size.k; ++k) sum += static_cast<double>(left(i, k)) * static_cast<double>(right(k, j));
      worst = std::max(worst, std::abs(sum - static_cast<double>(c.view(i, j))));
    }
  }
  CHECK(untouched);
  CHECK(worst <= 4 * std::numeric_limits<S>::epsilon() * static_cast<double>(size.k + 1));
}

TEST_CASE("a large product is the same on any number of threads", "[kernels][gemm]") {
  const Strided<float> a(300, 280, 2), b(300, 260, 3);
  Strided<float> one(280, 260, 1), four(280, 260, 1);
  const int before = max_threads();
  set_max_threads(1);
  gemm_add_left_transposed<float>(one.view, a.view, b.view);
  set_max_threads(4);
  gemm_add_left_transposed<float>(four.view, a.view, b.view);
  set_max_threads(before);
  CHECK(one.memory == four.memory);
  CHECK(max_threads() == before);
}
