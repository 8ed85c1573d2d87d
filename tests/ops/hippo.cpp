#include <algorithm>
#include <complex>
#include <stepscan/ops/discretize_dense.hpp>
#include <stepscan/ops/s4d_init.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

using Complex = std::complex<double>;

/// Legendre's polynomials P_0 ... P_(count - 1) at z.
std::vector<double> legendre(double z, Index count) {
  std::vector<double> p{1, z};
  for (Index n = 1; n + 1 < count; ++n) {
    const auto last = p.end();
    const double k = static_cast<double>(n);
    p.push_back(((2 * k + 1) * z * last[-1] - k * last[-2]) / (k + 1));
  }
  return p;
}

double polynomial(double t) { return 1 - 2 * t + 3 * t * t - 0.5 * t * t * t; }

/// max |normal-plus-low-rank form - A| / max |A|, and max |V^H V - I|.
std::pair<double, double> reconstruction_error(HippoMeasure measure, Index n) {
  const HippoSystem system = hippo(measure, n);
  const NormalPlusLowRank form = hippo_normal(measure, n, hippo_rank(measure));
  double error = 0, scale = 0, skew = 0;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      Complex value = 0, product = 0;
      for (Index m = 0; m < n; ++m) {
        value += form.V(i, m) * form.lambda[m] * std::conj(form.V(j, m));
        product += std::conj(form.V(m, i)) * form.V(m, j);
      }
      for (Index r = 0; r < form.P.extent(0); ++r) value -= form.P(r, i) * form.P(r, j);
      error = std::max(error, std::abs(value - system.A(i, j)));
      scale = std::max(scale, std::abs(system.A(i, j)));
      skew = std::max(skew, std::abs(product - (i == j ? 1.0 : 0.0)));
    }
  }
  return {error / scale, skew};
}

}  // namespace

TEST_CASE("the memory of LegS holds a polynomial", "[hippo]") {
  // h' = A h / t + B u / t forgets no scale of time: in s = log t it is h' = A h + B u, and h gives the past on [0, t]
  // by u(tau) = sum_n h_n sqrt(2n + 1) P_n(2 tau / t - 1).
  constexpr Index size = 8;
  const HippoSystem system = hippo(HippoMeasure::legs, size);
  constexpr double ds = 1e-3, from = 1e-6;
  const Index steps = static_cast<Index>(std::log(1 / from) / ds);
  Tensor<double, Dynamic, Dynamic> Abar(size, size), Bbar(size, 1), h(size, 1);
  const MatrixView<const double> B(system.B.data(), size, Index{1});
  discretize_bilinear<double>({system.A, B}, ds, 0.5, {Abar, Bbar});
  h[0] = polynomial(0);
  double t = 0;
  for (Index k = 0; k < steps; ++k) {
    const double before = from * std::exp(ds * static_cast<double>(k)), after = before * std::exp(ds);
    t = after;
    Tensor<double, Dynamic, Dynamic> next(size, 1);
    plain_product_add<double>(next, Abar, h);
    for (Index n = 0; n < size; ++n) next[n] += Bbar[n] * (polynomial(before) + polynomial(after)) / 2;
    h = next;
  }
  for (const double part : {0.0, 0.2, 0.5, 0.9, 1.0}) {
    const std::vector<double> p = legendre(2 * part - 1, size);
    double value = 0;
    for (Index n = 0; n < size; ++n) {
      value += h[n] * std::sqrt(static_cast<double>(2 * n + 1)) * p[static_cast<std::size_t>(n)];
    }
    CAPTURE(part);
    CHECK(std::abs(value - polynomial(part * t)) < 1e-5);
  }
}

TEST_CASE("HiPPO matrices are their normal-plus-low-rank forms", "[hippo]") {
  for (const HippoMeasure measure :
       {HippoMeasure::legs, HippoMeasure::legt, HippoMeasure::lagt, HippoMeasure::fourier}) {
    for (const Index size : {2, 4, 6, 64}) {
      CAPTURE(static_cast<int>(measure), size);
      const auto [error, skew] = reconstruction_error(measure, size);
      CHECK(error < 1e-12);
      CHECK(skew < 1e-12);
    }
  }
  CHECK(reconstruction_error(HippoMeasure::legs, 1).first < 1e-15);
  CHECK(reconstruction_error(HippoMeasure::legs, 256).first < 1e-11);
  CHECK(reconstruction_error(HippoMeasure::legt, 255).first < 1e-11);
}

TEST_CASE("eigenvalues of HiPPO come in pairs, in order", "[hippo]") {
  for (const Index size : {2, 7, 64, 256}) {
    const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, size, 1);
    for (Index i = 0; i < size; ++i) {
      CHECK(std::abs(form.lambda[i].real() + 0.5) < 1e-13);
      CHECK(std::abs(form.lambda[i].imag() + form.lambda[size - 1 - i].imag()) < 1e-13 * form.lambda[size - 1].imag());
      if (i > 0) CHECK(form.lambda[i].imag() > form.lambda[i - 1].imag());
    }
  }
  // Gu et al. 2022: the largest frequency of LegS grows as N^2 / pi.
  const double largest = s4d_init(S4dInit::legs, 64).back().imag();
  CHECK(std::abs(largest / (64.0 * 64 / std::numbers::pi) - 1) < 0.01);
  CHECK(s4d_init(S4dInit::legs, 7).size() == 3);
  CHECK(s4d_init(S4dInit::quad, 6).back() == Complex(-0.5, 25 / std::numbers::pi));
}

TEST_CASE("a larger rank adds rows of zeros", "[hippo]") {
  const NormalPlusLowRank plain = hippo_normal(HippoMeasure::legt, 6, 2),
                          padded = hippo_normal(HippoMeasure::legt, 6, 4);
  CHECK(plain.normal == padded.normal);
  CHECK(std::equal(plain.P.begin(), plain.P.end(), padded.P.begin()));
  CHECK(std::all_of(padded.P.begin() + 12, padded.P.end(), [](double x) { return x == 0; }));
}

TEST_CASE("HiPPO refuses what does not exist", "[hippo]") {
  CHECK_THROWS_AS(hippo(HippoMeasure::fourier, 5), ArgumentError);
  CHECK_THROWS_AS(hippo(HippoMeasure::legs, 0), ArgumentError);
  CHECK_THROWS_AS(hippo_normal(HippoMeasure::legt, 6, 1), ArgumentError);
  CHECK_THROWS_AS(hippo_normal(HippoMeasure::lmu, 6, 1), ArgumentError);
  CHECK_THROWS_AS(s4d_init(S4dInit::lin, 1), ArgumentError);
}
