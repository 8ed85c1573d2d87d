#include <stepscan/ops/norm.hpp>
#include <stepscan/ops/norm_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "rows.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// The equations, in long double.
template <class S>
Rows<double> plain_norm(const Rows<S>& x, Centre about, Index groups, double eps) {
  Rows<double> y(x.extent(0), x.extent(1));
  const Index size = x.extent(1) / groups;
  for (Index r = 0; r < x.extent(0); ++r) {
    for (Index g = 0; g < groups; ++g) {
      long double mean = 0, square = 0;
      for (Index i = 0; i < size; ++i) mean += static_cast<long double>(x(r, g * size + i));
      mean = about == Centre::mean ? mean / static_cast<long double>(size) : 0;
      for (Index i = 0; i < size; ++i) {
        const long double d = static_cast<long double>(x(r, g * size + i)) - mean;
        square += d * d;
      }
      const long double root = std::sqrt(square / static_cast<long double>(size) + static_cast<long double>(eps));
      for (Index i = 0; i < size; ++i) {
        y(r, g * size + i) = static_cast<double>((static_cast<long double>(x(r, g * size + i)) - mean) / root);
      }
    }
  }
  return y;
}

template <Centre About, class S>
Rows<S> normalized(const Rows<S>& x, const Norm<S>& norm) {
  Rows<S> y(x.extent(0), x.extent(1));
  normalize<About, S>(norm, x, y);
  return y;
}

template <class S>
void check_values(double scale, double offset, double tolerance) {
  for (const Index size : {1, 3, 8, 13, 70}) {
    for (const Index groups : {1, 3}) {
      const auto x = random_rows<S>(4, groups * size, 5, scale, offset);
      const Norm<S> norm{groups, static_cast<S>(1e-5)};
      CAPTURE(size, groups, scale, offset);
      CHECK(distance(normalized<Centre::zero, S>(x, norm), plain_norm(x, Centre::zero, groups, 1e-5)) < tolerance);
      CHECK(distance(normalized<Centre::mean, S>(x, norm), plain_norm(x, Centre::mean, groups, 1e-5)) < tolerance);
    }
  }
}

}  // namespace

TEST_CASE("features are normalised as the equations say", "[ops]") {
  check_values<double>(1, 0, 1e-13);
  check_values<double>(1e-4, 0, 1e-13);
  check_values<double>(1, 1e3, 1e-11);
  check_values<float>(1, 0, 2e-6);
  check_values<float>(1e3, 0, 2e-6);
  check_values<float>(1, 1e3, 2e-4);
}

TEST_CASE("squares and sums of large features do not overflow", "[ops]") {
  check_values<float>(1e18, 0, 2e-6);
  check_values<float>(3e38, 0, 2e-6);
  check_values<double>(1e154, 0, 1e-13);
  check_values<double>(1.7e308, 0, 1e-13);
}

TEST_CASE("features that are all the same are their own mean", "[ops]") {
  for (const float value : {0.1F, 1000.1F, 1e6F, 1e18F, 3e38F}) {
    Rows<float> x(1, 77);
    x.fill(value);
    for (const float y : normalized<Centre::mean, float>(x, {1, 1e-5F})) CHECK(y == 0);
  }
}

TEST_CASE("weights and biases of a norm, of all features and shared by the groups", "[ops]") {
  constexpr Index groups = 3, size = 5;
  const auto x = random_rows<double>(2, groups * size, 1), weight = random_rows<double>(1, groups * size, 2),
             bias = random_rows<double>(1, groups * size, 3);
  const auto plain = plain_norm(x, Centre::mean, groups, 1e-5);
  const auto own = normalized<Centre::mean, double>(x, {groups, 1e-5, weight.data(), bias.data()});
  const auto shared = normalized<Centre::mean, double>(x, {groups, 1e-5, weight.data(), bias.data(), true});
  for (Index r = 0; r < 2; ++r) {
    for (Index i = 0; i < groups * size; ++i) {
      CHECK(own(r, i) == Approx(plain(r, i) * weight[i] + bias[i]).margin(1e-13));
      CHECK(shared(r, i) == Approx(plain(r, i) * weight[i % size] + bias[i % size]).margin(1e-13));
    }
  }
  Rows<double> in_place = x;
  normalize<Centre::mean, double>({groups, 1e-5, weight.data(), bias.data()}, in_place, in_place);
  CHECK(in_place == own);
}

TEST_CASE("a row is normalised to the same bits whatever stands beside it", "[ops]") {
  const auto x = random_rows<float>(5, 37, 1);
  const auto all = normalized<Centre::zero, float>(x, {1, 1e-6F});
  for (Index r = 0; r < 5; ++r) {
    Rows<float> row(1, 37);
    std::copy_n(&x(r, 0), 37, row.data());
    const auto alone = normalized<Centre::zero, float>(row, {1, 1e-6F});
    CHECK(std::equal(alone.begin(), alone.end(), &all(r, 0)));
  }
}

TEST_CASE("gradients of shared weights sum over the groups", "[ops]") {
  constexpr Index groups = 2, size = 6;
  const auto x = random_rows<double>(3, groups * size, 1), dy = random_rows<double>(3, groups * size, 2);
  auto weight = random_rows<double>(1, size, 3);
  const Norm<double> norm{groups, 1e-5, weight.data(), nullptr, true};
  Rows<double> dx(3, groups * size), dweight(1, size);
  normalize_backward<Centre::zero, double>(norm, x, dy, {dweight.data()}, dx);
  const auto loss = [&](const Rows<double>& at) {
    const auto y = normalized<Centre::zero, double>(at, norm);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  constexpr double h = 1e-5;
  for (Index i = 0; i < size; ++i) {
    const double kept = weight[i];
    weight[i] = kept + h;
    const double above = loss(x);
    weight[i] = kept - h;
    CHECK(dweight[i] == Approx((above - loss(x)) / (2 * h)).margin(1e-8));
    weight[i] = kept;
  }
  for (Index i = 0; i < x.size(); ++i) {
    auto above = x, below = x;
    above[i] += h;
    below[i] -= h;
    CHECK(dx[i] == Approx((loss(above) - loss(below)) / (2 * h)).margin(1e-8));
  }
}

TEST_CASE("gradients of large features are finite and small", "[ops]") {
  const auto x = random_rows<float>(1, 19, 1, 1e30), dy = random_rows<float>(1, 19, 2);
  const auto near = random_rows<float>(1, 19, 1, 1);
  Rows<float> dx(1, 19), expected(1, 19);
  normalize_backward<Centre::mean, float>({1, 0.0F}, x, dy, {}, dx);
  normalize_backward<Centre::mean, float>({1, 0.0F}, near, dy, {}, expected);
  for (Index i = 0; i < 19; ++i) CHECK(dx[i] * 1e30F == Approx(expected[i]).margin(1e-4));
}
