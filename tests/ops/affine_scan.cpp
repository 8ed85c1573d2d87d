#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/ops/affine_scan_backward.hpp>
#include <stepscan/ops/affine_scan_dense_backward.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

template <class S>
using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;
template <class S>
using Rows = Tensor<S, Dynamic, Dynamic>;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

const std::vector<ScanSchedule> schedules{{0, false}, {1, false}, {4, false}, {0, true},
                                          {1, true},  {4, true},  {64, true}};

/// One problem with its results, in P planes. cols = 0: diagonal; otherwise dense with h [size / cols, cols].
template <class S, std::size_t P>
struct Problem {
  Index batch, time, size, cols;
  std::vector<Index> lengths;
  Planes<Sequence<S>, P> a, v, h, dh, da, dv;
  Planes<Rows<S>, P> start, state, dstate_end, dstate;
  Workspace workspace;

  Problem(Index b, Index t, Index n, Index m, unsigned seed, double radius = 0.9)
      : batch(b), time(t), size(n), cols(m) {
    Random random(seed);
    const Index transition = m == 0 ? n : n / m * (n / m);
    const auto fill = [&](auto& tensor, double scale) {
      for (S& value : tensor) value = static_cast<S>(random.uniform(-scale, scale));
    };
    for (std::size_t k = 0; k < P; ++k) {
      a[k] = da[k] = Sequence<S>(b, t, transition);
      v[k] = h[k] = dh[k] = dv[k] = Sequence<S>(b, t, n);
      start[k] = dstate_end[k] = Rows<S>(b, n);
      fill(a[k], m == 0 ? radius : radius / static_cast<double>(n / m));
      fill(v[k], 1);
      fill(dh[k], 1);
      fill(start[k], 1);
      fill(dstate_end[k], 1);
    }
    if (a[0].size() > 2) a[0][1] = 0;  // a transition that forgets everything
  }

  template <class T, class Tensors>
  auto views(Tensors& tensors) const {
    Planes<SequenceView<T>, P> result;
    for (std::size_t k = 0; k < P; ++k) {
      result[k] = tensors[k];
      if (!lengths.empty()) result[k] = result[k].ragged(lengths);
    }
    return result;
  }
  template <class T, class Tensors>
  static auto rows(Tensors& tensors) {
    Planes<MatrixView<T>, P> result;
    for (std::size_t k = 0; k < P; ++k) result[k] = MatrixView<T>(tensors[k]);
    return result;
  }

  void forward(const ScanSchedule& schedule) {
    state = start;
    const auto A = views<const S>(a), V = views<const S>(v);
    if (cols == 0) {
      affine_scan<S, P>(A, V, rows<S>(state), views<S>(h), schedule, workspace);
    } else {
      affine_scan_dense<S, P>(size / cols, A, V, rows<S>(state), views<S>(h), schedule, workspace);
    }
  }
  void backward(const ScanSchedule& schedule) {
    dstate = dstate_end;
    const auto A = views<const S>(a), H = views<const S>(h), DH = views<const S>(dh);
    if (cols == 0) {
      affine_scan_backward<S, P>(A, H, rows<const S>(start), DH, rows<S>(dstate), views<S>(da), views<S>(dv), schedule,
                                 workspace);
    } else {
      affine_scan_dense_backward<S, P>(size / cols, A, H, rows<const S>(start), DH, rows<S>(dstate), views<S>(da),
                                       views<S>(dv), schedule, workspace);
    }
  }

  [[nodiscard]] Index length(Index b) const { return lengths.empty() ? time : lengths[at(b)]; }

  /// <dh, h> + <dstate_end, state>, the real part, over the real tokens.
  [[nodiscard]] double loss() const {
    double sum = 0;
    for (std::size_t k = 0; k < P; ++k) {
      for (Index b = 0; b < batch; ++b) {
        for (Index t = 0; t < length(b); ++t) {
          for (Index i = 0; i < size; ++i)
            sum += static_cast<double>(dh[k](b, t, i)) * static_cast<double>(h[k](b, t, i));
        }
        for (Index i = 0; i < size; ++i) {
          sum += static_cast<double>(dstate_end[k](b, i)) * static_cast<double>(state[k](b, i));
        }
      }
    }
    return sum;
  }
};

template <class S, std::size_t P>
std::complex<double> number(const Planes<Sequence<S>, P>& x, Index b, Index t, Index i) {
  return {static_cast<double>(x[0](b, t, i)), P == 2 ? static_cast<double>(x[P - 1](b, t, i)) : 0.0};
}

/// The definition, in plain loops of complex doubles: largest difference of h and of the last state.
template <class S, std::size_t P>
double error_of_forward(const Problem<S, P>& p) {
  const Index m = std::max<Index>(p.cols, 1), n = p.size / m;
  double error = 0;
  for (Index b = 0; b < p.batch; ++b) {
    std::vector<std::complex<double>> h(at(p.size));
    for (Index i = 0; i < p.size; ++i) {
      h[at(i)] = {static_cast<double>(p.start[0](b, i)), P == 2 ? static_cast<double>(p.start[P - 1](b, i)) : 0.0};
    }
    for (Index t = 0; t < p.length(b); ++t) {
      auto next = h;
      for (Index i = 0; i < n; ++i) {
        for (Index c = 0; c < m; ++c) {
          std::complex<double> sum = number(p.v, b, t, i * m + c);
          for (Index j = 0; j < n; ++j) {
            if (p.cols > 0) sum += number(p.a, b, t, i * n + j) * h[at(j * m + c)];
          }
          if (p.cols == 0) sum += number(p.a, b, t, i) * h[at(i)];
          next[at(i * m + c)] = sum;
        }
      }
      h = next;
      for (Index i = 0; i < p.size; ++i) error = std::max(error, std::abs(h[at(i)] - number(p.h, b, t, i)));
    }
    for (Index i = 0; i < p.size; ++i) {
      const std::complex<double> last{static_cast<double>(p.state[0](b, i)),
                                      P == 2 ? static_cast<double>(p.state[P - 1](b, i)) : 0.0};
      error = std::max(error, std::abs(h[at(i)] - last));
    }
  }
  return error;
}

/// Central differences of the loss, which is of low degree in every single number.
template <std::size_t P, class Tensors, class Gradients>
double error_of_gradient(Problem<double, P>& p, Tensors& inputs, const Gradients& gradients) {
  double error = 0;
  for (std::size_t k = 0; k < P; ++k) {
    for (Index i = 0; i < inputs[k].size(); ++i) {
      const double value = inputs[k][i], step = 1e-3;
      const auto loss = [&](double offset) {
        inputs[k][i] = value + offset;
        p.forward({});
        inputs[k][i] = value;
        return p.loss();
      };
      const double slope = (loss(step) - loss(-step)) / (2 * step);
      error = std::max(error, std::abs(slope - gradients[k][i]) / std::max(1.0, std::abs(slope)));
    }
  }
  return error;
}

template <std::size_t P>
void check_gradients(Problem<double, P>& p) {
  p.forward({});
  p.backward({});
  const auto da = p.da, dv = p.dv;
  const auto dstate = p.dstate;
  CHECK(error_of_gradient(p, p.a, da) < 1e-7);
  CHECK(error_of_gradient(p, p.v, dv) < 1e-7);
  CHECK(error_of_gradient(p, p.start, dstate) < 1e-7);
}

template <class Tensors>
double difference(const Tensors& x, const Tensors& y) {
  double error = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    for (Index i = 0; i < x[k].size(); ++i) {
      error = std::max(error, std::abs(static_cast<double>(x[k][i]) - static_cast<double>(y[k][i])));
    }
  }
  return error;
}

template <class S, std::size_t P>
void check_schedules(Problem<S, P>& p, double tolerance) {
  p.forward({});
  p.backward({});
  const auto da = p.da, dv = p.dv;
  const auto dstate = p.dstate;
  for (const auto& schedule : schedules) {
    CAPTURE(schedule.chunk, schedule.parallel, p.time);
    p.forward(schedule);
    REQUIRE(error_of_forward(p) < tolerance);
    p.backward(schedule);
    REQUIRE(difference(p.da, da) < tolerance);
    REQUIRE(difference(p.dv, dv) < tolerance);
    REQUIRE(difference(p.dstate, dstate) < tolerance);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("affine_scan: every schedule at every length", "[affine_scan]", float, double) {
  const double tolerance = std::is_same_v<TestType, float> ? 2e-5 : 1e-13;
  for (const Index time : {0, 1, 3, 4, 5, 17}) {
    for (const Index size : {1, 5, 8, 37}) {
      Problem<TestType, 1> real(2, time, size, 0, 1);
      check_schedules(real, tolerance);
    }
    Problem<TestType, 2> complex(2, time, 11, 0, 2, 0.6);
    check_schedules(complex, tolerance);
    Problem<TestType, 1> matrix(2, time, 6, 2, 3);
    check_schedules(matrix, tolerance);
    Problem<TestType, 1> vector(2, time, 5, 1, 4);
    check_schedules(vector, tolerance);
    Problem<TestType, 2> complex_matrix(2, time, 6, 2, 5, 0.6);
    check_schedules(complex_matrix, tolerance);
  }
  Problem<TestType, 1> nobody(0, 5, 3, 0, 6);
  check_schedules(nobody, tolerance);
}

TEST_CASE("affine_scan: gradients against finite differences", "[affine_scan]") {
  Problem<double, 1> diagonal(2, 5, 3, 0, 1);
  check_gradients(diagonal);
  Problem<double, 2> complex(1, 4, 3, 0, 2);
  check_gradients(complex);
  Problem<double, 1> dense(2, 4, 6, 2, 3);
  check_gradients(dense);
  Problem<double, 2> complex_dense(1, 3, 4, 2, 4);
  check_gradients(complex_dense);
  Problem<double, 1> ragged(3, 4, 3, 0, 5);
  ragged.lengths = {0, 4, 2};
  check_gradients(ragged);
}

TEST_CASE("affine_scan: padding is neither read nor left as it was", "[affine_scan]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Index cols : {0, 2}) {
    for (const auto& schedule : schedules) {
      Problem<double, 1> p(4, 9, 6, cols, 3);
      p.lengths = {9, 0, 5, 4};
      for (Index b = 0; b < p.batch; ++b) {
        for (Index t = p.length(b); t < p.time; ++t) {
          for (auto* x : {&p.v[0], &p.dh[0], &p.h[0], &p.da[0], &p.dv[0], &p.a[0]}) {
            std::fill_n(x->data() + (b * p.time + t) * x->extent(2), x->extent(2), nan);
          }
        }
      }
      p.forward(schedule);
      REQUIRE(error_of_forward(p) < 1e-13);
      p.backward(schedule);
      for (Index b = 0; b < p.batch; ++b) {
        for (Index t = p.length(b); t < p.time; ++t) {
          for (const auto* x : {&p.h[0], &p.da[0], &p.dv[0]}) {
            for (Index i = 0; i < x->extent(2); ++i) REQUIRE((*x)(b, t, i) == 0);
          }
        }
      }
      for (const double value : p.da[0]) REQUIRE(std::isfinite(value));
      REQUIRE(p.dstate[0](1, 0) == p.dstate_end[0](1, 0));
    }
  }
}

TEST_CASE("affine_scan: bits do not depend on threads or on the other sequences", "[affine_scan]") {
  const int before = max_threads();
  for (const Index cols : {0, 2}) {
    for (const auto& schedule : schedules) {
      Problem<float, 1> one(3, 700, 24, cols, 8);
      auto two = one;
      set_max_threads(1);
      one.forward(schedule);
      one.backward(schedule);
      set_max_threads(2);
      two.forward(schedule);
      two.backward(schedule);
      REQUIRE(one.h == two.h);
      REQUIRE(one.da == two.da);
      REQUIRE(one.dstate == two.dstate);

      auto alone = one;
      alone.batch = 1;
      alone.a = {Sequence<float>(1, 700, one.a[0].extent(2))};
      alone.v = alone.h = {Sequence<float>(1, 700, 24)};
      std::copy_n(&one.a[0](2, 0, 0), alone.a[0].size(), alone.a[0].data());
      std::copy_n(&one.v[0](2, 0, 0), alone.v[0].size(), alone.v[0].data());
      alone.start = {Rows<float>(1, 24)};
      std::copy_n(&one.start[0](2, 0), 24, alone.start[0].data());
      alone.forward(schedule);
      REQUIRE(std::equal(alone.h[0].begin(), alone.h[0].end(), &one.h[0](2, 0, 0)));
    }
  }
  set_max_threads(before);
}

TEST_CASE("affine_scan: a transition that does not change with time is a view of stride 0", "[affine_scan]") {
  Problem<double, 1> p(2, 7, 5, 0, 9);
  for (Index b = 0; b < 2; ++b) {
    for (Index t = 0; t < 7; ++t) std::copy_n(&p.a[0](0, 0, 0), 5, &p.a[0](b, t, 0));
  }
  p.forward({4, true});
  const auto expected = p.h;
  SequenceView<const double> constant(p.a[0]);
  constant.batch_stride = constant.time_stride = 0;
  p.state = p.start;
  affine_scan<double>(constant, p.v[0], p.state[0], p.h[0], {4, true}, p.workspace);
  CHECK(p.h == expected);
}

TEST_CASE("affine_scan: a split sequence continues where it was left", "[affine_scan]") {
  Problem<double, 1> p(2, 12, 5, 0, 9);
  p.forward({});
  const auto expected = p.h;
  const SequenceView<const double> a(p.a[0]), v(p.v[0]);
  const SequenceView<double> h(p.h[0]);
  for (Index split = 0; split <= 12; ++split) {
    p.state = p.start;
    affine_scan<double>(a.slice(0, split), v.slice(0, split), p.state[0], h.slice(0, split), {}, p.workspace);
    affine_scan<double>(a.slice(split, 12 - split), v.slice(split, 12 - split), p.state[0], h.slice(split, 12 - split),
                        {3, true}, p.workspace);
    REQUIRE(difference(p.h, expected) < 1e-14);
  }
}

TEST_CASE("affine_scan: strong decay underflows to zero, never to anything else", "[affine_scan]") {
  Problem<float, 1> p(1, 300, 9, 0, 4);
  for (float& value : p.a[0]) value = 1e-6F;
  for (const auto& schedule : schedules) {
    p.forward(schedule);
    CHECK(error_of_forward(p) < 1e-6);
  }
}

TEST_CASE("affine_scan: shapes that do not fit", "[affine_scan]") {
  Workspace workspace;
  Sequence<double> a(2, 5, 3), v(2, 5, 3), short_v(2, 4, 3), h(2, 5, 3);
  Rows<double> state(2, 3), narrow(2, 2);
  CHECK_THROWS_AS(affine_scan<double>(a, short_v, state, h, {}, workspace), ShapeError);
  CHECK_THROWS_AS(affine_scan<double>(a, v, narrow, h, {}, workspace), ShapeError);
  CHECK_THROWS_AS(affine_scan_dense<double>(2, a, v, state, h, {}, workspace), ShapeError);
  CHECK_THROWS_AS(affine_scan_dense<double>(0, a, v, state, h, {}, workspace), ShapeError);
  CHECK_THROWS_AS(affine_scan_dense<double>(3, a, v, state, h, {}, workspace), ShapeError);
}
