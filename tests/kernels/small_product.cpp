#include <cmath>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

template <class S>
using Matrix = Tensor<S, Dynamic, Dynamic>;

template <class S>
Matrix<S> random_matrix(Index rows, Index cols, std::uint64_t seed) {
  Matrix<S> matrix(rows, cols);
  Random random(seed);
  for (S& value : matrix) value = static_cast<S>(random.uniform(-1, 1));
  return matrix;
}

bool counts(Part part, Index i, Index j) { return part == Part::all || (part == Part::lower ? i >= j : i <= j); }

/// The largest |c - (base + a b)| where c counts.
template <class S>
double largest_error(const Factor<S>& a, MatrixView<const S> b, const Matrix<S>& before, const ProductBase<S>& base,
                     MatrixView<const S> c, Part of_c) {
  double worst = 0;
  for (Index i = 0; i < c.rows; ++i) {
    for (Index j = 0; j < c.cols; ++j) {
      if (!counts(of_c, i, j)) continue;
      double sum = base.keeps ? static_cast<double>(before(i, j)) : 0;
      if (base.scale != nullptr) sum *= static_cast<double>(base.scale[i * base.stride]);
      for (Index k = 0; k < a.cols; ++k) {
        sum += static_cast<double>(a.data[i * a.row_stride + k * a.col_stride]) * static_cast<double>(b(k, j));
      }
      const double error = std::abs(sum - static_cast<double>(c(i, j)));
      worst = error <= worst ? worst : error;
    }
  }
  return worst;
}

template <class S>
double rounding(Index depth) {
  return 4 * std::numeric_limits<S>::epsilon() * static_cast<double>(depth + 1);
}

struct Sizes {
  Index rows, depth, cols;
};

}  // namespace

TEMPLATE_TEST_CASE("products of small matrices", "[kernels][small_product]", float, double) {
  using S = TestType;
  const Sizes size = GENERATE(Sizes{1, 1, 1}, Sizes{3, 5, 2}, Sizes{16, 16, 64}, Sizes{7, 13, 21}, Sizes{6, 64, 8},
                              Sizes{13, 0, 9}, Sizes{17, 8, 33}, Sizes{0, 4, 4});
  const auto a = random_matrix<S>(size.rows, size.depth, 1), b = random_matrix<S>(size.depth, size.cols, 2);
  const auto before = random_matrix<S>(size.rows, size.cols, 3), scale = random_matrix<S>(1, 2 * size.rows, 4);
  Matrix<S> turned(size.depth, size.rows);
  transpose<S>(a, turned);
  for (const ProductBase<S>& base : {ProductBase<S>{}, ProductBase<S>{.keeps = true},
                                     ProductBase<S>{.keeps = true, .scale = scale.data(), .stride = 2},
                                     ProductBase<S>{.keeps = true, .scale = scale.data(), .stride = 0}}) {
    Matrix<S> c = before, of_turned = before;
    small_multiply<S>(factor<S>(a), b, c, base);
    small_multiply<S>(transposed_factor<S>(turned), b, of_turned, base);
    CHECK(largest_error<S>(factor<S>(a), b, before, base, c, Part::all) <= rounding<S>(size.depth));
    CHECK(of_turned == c);
  }
}

TEMPLATE_TEST_CASE("products with triangles", "[kernels][small_product]", float, double) {
  using S = TestType;
  const Index n = GENERATE(1, 2, 5, 8, 16, 23);
  const Part part = GENERATE(Part::lower, Part::upper);
  auto a = random_matrix<S>(n, n, 1);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      if (!counts(part, i, j)) a(i, j) = 0;
    }
  }
  const auto b = random_matrix<S>(n, n, 2), before = random_matrix<S>(n, n, 3);
  Matrix<S> c(n, n), whole(n, n);
  small_multiply<S>(factor<S>(a), b, c, {}, part);
  small_multiply<S>(factor<S>(a), b, whole);
  CHECK(c == whole);

  c = before;
  small_multiply_add<S>(factor<S>(b), a, c, Part::all, part);
  CHECK(largest_error<S>(factor<S>(b), a, before, {.keeps = true}, c, part) <= rounding<S>(n));
}

TEST_CASE("a product touches nothing beside its result", "[kernels][small_product]") {
  const auto a = random_matrix<float>(7, 5, 1), b = random_matrix<float>(5, 13, 2);
  auto room = random_matrix<float>(9, 20, 3);
  const auto before = room;
  small_multiply<float>(factor<float>(a), b, MatrixView<float>(&room(1, 3), 7, 13, 20));
  for (Index i = 0; i < 9; ++i) {
    for (Index j = 0; j < 20; ++j) {
      const bool inside = i >= 1 && i < 8 && j >= 3 && j < 16;
      if (!inside) CHECK(room(i, j) == before(i, j));
    }
  }
}

TEMPLATE_TEST_CASE("transposes of any size and stride", "[kernels][transpose]", float, double) {
  using S = TestType;
  const Index rows = GENERATE(0, 1, 3, 4, 7, 8, 17), cols = GENERATE(1, 4, 5, 8, 16, 23);
  const auto from = random_matrix<S>(rows, cols + 3, 1);
  auto room = random_matrix<S>(cols, rows + 2, 2);
  const auto before = room;
  transpose<S>(MatrixView<const S>(from).middle_cols(1, cols), MatrixView<S>(room).middle_cols(1, rows));
  for (Index j = 0; j < cols; ++j) {
    CHECK(room(j, 0) == before(j, 0));
    for (Index i = 0; i < rows; ++i) CHECK(room(j, 1 + i) == from(i, 1 + j));
    CHECK(room(j, rows + 1) == before(j, rows + 1));
  }
}
