#pragma once

#include <algorithm>
#include <atomic>
#include <stepscan/core/config.hpp>
#include <thread>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace stepscan::inline STEPSCAN_ISA {

/// The most threads a parallel loop uses: OpenMP's setting (OMP_NUM_THREADS), or 1 without OpenMP.
[[nodiscard]] inline int max_threads() noexcept {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

/// Sets how many threads parallel loops use from here on. Without OpenMP there is one, whatever is asked.
inline void set_max_threads([[maybe_unused]] int count) noexcept {
#if defined(_OPENMP)
  omp_set_num_threads(std::max(count, 1));
#endif
}

/// Calls body(i) for i in [0, count), spread over at most `threads` threads. The body must not throw, and must
/// write only what belongs to its i; results then do not depend on the number of threads.
template <class Body>
void parallel_for(Index count, [[maybe_unused]] int threads, Body&& body) {
#if defined(_OPENMP)
  const int used = static_cast<int>(std::min<Index>(threads, count));
  if (used > 1 && !omp_in_parallel()) {
#pragma omp parallel for schedule(static) num_threads(used)
    for (Index i = 0; i < count; ++i) body(i);
    return;
  }
#endif
  for (Index i = 0; i < count; ++i) body(i);
}

template <class Body>
void parallel_for(Index count, Body&& body) {
  parallel_for(count, max_threads(), static_cast<Body&&>(body));
}

/// Calls body(rank, size) once on each of at most `threads` threads that all run at the same time, so that they may
/// wait for each other; `size` is how many there are.
template <class Body>
void run_team([[maybe_unused]] int threads, Body&& body) {
#if defined(_OPENMP)
  if (threads > 1 && !omp_in_parallel()) {
#pragma omp parallel num_threads(threads)
    body(omp_get_thread_num(), omp_get_num_threads());
    return;
  }
#endif
  body(0, 1);
}

/// Lets the threads of a team wait for each other, spinning first and yielding when that takes long.
class SpinBarrier {
 public:
  /// Returns when all `size` threads of the team have called it.
  void wait(int size) noexcept {
    const unsigned turn = turn_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return;
    }
    constexpr int patience = 4096;
    for (int spins = 0; turn_.load(std::memory_order_acquire) == turn; ++spins) {
      if (spins > patience) std::this_thread::yield();
    }
  }

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> turn_{0};
};

}  // namespace stepscan::inline STEPSCAN_ISA
