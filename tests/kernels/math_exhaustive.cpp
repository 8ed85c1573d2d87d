#include <array>
#include <bit>
#include <cstdint>
#include <kernels/math_reference.hpp>
#include <support/catch.hpp>

/// The errors of the float functions, measured at each of the 2^32 floats. Hidden, since it takes minutes:
///   stepscan_test_kernels [exhaustive]
using namespace kernels_math;

namespace {

constexpr std::size_t block_size = 4096;
using Floats = std::array<float, block_size>;
using Doubles = std::array<double, block_size>;

template <class T>
void apply_all(Simd<T> (*f)(Simd<T>), const std::array<T, block_size>& x, std::array<T, block_size>& y) {
  for (std::size_t i = 0; i < block_size; i += static_cast<std::size_t>(simd_width<T>)) {
    store(y.data() + i, f(load(x.data() + i)));
  }
}

/// As error_in_ulp, by arithmetic that has no branches; NaN or infinity where one of the numbers is not finite.
double quick_error(float y, double r, double absolute) {
  constexpr std::uint64_t smallest_normal = 1023 - 126;
  const std::uint64_t exponent = (std::bit_cast<std::uint64_t>(r) >> 52) & 0x7FF;
  const std::uint64_t scale = 2 * 1023 + 23 - std::max(exponent, smallest_normal);
  return (std::abs(static_cast<double>(y) - r) - absolute) * std::bit_cast<double>(scale << 52);
}

/// The largest error over every float. The library's own function of double, which errs by 1e-8 of a float's ulp, finds
/// where to look; what counts is the error from the exact function there.
struct Measured {
  double ulp = 0;
  float x = 0;

  void look_at(const Function<float>& f, const Floats& x_block, const Floats& y, const Doubles& r) {
    for (std::size_t i = 0; i < block_size; ++i) {
      if (quick_error(y[i], r[i], f.stated.absolute) <= ulp) continue;
      if (static_cast<double>(y[i]) == r[i]) continue;
      const double error = error_in_ulp(f, y[i], f.exact(static_cast<double>(x_block[i])));
      if (error > ulp) *this = {error, x_block[i]};
    }
  }
};

}  // namespace

TEST_CASE("float functions stay within their stated errors, every float", "[.exhaustive]") {
  const auto exact = functions<Exact, float>();
  const auto fast = functions<Fast, float>();
  const auto wide = functions<Exact, double>();
  const auto chosen = GENERATE(range(std::size_t{0}, std::size_t{9}));
  Measured of_exact, of_fast;
  Floats x, y;
  Doubles x_wide, r;
  for (std::uint64_t first = 0; first < std::uint64_t{1} << 32; first += block_size) {
    for (std::size_t i = 0; i < block_size; ++i) {
      x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(first + i));
      x_wide[i] = static_cast<double>(x[i]);
    }
    apply_all(wide[chosen].batch, x_wide, r);
    apply_all(exact[chosen].batch, x, y);
    of_exact.look_at(exact[chosen], x, y, r);
    apply_all(fast[chosen].batch, x, y);
    of_fast.look_at(fast[chosen], x, y, r);
  }
  WARN(exact[chosen].name << ": Exact " << of_exact.ulp << " ulp at " << of_exact.x << ", Fast " << of_fast.ulp
                          << " ulp at " << of_fast.x);
  CHECK(of_exact.ulp <= exact[chosen].stated.ulp);
  CHECK(of_fast.ulp <= fast[chosen].stated.ulp);
}
