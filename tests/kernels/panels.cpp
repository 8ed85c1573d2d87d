#include <cmath>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/kernels/panels.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

template <class S>
Tensor<S, Dynamic, Dynamic> random_matrix(Index rows, Index cols, std::uint64_t seed) {
  Tensor<S, Dynamic, Dynamic> matrix(rows, cols);
  Random random(seed);
  for (S& value : matrix) value = static_cast<S>(random.uniform(-1, 1));
  return matrix;
}

template <class S>
double largest_error(MatrixView<const S> a, MatrixView<const S> x, MatrixView<const S> initial, MatrixView<const S> y) {
  double worst = 0;
  for (Index r = 0; r < x.rows; ++r) {
    for (Index i = 0; i < a.rows; ++i) {
      double sum = initial(r, i);
      for (Index k = 0; k < a.cols; ++k) sum += static_cast<double>(a(i, k)) * static_cast<double>(x(r, k));
      const double error = std::abs(sum - static_cast<double>(y(r, i)));
      worst = error <= worst ? worst : error;
    }
  }
  return worst;
}

template <class S>
double rounding(Index cols) {
  return 4 * std::numeric_limits<S>::epsilon() * static_cast<double>(cols + 1);
}

struct Sizes {
  Index rows, cols;
};

}  // namespace

TEMPLATE_TEST_CASE("products with packed panels, any number of rows", "[kernels][panels]", float, double) {
  using S = TestType;
  const Sizes size = GENERATE(Sizes{1, 1}, Sizes{3, 5}, Sizes{16, 4}, Sizes{37, 21}, Sizes{64, 64}, Sizes{250, 33},
                              Sizes{20, 1100}, Sizes{9, 0});
  const Index count = GENERATE(1, 2, 3, 5, 6, 7, 13, 32);
  const auto a = random_matrix<S>(size.rows, size.cols, 1), x = random_matrix<S>(count, size.cols + 2, 2);
  const auto initial = random_matrix<S>(count, size.rows + 1, 3);
  const PackedMatrix<S> packed{MatrixView<const S>(a)};
  auto y = random_matrix<S>(count, size.rows + 3, 4);
  const auto before = y;
  const MatrixView<const S> inputs(x.data(), count, size.cols, size.cols + 2);
  const MatrixView<const S> from(initial.data(), count, size.rows, size.rows + 1);
  const MatrixView<S> out(y.data() + 1, count, size.rows, size.rows + 3);

  packed.view().multiply(inputs, from, out);
  CHECK(largest_error<S>(a, inputs, from, out) <= rounding<S>(size.cols));
  bool untouched = true;
  for (Index r = 0; r < count; ++r) {
    for (const Index j : {Index{0}, size.rows + 1, size.rows + 2}) untouched = untouched && y(r, j) == before(r, j);
  }
  CHECK(untouched);

  for (Index r = 0; r < count; ++r) {
    Tensor<S, Dynamic> alone(size.rows);
    packed.view().multiply(inputs.middle_rows(r, 1), from.middle_rows(r, 1), row_view(alone.span()));
    CHECK(std::equal(alone.begin(), alone.end(), out.row(r)));
  }

  const MatrixView<const S> one_for_all(initial.data(), count, size.rows, 0);
  packed.view().multiply(inputs, one_for_all, out);
  CHECK(largest_error<S>(a, inputs, one_for_all, out) <= rounding<S>(size.cols));

  const auto sum = y;
  packed.view().multiply_add(inputs, out);
  CHECK(largest_error<S>(a, inputs, MatrixView<const S>(sum.data() + 1, count, size.rows, size.rows + 3), out) <=
        rounding<S>(size.cols));
}

TEMPLATE_TEST_CASE("products of static sizes", "[kernels][panels]", (PackedMatrix<float, 12, 7>),
                   (PackedMatrix<float, 80, 20>), (PackedMatrix<double, 32, 9>), (PackedMatrix<double, 300, 70>)) {
  const auto view = TestType().view();
  using S = std::remove_cvref_t<decltype(*view.panels)>;
  const auto a = random_matrix<S>(view.rows, view.cols, 1), x = random_matrix<S>(7, view.cols, 2);
  const auto initial = random_matrix<S>(7, view.rows, 3);
  const TestType packed{MatrixView<const S>(a)};
  auto y = initial;
  packed.view().multiply(x, initial, y);
  CHECK(largest_error<S>(a, x, initial, y) <= rounding<S>(view.cols));
  for (Index r = 0; r < 7; ++r) {
    Tensor<S, Dynamic, Dynamic> alone(1, view.rows);
    packed.view().multiply(MatrixView<const S>(x).middle_rows(r, 1), MatrixView<const S>(initial).middle_rows(r, 1),
                           alone);
    CHECK(std::equal(alone.begin(), alone.end(), MatrixView<S>(y).row(r)));
  }
}

TEMPLATE_TEST_CASE("a matrix packed in parts, and its transpose", "[kernels][panels]", float, double) {
  using S = TestType;
  const Index rows = 45, cols = 10, split = GENERATE(1, 16, 21, 44);
  const auto a = random_matrix<S>(rows, cols, 1), x = random_matrix<S>(4, cols, 2);
  Tensor<S, Dynamic, Dynamic> transposed(cols, rows);
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < cols; ++k) transposed(k, i) = a(i, k);
  }
  const Tensor<S, Dynamic, Dynamic> zeros(4, rows);
  Tensor<S, Dynamic, Dynamic> expected(4, rows), found(4, rows);
  PackedMatrix<S>{MatrixView<const S>(a)}.view().multiply(x, zeros, expected);
  Tensor<S, Dynamic> panels(packed_size<S>(rows, cols));
  const PanelsView<S> view{panels.data(), rows, cols};

  SECTION("rows") {
    pack_rows<S>(panels.data(), cols, MatrixView<const S>(a).middle_rows(0, split), 0);
    pack_rows<S>(panels.data(), cols, MatrixView<const S>(a).middle_rows(split, rows - split), split);
  }
  SECTION("columns of the transpose") {
    const MatrixView<const S> source(transposed);
    pack_transposed<S>(panels.data(), cols, MatrixView<const S>(source.middle_cols(0, split)), 0);
    pack_transposed<S>(panels.data(), cols, MatrixView<const S>(source.middle_cols(split, rows - split)), split);
  }
  SECTION("rows of the transpose") {
    const MatrixView<const S> source(transposed);
    const Index first = split % cols;
    pack_transposed<S>(panels.data(), cols, source.middle_rows(0, first), 0);
    pack_transposed<S>(panels.data(), cols, source.middle_rows(first, cols - first), 0, first);
  }
  view.multiply(x, zeros, found);
  CHECK(found == expected);
  for (Index i = 0; i < rows; ++i) CHECK(view.at(i, i % cols) == a(i, i % cols));
}

TEMPLATE_TEST_CASE("weights of half the size are rounded once, then as good as their float values", "[kernels][panels]",
                   Half, BFloat16) {
  const Index rows = 50, cols = 19;
  auto a = random_matrix<float>(rows, cols, 1);
  const auto exact = a;
  for (float& value : a) value = static_cast<float>(static_cast<TestType>(value));
  const auto x = random_matrix<float>(5, cols, 2), initial = random_matrix<float>(5, rows, 3);
  Tensor<float, Dynamic, Dynamic> expected(5, rows), found(5, rows), one(1, rows);
  PackedMatrix<float>{MatrixView<const float>(a)}.view().multiply(x, initial, expected);
  const PackedMatrix<float, Dynamic, Dynamic, TestType> packed{MatrixView<const float>(exact)};
  packed.view().multiply(x, initial, found);
  CHECK(found == expected);
  packed.view().multiply(MatrixView<const float>(x).middle_rows(0, 1),
                         MatrixView<const float>(initial).middle_rows(0, 1), one);
  CHECK(std::equal(one.begin(), one.end(), expected.begin()));
  for (Index i = 0; i < rows; ++i) CHECK(packed.view().at(i, i % cols) == a(i, i % cols));
}
