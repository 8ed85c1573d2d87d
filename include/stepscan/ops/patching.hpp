#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Overlapping windows of a sequence as the tokens of a shorter one (PatchTST, arXiv 2211.14730, section 3.1).
struct Patching {
  Index length = 16;            ///< tokens of a patch
  Index stride = 8;             ///< from one patch to the next
  bool pad_end = true;          ///< one more patch, its missing tokens the last one repeated, as in the paper
  bool channels_mixed = false;  ///< a patch holds all channels of its tokens; else each channel is a sequence by itself

  /// Patches of so many tokens.
  [[nodiscard]] Index count(Index time) const noexcept {
    return time < length ? 0 : (time - length) / stride + 1 + (pad_end ? 1 : 0);
  }
  /// Sequences of patches that a batch becomes, and features of a patch.
  [[nodiscard]] Index members(Index batch, Index channels) const noexcept {
    return channels_mixed ? batch : batch * channels;
  }
  [[nodiscard]] Index features(Index channels) const noexcept { return channels_mixed ? length * channels : length; }
};

namespace detail {

/// Calls f(number in x, number in patches) for every number of the patches: x [batch, time, channels], patches
/// [members, count, features], a member b channels + c where channels are not mixed.
template <class X, class P, class Function>
void for_each_patched(const Patching& how, const SequenceView<X>& x, const SequenceView<P>& patches, Function&& f) {
  for (Index m = 0; m < patches.batch; ++m) {
    const Index b = how.channels_mixed ? m : m / x.features, first = how.channels_mixed ? 0 : m % x.features;
    const Index width = how.channels_mixed ? Index{x.features} : Index{1};
    for (Index n = 0; n < patches.time; ++n) {
      for (Index i = 0; i < how.length; ++i) {
        X* const token = x.token(b, std::min(n * how.stride + i, x.time - 1)) + first;
        P* const to = patches.token(m, n) + i * width;
        for (Index c = 0; c < width; ++c) f(token[c], to[c]);
      }
    }
  }
}

}  // namespace detail

/// The patches of x.
template <Scalar S>
void take_patches(const Patching& how, SequenceView<const S> x, SequenceView<S> patches) noexcept {
  detail::for_each_patched(how, x, patches, [](S value, S& to) { to = value; });
}

/// From the cotangent of the patches, that of x.
template <Scalar S>
void take_patches_backward(const Patching& how, SequenceView<const S> dpatches, SequenceView<S> dx) noexcept {
  clear_tokens(dx);
  detail::for_each_patched(how, dx, dpatches, [](S& to, S value) { to += value; });
}

}  // namespace stepscan::inline STEPSCAN_ISA
