#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math_turns.hpp>

/// Rotary positions (RoFormer, arXiv 2104.09864, section 3.2, equations 14, 15 and 34): pairs of a head's features turn
/// with the token's position p,
///   (a, b) -> (a cos - b sin, b cos + a sin)   of the angle p theta_i,   theta_i = base^(-2i / dim) / interpolation
/// so that the product of a query and a key depends on how far they are apart. Angles are taken in double, in half
/// turns, where whole turns drop out exactly: at any position below 2^50 / theta_i half turns a cosine is as exact as
/// its frequency, which is rounded once.
namespace stepscan::inline STEPSCAN_ISA {

/// Which two features are pair i of dim / 2.
enum class RotaryPairs {
  halves,       ///< i and i + dim / 2 (GPT-NeoX, Llama in Hugging Face's files)
  interleaved,  ///< 2i and 2i + 1 (RoFormer, GPT-J, Llama in Meta's files)
};

struct RotarySettings {
  Index dim = 0;  ///< how many features of a head turn, the first ones, an even number; 0: all of them
  double base = 10000;
  double interpolation = 1;  ///< positions are divided by it (position interpolation, arXiv 2306.15595)
  RotaryPairs pairs = RotaryPairs::halves;
};

/// By how many half turns pair i of `dim` features turns from token to token: theta_i / pi.
[[nodiscard]] inline double rotary_half_turns(const RotarySettings& settings, Index i, Index dim) noexcept {
  constexpr double pi = 3.14159265358979323846;
  const double exponent = -2 * static_cast<double>(i) / static_cast<double>(dim);
  return std::pow(settings.base, exponent) / (pi * settings.interpolation);
}

/// Heads whose features turn: of a token's features the first heads * head_dim.
struct RotaryHeads {
  Index heads = 0;
  Index head_dim = 0;
  Index dim = 0;  ///< features of a head that turn
  RotaryPairs pairs = RotaryPairs::halves;
};

/// cos and sin [count] of the angles at a position; those at -position turn back.
template <Scalar S>
void rotary_angles(const double* half_turns_per_token, Index count, double position, S* cosines, S* sines) noexcept {
  constexpr Index width = simd_width<double>;
  for_each_lanes<double>(count, [&](Index i, auto lanes) {
    const auto [cosine, sine] = half_turns(Simd<double>(position), lanes.load(half_turns_per_token + i));
    std::array<double, static_cast<std::size_t>(width)> c, s;
    store(c.data(), cosine);
    store(s.data(), sine);
    for (Index lane = 0; lane < std::min(width, count - i); ++lane) {
      cosines[i + lane] = static_cast<S>(c[static_cast<std::size_t>(lane)]);
      sines[i + lane] = static_cast<S>(s[static_cast<std::size_t>(lane)]);
    }
  });
}

/// Turns the heads of one token; features behind `dim` of a head are copied. y may be x.
template <Scalar S>
[[gnu::noinline]] void rotate_heads(const RotaryHeads& n, const S* cosines, const S* sines, const S* x, S* y) noexcept {
  const Index half = n.dim / 2;
  for (Index h = 0; h < n.heads; ++h, x += n.head_dim, y += n.head_dim) {
    if (n.pairs == RotaryPairs::halves) {
      for_each_lanes<S>(half, [&](Index i, auto lanes) {
        const Simd<S> a = lanes.load(x + i), b = lanes.load(x + half + i);
        const Simd<S> cosine = lanes.load(cosines + i), sine = lanes.load(sines + i);
        lanes.store(y + i, a * cosine - b * sine);
        lanes.store(y + half + i, b * cosine + a * sine);
      });
    } else {
      for (Index i = 0; i < half; ++i) {
        const S a = x[2 * i], b = x[2 * i + 1];
        y[2 * i] = a * cosines[i] - b * sines[i];
        y[2 * i + 1] = b * cosines[i] + a * sines[i];
      }
    }
    if (x != y) std::copy_n(x + n.dim, n.head_dim - n.dim, y + n.dim);
  }
}

/// Turns all real tokens, those of batch member b being at positions[b], positions[b] + 1, ...; by the opposite angles
/// where `back`, which is the backward pass. Features behind the heads are copied, padding of y becomes zero.
template <Scalar S>
void rotate_tokens(const RotaryHeads& n, const double* half_turns_per_token, const std::int64_t* positions, bool back,
                   SequenceView<const S> x, SequenceView<S> y, Workspace& workspace) {
  constexpr Index tokens = 64, shared_size = 1 << 16;
  const Workspace::Scope scope(workspace);
  const Index blocks = (x.time + tokens - 1) / tokens, count = x.batch * blocks, half = n.dim / 2;
  const Index workers = x.batch * x.time * x.features < shared_size ? 1 : std::min<Index>(max_threads(), count);
  S* const scratch = workspace.take<S>(workers * n.dim);
  const Index turned = n.heads * n.head_dim;
  parallel_for(workers, static_cast<int>(workers), [&](Index worker) {
    S *const cosines = scratch + worker * n.dim, *const sines = cosines + half;
    for (Index block = worker; block < count; block += workers) {
      const Index b = block / blocks, first = block % blocks * tokens;
      for (Index t = first; t < std::min(first + tokens, x.length(b)); ++t) {
        const double position = static_cast<double>(positions[b] + t);
        rotary_angles(half_turns_per_token, half, back ? -position : position, cosines, sines);
        rotate_heads(n, cosines, sines, x.token(b, t), y.token(b, t));
        std::copy_n(x.token(b, t) + turned, x.features - turned, y.token(b, t) + turned);
      }
    }
  });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
