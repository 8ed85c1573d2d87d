#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/train/losses.hpp>
#include <stepscan/train/trees.hpp>
#include <string>
#include <utility>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// Members [first, first + count) of a batch.
struct Shard {
  Index first = 0;
  Index count = 0;
};

namespace detail {

/// The first exception of a team of threads, which must not leave their parallel region.
class TeamFailure {
 public:
  template <class Work>
  void guard(Work&& work) noexcept {
#if defined(__cpp_exceptions)
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!caught_) caught_ = std::current_exception();
      failed_ = true;
    }
#else
    work();
#endif
  }
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  void rethrow() const {
#if defined(__cpp_exceptions)
    if (caught_) std::rethrow_exception(caught_);
#endif
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> failed_ = false;
  std::exception_ptr caught_;
};

}  // namespace detail

/// The gradient of a batch, worked out in shards on several threads. The shards are fixed by the sizes, and their
/// gradients are summed in a fixed order, two neighbours at a time:
///   ((g0 + g1) + (g2 + g3)) + ((g4 + g5) + g6)
/// so that the number of threads changes no bit. A loss that is summed over tokens (LossSum) adds up exactly, whatever
/// the lengths: divide by the count of all of them at the end, as Trainer does.
///
/// Memory: a Scratch for every thread (a tape, activations), and as many gradients as threads * (log2(shards) + 1) at
/// most. Both are kept from call to call.
template <class Model, class Scratch>
class DataParallel {
 public:
  /// So many members to a shard, the last may have fewer; so many threads. Throws ArgumentError for fewer than 1.
  explicit DataParallel(Index shard_members, int threads = max_threads()) : members_(shard_members), threads_(threads) {
    if (shard_members < 1 || threads < 1) {
      fail<ArgumentError>("DataParallel: expected at least 1 member to a shard and 1 thread, found " +
                          std::to_string(shard_members) + " and " + std::to_string(threads));
    }
  }

  /// Calls work(shard, gradient, scratch) for all shards of a batch of so many members: it adds the gradient of the
  /// shard's summed loss to `gradient` and returns that loss as LossSum. Adds all to `gradient` and returns the sum.
  /// What a call of work throws is thrown here, `gradient` being what it was unless there is one shard alone.
  template <class Work>
  LossSum operator()(Index members, Model& gradient, Work&& work) {
    const Index count = (members + members_ - 1) / members_;
    if (count == 0) return {};
    const int threads = static_cast<int>(std::min<Index>(threads_, count));
    while (scratch_.size() < static_cast<std::size_t>(threads)) scratch_.push_back(std::make_unique<Scratch>());
    if (count == 1) return work(Shard{0, members}, gradient, *scratch_.front());

    waiting_.clear();
    waiting_.resize(levels(count));
    std::atomic<Index> next = 0;
    detail::TeamFailure failure;
    run_team(threads, [&](int rank, int) {
      failure.guard([&] {
        for (Index i = next++; i < count && !failure.failed(); i = next++) {
          Partial part = take(gradient);
          const Index first = i * members_;
          part.loss = work(Shard{first, std::min(members_, members - first)}, *part.gradient,
                           *scratch_[static_cast<std::size_t>(rank)]);
          add_up(std::move(part), i, count);
        }
      });
    });
    failure.rethrow();
    Partial total = std::move(waiting_.back().front());
    blend_tree(gradient, 1, 1, *total.gradient);
    free_.push_back(std::move(total.gradient));
    return total.loss;
  }

 private:
  struct Partial {
    std::unique_ptr<Model> gradient;
    LossSum loss;
  };

  static std::size_t levels(Index count) {
    std::size_t all = 1;
    for (; count > 1; count = (count + 1) / 2) ++all;
    return all;
  }

  /// A gradient of zeros.
  Partial take(const Model& like) {
    std::unique_ptr<Model> gradient;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        gradient = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (gradient == nullptr) return {std::make_unique<Model>(zeros_like(like)), {}};
    clear_tree(*gradient);
    return {std::move(gradient), {}};
  }

  /// Node i of `count` on the lowest level of the tree of sums is there: whoever comes second of two neighbours adds
  /// the right one to the left one and goes on one level up with their sum.
  void add_up(Partial part, Index i, Index count) {
    for (std::size_t level = 0; count > 1; ++level, i /= 2, count = (count + 1) / 2) {
      const Index neighbour = i ^ 1;
      if (neighbour >= count) continue;
      Partial other;
      {
        const std::lock_guard lock(mutex_);
        auto& nodes = waiting_[level];
        nodes.resize(static_cast<std::size_t>(count));
        other = std::move(nodes[static_cast<std::size_t>(neighbour)]);
        if (other.gradient == nullptr) {
          nodes[static_cast<std::size_t>(i)] = std::move(part);
          return;
        }
      }
      if (neighbour < i) std::swap(part, other);
      blend_tree(*part.gradient, 1, 1, *other.gradient);
      part.loss += other.loss;
      const std::lock_guard lock(mutex_);
      free_.push_back(std::move(other.gradient));
    }
    const std::lock_guard lock(mutex_);
    waiting_.back().push_back(std::move(part));
  }

  Index members_;
  int threads_;
  std::vector<std::unique_ptr<Scratch>> scratch_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Model>> free_;
  std::vector<std::vector<Partial>> waiting_;  ///< [level][node]: sums whose neighbour is not there yet
};

}  // namespace stepscan::inline STEPSCAN_ISA
