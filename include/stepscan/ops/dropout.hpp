#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <stepscan/core/random.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Where a sequence stands in its stream of random numbers. Key 0 is no dropout.
struct DropoutPlace {
  std::uint64_t key = 0;
  std::uint64_t sequence = 0;
  std::uint64_t position = 0;  ///< of the next token
};

/// A key, never 0, for whatever is number `number` of those that share a seed.
[[nodiscard]] constexpr std::uint64_t dropout_key(std::uint64_t seed, std::uint64_t number) noexcept {
  const auto bits = Random(seed, number).block(0);
  return (std::uint64_t{bits[0]} << 32) | bits[1] | 1;
}

/// Inverted dropout (Srivastava et al. 2014; torch.nn.Dropout): y_i = x_i / (1 - rate) with probability 1 - rate, else
/// 0. Whether feature i of token t is kept is a function of (key, sequence, t, i) alone; with `one_mask` of (key,
/// sequence, i), the same for every token (variational dropout, arXiv 1512.05287, section 4).
struct DropoutRule {
  double rate = 0;
  bool one_mask = false;

  [[nodiscard]] bool applies(const DropoutPlace& place) const noexcept { return place.key != 0 && rate > 0; }

  /// The token number `position` of a sequence. y may be x.
  template <Scalar S>
  void apply(const DropoutPlace& place, std::uint64_t position, Index features, const S* x, S* y) const noexcept {
    if (!applies(place)) {
      if (x != y) std::copy_n(x, features, y);
      return;
    }
    constexpr std::size_t side = 8;
    constexpr Index group = 4 * static_cast<Index>(side);
    const Random random(place.key, place.sequence);
    const auto groups = static_cast<std::uint64_t>((features + group - 1) / group);
    const std::uint64_t first = one_mask ? 0 : position * groups;
    const auto dropped = static_cast<std::uint32_t>(rate * 0x1p32);
    const S scale = static_cast<S>(1 / (1 - rate));
    for (Index i = 0; i < features; i += group) {
      const auto draws = random.blocks<side>((first + static_cast<std::uint64_t>(i / group)) * side);
      const Index count = std::min(group, features - i);
      for (Index k = 0; k < count; ++k)
        y[i + k] = draws[static_cast<std::size_t>(k)] < dropped ? S{0} : x[i + k] * scale;
    }
  }
};

/// Drops from the real tokens of x, member b from place_of(b) on; y of padding is zero.
template <Scalar S, class Places>
void drop_tokens(const DropoutRule& rule, const Places& place_of, SequenceView<const S> x, SequenceView<S> y) noexcept {
  constexpr Index tokens = 32, shared = 1 << 14;
  const Index blocks = (x.time + tokens - 1) / tokens;
  parallel_for(x.batch * blocks, x.batch * x.time * x.features < shared ? 1 : max_threads(), [&](Index job) {
    const Index b = job / blocks, first = job % blocks * tokens;
    const DropoutPlace place = place_of(b);
    for (Index t = first; t < std::min(first + tokens, x.length(b)); ++t) {
      rule.apply(place, place.position + static_cast<std::uint64_t>(t), x.features, x.token(b, t), y.token(b, t));
    }
  });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
