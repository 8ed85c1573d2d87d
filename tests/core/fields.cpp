#include <stepscan/core/fields.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

struct Leaf {
  Tensor<float, 2> weight;
  Tensor<float, Dynamic> bias{Index{3}};
  static constexpr auto fields() { return std::tuple{Field{"weight", &Leaf::weight}, Field{"bias", &Leaf::bias}}; }
};

struct Branch {
  Leaf unnamed;
  std::tuple<Leaf, Leaf> pair;
  std::vector<Leaf> list{Leaf{}, Leaf{}};
  Tensor<double, 1> scale;
  static constexpr auto fields() {
    return std::tuple{Field{"", &Branch::unnamed}, Field{"pair", &Branch::pair}, Field{"list", &Branch::list},
                      Field{"scale", [](auto& branch) -> auto& {return branch.scale;
  }
}
};  // namespace
}
}
;

}  // namespace

TEST_CASE("a tree is visited in its order, with dotted names", "[core]") {
  STATIC_REQUIRE(Tree<Branch>);
  STATIC_REQUIRE_FALSE(Tree<Tensor<float, 2>>);
  Branch tree;
  std::vector<std::string> names;
  for_each_tensor([&](const Path& path, auto&) { names.push_back(path.str()); }, tree);
  CHECK(names == std::vector<std::string>{"weight", "bias", "pair.0.weight", "pair.0.bias", "pair.1.weight",
                                          "pair.1.bias", "list.0.weight", "list.0.bias", "list.1.weight", "list.1.bias",
                                          "scale"});
  CHECK(element_count(tree) == 5 * 5 + 1);
}

TEST_CASE("several trees are visited in lockstep, const ones too", "[core]") {
  Branch a, b;
  for_each_tensor([](const Path&, auto& tensor) { tensor.fill(2); }, a);
  const Branch& source = a;
  for_each_tensor([](const Path&, auto& to, const auto& from) { to[0] = from[0] + 1; }, b, source);
  CHECK(std::get<1>(b.pair).bias[0] == 3);
  CHECK(std::get<1>(b.pair).bias[1] == 0);
  CHECK(b.scale[0] == 3);
}

TEST_CASE("zeros_like keeps shapes and clears values", "[core]") {
  Branch a;
  for_each_tensor([](const Path&, auto& tensor) { tensor.fill(2); }, a);
  const Branch zeros = zeros_like(a);
  double sum = 0;
  for_each_tensor(
      [&](const Path&, const auto& tensor) {
        for (const auto value : tensor) sum += static_cast<double>(value);
      },
      zeros);
  CHECK(sum == 0);
  CHECK(element_count(zeros) == element_count(a));
  CHECK(a.scale[0] == 2);
}
