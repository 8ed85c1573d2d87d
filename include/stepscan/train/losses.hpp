#pragma once

#include <cstdint>
#include <stepscan/ops/token_loss.hpp>
#include <string>

/// Losses: small values that compare a prediction y [batch, time, features] with its targets. Every loss offers
///
///   count(y, targets)            how many elements count: tokens with a target of theirs, or numbers
///   sum(y, targets, dy, scale)   the loss summed over them, and their count; dy = scale d(sum) / dy
///   loss(y, targets, dy)         their mean; dy = d(mean) / dy
///
/// Padding is never read and its dy is zero. dy may be a view of nothing, {}, where no gradient is wanted; y and dy
/// must not overlap. The mean of nothing is 0. Parts of a batch (micro-batches, shards of data-parallel training) add
/// up to the gradient of the whole exactly with the form `sum` and one scale, 1 / the count of all parts.
///
/// Throws ShapeError when sizes do not fit, ArgumentError for a class that does not exist, before anything is written.
/// Results do not depend on the number of threads.
namespace stepscan::inline STEPSCAN_ISA {

/// A loss summed over the elements that count. Parts add up.
struct LossSum {
  double sum = 0;
  Index count = 0;

  [[nodiscard]] double mean() const noexcept { return count == 0 ? 0 : sum / static_cast<double>(count); }
  LossSum& operator+=(const LossSum& part) noexcept {
    sum += part.sum;
    count += part.count;
    return *this;
  }
  friend LossSum operator+(LossSum a, const LossSum& b) noexcept { return a += b; }
};

/// Class targets: one class per token.
using ClassTargets = MatrixView<const std::int32_t>;

namespace detail {

template <Scalar S>
void check_loss_sizes(const char* loss, const char* what, const SequenceView<const S>& y,
                      std::initializer_list<Index> expected, std::initializer_list<Index> found,
                      const SequenceView<S>& dy) {
  if (!std::equal(expected.begin(), expected.end(), found.begin(), found.end())) {
    fail<ShapeError>(std::string(loss) + ": expected " + what + " of shape " + shape_text(expected) + ", found " +
                     shape_text(found));
  }
  if (dy.data != nullptr && (dy.batch != y.batch || dy.time != y.time || dy.features != y.features)) {
    fail<ShapeError>(std::string(loss) + ": expected a cotangent of shape " +
                     shape_text({y.batch, y.time, y.features}) + ", found " +
                     shape_text({dy.batch, dy.time, dy.features}));
  }
}

/// How many targets are not to be ignored.
template <Scalar S>
[[nodiscard]] Index count_classes(const char* loss, const SequenceView<const S>& y, const ClassTargets& targets,
                                  std::int32_t ignored, const SequenceView<S>& dy) {
  check_loss_sizes(loss, "targets", y, {y.batch, y.time}, {targets.rows, targets.cols}, dy);
  Index count = 0;
  for (Index b = 0; b < y.batch; ++b) {
    for (Index t = 0; t < y.length(b); ++t) {
      const std::int32_t target = targets(b, t);
      if (target == ignored) continue;
      if (target < 0 || target >= y.features) {
        fail<ArgumentError>(std::string(loss) + ": expected a class below " + std::to_string(y.features) + " or " +
                            std::to_string(ignored) + ", to be ignored, found " + std::to_string(target) +
                            " as the target of token " + std::to_string(t) + " of member " + std::to_string(b));
      }
      ++count;
    }
  }
  return count;
}

/// The sum over tokens of of_token(y, classes, target, dy).
template <Scalar S, class Function>
[[nodiscard]] double sum_classes(const SequenceView<const S>& y, const ClassTargets& targets, std::int32_t ignored,
                                 const SequenceView<S>& dy, Function&& of_token) {
  if (dy.data != nullptr) clear_padding(y, dy);
  return sum_over_tokens(y, [&](Index b, Index t) {
    S* const to = dy.data == nullptr ? nullptr : dy.token(b, t);
    const std::int32_t target = targets(b, t);
    if (target != ignored) return of_token(y.token(b, t), Index{y.features}, Index{target}, to);
    if (to != nullptr) std::fill_n(to, Index{dy.features}, S{0});
    return 0.0;
  });
}

/// From the form `sum` to the mean.
template <class Loss, class Y, class Targets, class Cotangent>
[[nodiscard]] double mean_loss(const Loss& loss, const Y& y, const Targets& targets, const Cotangent& dy) {
  const Index count = loss.count(y, targets);
  return loss.sum(y, targets, dy, count == 0 ? 1.0 : 1.0 / static_cast<double>(count)).mean();
}

}  // namespace detail

/// Cross entropy of logits y [batch, time, classes] with classes (torch.nn.CrossEntropyLoss): the target of a token is
/// spread by `label_smoothing` over all classes, and tokens whose target is `ignore_index` do not count. Finite for
/// finite logits of any size.
template <Scalar S>
struct CrossEntropy {
  double label_smoothing = 0;
  std::int32_t ignore_index = -100;

  [[nodiscard]] Index count(SequenceView<const S> y, ClassTargets targets) const {
    return detail::count_classes("CrossEntropy", y, targets, ignore_index, SequenceView<S>{});
  }
  LossSum sum(SequenceView<const S> y, ClassTargets targets, SequenceView<S> dy, double scale = 1) const {
    const Index counted = detail::count_classes("CrossEntropy", y, targets, ignore_index, dy);
    const auto of_token = [&](const S* logits, Index classes, Index target, S* to) {
      return softmax_cross_entropy(logits, classes, target, label_smoothing, scale, to);
    };
    return {detail::sum_classes(y, targets, ignore_index, dy, of_token), counted};
  }
  double operator()(SequenceView<const S> y, ClassTargets targets, SequenceView<S> dy) const {
    return detail::mean_loss(*this, y, targets, dy);
  }
};

/// Minus the log probability of the target, where y already holds log probabilities: those of a PointerNetwork, whose
/// targets are slots (teacher forcing, arXiv 1506.03134, equation 2), or of any other normalised output.
template <Scalar S>
struct NegativeLogLikelihood {
  std::int32_t ignore_index = -100;

  [[nodiscard]] Index count(SequenceView<const S> y, ClassTargets targets) const {
    return detail::count_classes("NegativeLogLikelihood", y, targets, ignore_index, SequenceView<S>{});
  }
  LossSum sum(SequenceView<const S> y, ClassTargets targets, SequenceView<S> dy, double scale = 1) const {
    const Index counted = detail::count_classes("NegativeLogLikelihood", y, targets, ignore_index, dy);
    const auto of_token = [&](const S* log_probs, Index classes, Index target, S* to) {
      return negative_log_likelihood(log_probs, classes, target, scale, to);
    };
    return {detail::sum_classes(y, targets, ignore_index, dy, of_token), counted};
  }
  double operator()(SequenceView<const S> y, ClassTargets targets, SequenceView<S> dy) const {
    return detail::mean_loss(*this, y, targets, dy);
  }
};

/// An error of every number of y against a target [batch, time, features] of the same shape, whose real tokens are
/// those of y. Used by its names: Mse, Mae, Huber, BinaryCrossEntropy.
template <Scalar S, class Error>
struct ElementLoss {
  Error error;

  [[nodiscard]] Index count(SequenceView<const S> y, SequenceView<const S> targets) const {
    check(y, targets, {});
    Index tokens = 0;
    for (Index b = 0; b < y.batch; ++b) tokens += y.length(b);
    return tokens * y.features;
  }
  LossSum sum(SequenceView<const S> y, SequenceView<const S> targets, SequenceView<S> dy, double scale = 1) const {
    check(y, targets, dy);
    if (dy.data != nullptr) clear_padding(y, dy);
    const double total = sum_over_tokens(y, [&](Index b, Index t) {
      S* const to = dy.data == nullptr ? nullptr : dy.token(b, t);
      return summed_error(error, y.token(b, t), targets.token(b, t), Index{y.features}, scale, to);
    });
    return {total, count(y, targets)};
  }
  double operator()(SequenceView<const S> y, SequenceView<const S> targets, SequenceView<S> dy) const {
    return detail::mean_loss(*this, y, targets, dy);
  }

 private:
  static void check(const SequenceView<const S>& y, const SequenceView<const S>& targets, const SequenceView<S>& dy) {
    detail::check_loss_sizes(Error::name, "targets", y, {y.batch, y.time, y.features},
                             {targets.batch, targets.time, targets.features}, dy);
  }
};

/// Mean squared error (torch.nn.MSELoss).
template <Scalar S>
using Mse = ElementLoss<S, SquaredError>;
/// Mean absolute error (torch.nn.L1Loss).
template <Scalar S>
using Mae = ElementLoss<S, AbsoluteError>;
/// Squared near the target, linear beyond delta: Huber<float>{1.0} (torch.nn.HuberLoss).
template <Scalar S>
using Huber = ElementLoss<S, HuberError>;
/// Binary cross entropy of logits with probabilities (torch.nn.BCEWithLogitsLoss).
template <Scalar S>
using BinaryCrossEntropy = ElementLoss<S, LogisticError>;

}  // namespace stepscan::inline STEPSCAN_ISA
