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
    const Random random(place.key, place.sequence);
    const std::uint64_t token_blocks = static_cast<std::uint64_t>((features + 3) / 4);
    const std::uint64_t first = one_mask ? 0 : position * token_blocks;
    const double dropped = rate * 0x1p32;
    const S scale = static_cast<S>(1 / (1 - rate));
    for (Index i = 0; i < features; i += 4) {
      const std::array<std::uint32_t, 4> bits = random.block(first + static_cast<std::uint64_t>(i / 4));
      for (Index k = 0; k < std::min<Index>(4, features - i); ++k) {
        y[i + k] = static_cast<double>(bits[static_cast<std::size_t>(k)]) < dropped ? S{0} : x[i + k] * scale;
      }
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
