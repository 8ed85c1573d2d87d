#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/scan/affine.hpp>
#include <stepscan/scan/dense_affine.hpp>
#include <string>
#include <support/catch.hpp>
#include <vector>

#include "words.hpp"

using namespace stepscan;
using testing::Words;

namespace {

struct NotAMonoid {
  using Element = int;
  void identity(int&) const {}
};
static_assert(!Monoid<NotAMonoid>);

/// Memory for elements and states of an affine monoid, filled with small numbers that are exact in S.
template <class M, class S, std::size_t P>
struct Store {
  Index a_size, b_size;
  std::vector<std::vector<S>> blocks;
  Random random{7};

  std::vector<S>& fresh(Index size) {
    std::vector<S> block(static_cast<std::size_t>(size));
    for (S& x : block) x = static_cast<S>(static_cast<int>(random.below(5)) - 2);
    blocks.push_back(std::move(block));
    return blocks.back();
  }
  typename M::Element element() {
    typename M::Element e;
    for (std::size_t k = 0; k < P; ++k) {
      e.a[k] = fresh(a_size).data();
      e.b[k] = fresh(b_size).data();
    }
    return e;
  }
  typename M::State state() {
    typename M::State s;
    for (std::size_t k = 0; k < P; ++k) s[k] = fresh(b_size).data();
    return s;
  }
};

template <class S, std::size_t P>
bool equal(const Planes<S*, P>& x, const Planes<S*, P>& y, Index size) {
  for (std::size_t k = 0; k < P; ++k) {
    if (!std::equal(x[k], x[k] + size, y[k])) return false;
  }
  return true;
}

/// Products of small integers are exact, so every law holds with equality.
template <class S, std::size_t P, class M>
void check_laws(const M& m, Index a_size, Index b_size) {
  Store<M, S, P> store{a_size, b_size, {}};
  for (int round = 0; round < 20; ++round) {
    auto x = store.element(), y = store.element(), z = store.element();
    auto xy = store.element(), yz = store.element(), left = store.element(), right = store.element();
    m.combine(x, y, xy);
    m.combine(y, z, yz);
    m.combine(xy, z, left);
    m.combine(x, yz, right);
    REQUIRE(equal(left.a, right.a, a_size));
    REQUIRE(equal(left.b, right.b, b_size));

    auto one = store.element();
    m.identity(one);
    m.combine(one, x, left);
    m.combine(x, one, right);
    REQUIRE(equal(left.a, x.a, a_size));
    REQUIRE(equal(left.b, x.b, b_size));
    REQUIRE(equal(right.a, x.a, a_size));
    REQUIRE(equal(right.b, x.b, b_size));

    auto h = store.state(), after_x = store.state(), after_y = store.state(), at_once = store.state();
    m.act(x, h, after_x);
    m.act(y, after_x, after_y);
    m.act(xy, h, at_once);
    REQUIRE(equal(after_y, at_once, b_size));
    m.act(one, h, after_x);
    REQUIRE(equal(after_x, h, b_size));
  }
}

}  // namespace

TEST_CASE("words: the laws of a monoid", "[scan]") {
  const Words m;
  std::string one, left, right, xy, yz;
  m.identity(one);
  m.combine("ab", "c", xy);
  m.combine("c", "de", yz);
  m.combine(xy, "de", left);
  m.combine("ab", yz, right);
  CHECK(left == right);
  CHECK(left == "abcde");
  m.combine(one, "x", left);
  CHECK(left == "x");
}

TEMPLATE_TEST_CASE("affine maps: associativity, identity and action", "[scan]", float, double) {
  for (const Index n : {1, 3, 8, 19}) {
    check_laws<TestType, 1>(DiagonalAffine<TestType>{n}, n, n);
    check_laws<TestType, 2>(DiagonalAffine<TestType, 2>{n}, n, n);
  }
  for (const Index n : {1, 2, 5}) {
    for (const Index m : {1, 2, 9}) {
      check_laws<TestType, 1>(DenseAffine<TestType>{n, m}, n * n, n * m);
      check_laws<TestType, 2>(DenseAffine<TestType, 2>{n, m}, n * n, n * m);
    }
  }
}

TEST_CASE("affine maps: the earlier element acts first", "[scan]") {
  double a1 = 2, b1 = 1, a2 = 10, b2 = 3, a = 0, b = 0;
  const DiagonalAffine<double> diagonal{1};
  diagonal.combine({{&a1}, {&b1}}, {{&a2}, {&b2}}, {{&a}, {&b}});
  CHECK(a == 20);
  CHECK(b == 13);

  SECTION("over one of its operands") {
    diagonal.combine({{&a1}, {&b1}}, {{&a2}, {&b2}}, {{&a2}, {&b2}});
    CHECK(a2 == 20);
    CHECK(b2 == 13);
  }
  SECTION("matrices that do not commute") {
    double rotate[4] = {0, -1, 1, 0}, stretch[4] = {2, 0, 0, 1}, zero[2] = {0, 0}, product[4], rest[2];
    DenseAffine<double>{2, 1}.combine({{rotate}, {zero}}, {{stretch}, {zero}}, {{product}, {rest}});
    const double expected[4] = {0, -2, 1, 0};
    CHECK(std::equal(product, product + 4, expected));
  }
  SECTION("complex numbers") {
    double re1 = 0, im1 = 1, re2 = 2, im2 = 3, zero = 0, re, im, b_re, b_im;
    DiagonalAffine<double, 2>{1}.combine({{&re1, &im1}, {&zero, &zero}}, {{&re2, &im2}, {&zero, &zero}},
                                         {{&re, &im}, {&b_re, &b_im}});
    CHECK(re == -3);
    CHECK(im == 2);
  }
}

TEST_CASE("dense affine maps: the adjoint is the conjugate transpose", "[scan]") {
  Random random(3);
  for (const Index m : {1, 3}) {
    const Index n = 5;
    std::vector<double> a(2 * 25), x(static_cast<std::size_t>(2 * n * m)), y = x, ax = x, ay = x;
    for (auto* v : {&a, &x, &y}) {
      for (double& value : *v) value = random.uniform(-1, 1);
    }
    const DenseAffine<double, 2> algebra{n, m};
    const Planes<const double*, 2> matrix{a.data(), a.data() + n * n};
    const auto planes = [&](std::vector<double>& v) { return Planes<double*, 2>{v.data(), v.data() + n * m}; };
    algebra.apply(matrix, detail::as_const_planes(planes(x)), {}, planes(ax), m);
    algebra.apply<true>(matrix, detail::as_const_planes(planes(y)), {}, planes(ay), m);
    // <y, A x> = <A^H y, x>, of complex numbers conj(y) x
    double re = 0, im = 0;
    const auto size = static_cast<std::size_t>(n * m);
    for (std::size_t i = 0; i < size; ++i) {
      re += y[i] * ax[i] + y[size + i] * ax[size + i] - (ay[i] * x[i] + ay[size + i] * x[size + i]);
      im += y[i] * ax[size + i] - y[size + i] * ax[i] - (ay[i] * x[size + i] - ay[size + i] * x[i]);
    }
    CHECK(std::abs(re) < 1e-13);
    CHECK(std::abs(im) < 1e-13);
  }
}
