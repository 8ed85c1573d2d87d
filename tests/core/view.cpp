#include <array>
#include <stepscan/core/view.hpp>
#include <support/catch.hpp>
#include <type_traits>
#include <vector>

using namespace stepscan;

TEST_CASE("views are trivially copyable and never throw where sizes are known", "[core]") {
  STATIC_REQUIRE(std::is_trivially_copyable_v<MatrixView<float, Dynamic, 4>>);
  STATIC_REQUIRE(std::is_trivially_copyable_v<SequenceView<const double>>);
  STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<SequenceView<float, 3>>);
  STATIC_REQUIRE(std::is_nothrow_constructible_v<MatrixView<const float>, MatrixView<float, 2, 4>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<MatrixView<float>, MatrixView<const float>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<MatrixView<float, Dynamic, 3>, MatrixView<float, Dynamic, 4>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<SequenceView<float, 3>, SequenceView<float, 4>>);
}

TEST_CASE("a matrix view walks over strided rows", "[core]") {
  Tensor<float, Dynamic, Dynamic> tensor(4, 6);
  for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(i);
  const MatrixView<float> view = tensor;
  CHECK(view.rows == 4);
  CHECK(view.stride == 6);
  CHECK(view(2, 3) == 15);
  const auto part = view.middle_rows(1, 2).middle_cols(2, 3);
  CHECK(part.rows == 2);
  CHECK(part.cols == 3);
  CHECK(part(1, 2) == tensor(2, 4));
  part(0, 0) = -1;
  CHECK(tensor(1, 2) == -1);
}

TEST_CASE("a view of a dynamic size refuses a static one that differs", "[core]") {
  Tensor<float, Dynamic, Dynamic> tensor(4, 6);
  const MatrixView<float> view = tensor;
  CHECK_NOTHROW(MatrixView<const float, Dynamic, 6>(view));
  CHECK_THROWS_AS((MatrixView<const float, Dynamic, 5>(view)), ShapeError);
  CHECK_THROWS_AS((SequenceView<float, 3>(SequenceView<float>(tensor.data(), 2, 3, 4))), ShapeError);
}

TEST_CASE("one row of numbers is a matrix", "[core]") {
  std::vector<float> values{1, 2, 3};
  CHECK(row_view(std::span(values))(0, 2) == 3);
  CHECK(row_view(values.data(), 2).cols == 2);
}

TEST_CASE("a sequence view finds tokens, frames and members at any stride", "[core]") {
  std::vector<int> memory(200);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<int>(i);
  SequenceView<int> x(memory.data() + 5, 3, 4, 2);
  x.time_stride = 7;
  x.batch_stride = 40;
  CHECK(*x.token(2, 3) == 5 + 80 + 21);
  CHECK(x.frame(3)(2, 1) == *x.token(2, 3) + 1);
  CHECK(x.member(2)(3, 1) == *x.token(2, 3) + 1);
  CHECK(*x.slice(1, 2).token(1, 1) == *x.token(1, 2));
  CHECK(*x.members(1, 2).token(1, 3) == *x.token(2, 3));
  const auto features = x.middle_features(1, Extent<1>());
  STATIC_REQUIRE(std::is_same_v<decltype(features), const SequenceView<int, 1>>);
  CHECK(*features.token(2, 3) == *x.token(2, 3) + 1);
  CHECK(features.frame(1).stride == 40);
}

TEST_CASE("lengths follow the slices of a ragged sequence", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(3, 5, 2);
  const std::array<Index, 3> lengths{5, 0, 3};
  const auto x = SequenceView<float>(tensor).ragged(lengths);
  CHECK(x.is_ragged());
  CHECK(x.length(0) == 5);
  CHECK(x.length(1) == 0);
  CHECK(x.length(2) == 3);
  const auto part = x.slice(2, 2);
  CHECK(part.length(0) == 2);
  CHECK(part.length(1) == 0);
  CHECK(part.length(2) == 1);
  CHECK(part.slice(1, 1).length(2) == 0);
  CHECK(x.members(2, 1).length(0) == 3);
  CHECK(x.middle_features(0, Extent<Dynamic>(1)).slice(1, 4).length(2) == 2);
}

TEST_CASE("lengths that do not fit are refused", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(2, 5, 2);
  const SequenceView<float> x = tensor;
  const std::array<Index, 3> many{1, 2, 3};
  const std::array<Index, 2> long_one{5, 6}, negative{-1, 0};
  CHECK_THROWS_WITH(x.ragged(many), ContainsSubstring("2 lengths") && ContainsSubstring("found 3"));
  CHECK_THROWS_AS(x.ragged(long_one), ShapeError);
  CHECK_THROWS_AS(x.ragged(negative), ShapeError);
}

TEST_CASE("a packed batch has its members end to end, and no padding", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(1, 6, 2);
  for (Index i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(i);
  const std::array<Index, 4> offsets{0, 2, 2, 6};
  const Packing packing(offsets);
  const SequenceView<float> x = SequenceView<float>(tensor).packed(packing);
  CHECK((x.batch == 3 && x.time == 4 && x.length(0) == 2 && x.length(1) == 0 && x.length(2) == 4));
  CHECK(x.token(2, 1) == &tensor(0, 3, 0));
  CHECK(x.member(2)(3, 1) == tensor(0, 5, 1));
  CHECK(x.frame(1, 2, 1).row(0) == &tensor(0, 3, 0));
  CHECK((x.slice(2, 2).token(2, 1) == &tensor(0, 5, 0) && x.slice(2, 2).length(0) == 0));
  CHECK((x.members(2, 1).token(0, 0) == &tensor(0, 2, 0) && x.members(2, 1).length(0) == 4));
  CHECK(*x.middle_features(1, Extent<1>()).token(2, 0) == tensor(0, 2, 1));
  std::vector<std::pair<Index, Index>> runs;
  for_each_active_run(x, 0, [&](Index first, Index count) { runs.emplace_back(first, count); });
  CHECK(runs == std::vector<std::pair<Index, Index>>{{0, 1}, {2, 1}});
  const auto before = tensor;
  clear_padding(x, x);
  CHECK(tensor == before);
}

TEST_CASE("packings that do not fit are refused", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(1, 5, 2), batch(2, 3, 2);
  const std::array<Index, 3> six{0, 2, 6}, falling{0, 3, 2}, late{1, 2, 6};
  CHECK_THROWS_WITH(SequenceView<float>(tensor).packed(Packing(six)), ContainsSubstring("one sequence of 6 tokens"));
  CHECK_THROWS_AS(SequenceView<float>(batch).packed(Packing(six)), ShapeError);
  CHECK_THROWS_AS(Packing(falling), ShapeError);
  CHECK_THROWS_AS(Packing(late), ShapeError);
  CHECK((Packing().batch() == 0 && Packing().longest() == 0));
}

TEST_CASE("active runs are the members whose token is real", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(5, 4, 1);
  const std::array<Index, 5> lengths{2, 4, 0, 3, 3};
  const auto x = SequenceView<float>(tensor).ragged(lengths);
  const auto runs = [](const SequenceView<float>& view, Index t) {
    std::vector<std::pair<Index, Index>> found;
    for_each_active_run(view, t, [&](Index first, Index count) { found.emplace_back(first, count); });
    return found;
  };
  using Runs = std::vector<std::pair<Index, Index>>;
  CHECK(runs(x, 0) == Runs{{0, 2}, {3, 2}});
  CHECK(runs(x, 2) == Runs{{1, 1}, {3, 2}});
  CHECK(runs(x, 3) == Runs{{1, 1}});
  CHECK(runs(tensor, 3) == Runs{{0, 5}});
  CHECK(runs(SequenceView<float>(tensor).members(0, 0), 0).empty());
}

TEST_CASE("clear_padding writes zeros behind the real tokens and nowhere else", "[core]") {
  Tensor<float, Dynamic, Dynamic, Dynamic> tensor(2, 3, 2);
  tensor.fill(1);
  const std::array<Index, 2> lengths{1, 3};
  clear_padding(SequenceView<float>(tensor).ragged(lengths), SequenceView<float>(tensor));
  CHECK(tensor(0, 0, 1) == 1);
  CHECK(tensor(0, 1, 0) == 0);
  CHECK(tensor(0, 2, 1) == 0);
  CHECK(tensor(1, 2, 1) == 1);
}
