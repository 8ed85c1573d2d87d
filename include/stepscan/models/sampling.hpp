#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/error.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/core/scalar.hpp>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// How the next token is drawn from its logits: first the temperature, then top-k, then top-p among what is left.
struct Sampling {
  double temperature = 1;  ///< logits are divided by it; 0: always the likeliest token, the first of equals
  Index top_k = 0;         ///< only the k likeliest, of equals the lower ids; 0: all
  double top_p = 1;        ///< only the fewest likeliest whose probabilities sum to p or more (arXiv 1904.09751)

  /// Throws ArgumentError when a number lies outside its range.
  void check() const {
    const auto require = [](bool holds, const char* what, double found) {
      if (!holds) fail<ArgumentError>("Sampling: expected " + std::string(what) + ", found " + std::to_string(found));
    };
    require(temperature >= 0 && temperature < std::numeric_limits<double>::infinity(), "a temperature of 0 or more",
            temperature);
    require(top_k >= 0, "a top_k of 0 or more", static_cast<double>(top_k));
    require(top_p > 0 && top_p <= 1, "a top_p in (0, 1]", top_p);
  }
};

/// Draws tokens from logits. Every draw takes one number of the generator, whatever the options, so that draw i under a
/// seed is a function of seed, stream and i alone. Logits that are not a number count as minus infinity.
class Sampler {
 public:
  /// Throws ArgumentError when an option lies outside its range.
  explicit Sampler(const Sampling& options = {}, std::uint64_t seed = 0, std::uint64_t stream = 0)
      : options_(options), random_(seed, stream) {
    options.check();
  }

  /// The generator, to save and restore its position.
  [[nodiscard]] Random& random() noexcept { return random_; }

  /// One of {0, ..., count - 1}, count > 0. Allocates on the first call alone.
  template <Scalar S>
  [[nodiscard]] Index operator()(const S* logits, Index count) {
    const double draw = random_.uniform();
    const double largest = largest_of(logits, count);
    if (options_.temperature == 0) return first_of(logits, count, largest);
    candidates_.resize(static_cast<std::size_t>(count));
    double total = 0;
    for (Index i = 0; i < count; ++i) {
      const double weight = weight_of(static_cast<double>(logits[i]), largest);
      candidates_[static_cast<std::size_t>(i)] = {weight, i};
      total += weight;
    }
    return pick(draw, kept(total));
  }

 private:
  struct Candidate {
    double weight;
    Index id;
    /// Less likely, of equals the higher id.
    friend bool operator<(const Candidate& a, const Candidate& b) noexcept {
      return a.weight != b.weight ? a.weight < b.weight : a.id > b.id;
    }
  };
  using Place = std::vector<Candidate>::iterator;
  /// Candidates to draw from, in the order of `last - 1` down to `first`, and the sum of their weights.
  struct Kept {
    Place first;
    Place last;
    double total;
  };

  template <Scalar S>
  static double largest_of(const S* logits, Index count) noexcept {
    double largest = -std::numeric_limits<double>::infinity();
    for (Index i = 0; i < count; ++i) largest = std::max(largest, static_cast<double>(logits[i]));
    return largest;
  }
  template <Scalar S>
  static Index first_of(const S* logits, Index count, double largest) noexcept {
    const S* const found = std::find(logits, logits + count, static_cast<S>(largest));
    return found == logits + count ? 0 : found - logits;
  }

  /// e^((logit - largest) / temperature), 1 for the largest even where it is infinite.
  [[nodiscard]] double weight_of(double logit, double largest) const noexcept {
    if (std::isnan(logit)) logit = -std::numeric_limits<double>::infinity();
    return logit == largest ? 1 : std::exp((logit - largest) / options_.temperature);
  }

  /// Takes the likeliest candidates off a heap, which moves them behind it, until top-k and top-p have enough.
  [[nodiscard]] Kept kept(double total) {
    const auto count = static_cast<Index>(candidates_.size());
    const Index limit = options_.top_k > 0 ? std::min(options_.top_k, count) : count;
    if (limit == count && options_.top_p >= 1) return {candidates_.begin(), candidates_.end(), total};
    std::make_heap(candidates_.begin(), candidates_.end());
    const auto take_until = [&](Index most, double enough) {
      Kept taken{candidates_.end(), candidates_.end(), 0};
      while (candidates_.end() - taken.first < most && taken.total < enough) {
        std::pop_heap(candidates_.begin(), taken.first);
        taken.total += (--taken.first)->weight;
      }
      return taken;
    };
    if (limit == count) return take_until(count, options_.top_p * total);
    const Kept most = take_until(limit, std::numeric_limits<double>::infinity());
    Kept some{most.last, most.last, 0};
    while (some.first > most.first && (some.total < options_.top_p * most.total || options_.top_p >= 1)) {
      some.total += (--some.first)->weight;
    }
    return some;
  }

  /// Where a draw in [0, 1) lies among the weights.
  static Index pick(double draw, const Kept& kept) noexcept {
    double left = draw * kept.total;
    Place chosen = kept.last;
    for (Place place = kept.last; place > kept.first;) {
      --place;
      if (place->weight <= 0) continue;
      chosen = place;
      left -= place->weight;
      if (left < 0) break;
    }
    return chosen->id;
  }

  Sampling options_;
  Random random_;
  std::vector<Candidate> candidates_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
