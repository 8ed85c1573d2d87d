#include "ceilings.hpp"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <stepscan/core/threads.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math_exp2.hpp>
#include <stepscan/train/number_text.hpp>
#include <string>
#include <vector>

#ifdef STEPSCAN_BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace bench {
namespace {

using namespace stepscan;

struct Levels {
  std::array<double, 3> size;  ///< of the caches, in bytes
};

/// What the C library knows of the caches, or usual sizes.
Levels levels() {
  Levels found{{32 << 10, 1 << 20, 32 << 20}};
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const std::array names{_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const long size = sysconf(names[i]);
    if (size > 0) found.size[i] = static_cast<double>(size);
  }
#endif
  return found;
}

/// How often a second all threads together do what `make()` gives each of them, by the best of several tries. How often
/// they do it at a time is found on one thread, whose start no other delays.
template <class Make>
double best_rate(int threads, Make make) {
  using Clock = std::chrono::steady_clock;
  std::vector<decltype(make())> bodies;
  for (int i = 0; i < threads; ++i) bodies.push_back(make());
  const auto seconds = [&](int team, int repetitions) {
    const auto start = Clock::now();
    run_team(team, [&](int rank, int) {
      auto& body = bodies[static_cast<std::size_t>(rank)];
      for (int i = 0; i < repetitions; ++i) body();
    });
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto best = [&](int tries, int team, int repetitions) {
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < tries; ++i) least = std::min(least, seconds(team, repetitions));
    return least;
  };
  int repetitions = 1;
  while (best(3, 1, repetitions) < 1e-3) repetitions *= 2;
  return repetitions * threads / best(12, threads, repetitions);
}

constexpr Index product_size = 512;
constexpr double product_flops = 2.0 * product_size * product_size * product_size;

/// Of three matrices, the third to be their product by `multiply`.
template <class Multiply>
auto product_by(Multiply multiply) {
  const Eigen::MatrixXf random = Eigen::MatrixXf::Random(product_size, product_size);
  return [a = random, b = random, c = random, multiply]() mutable {
    multiply(a, b, c);
    benchmark::DoNotOptimize(c.data());
  };
}

auto product() {
  Eigen::setNbThreads(1);
  return product_by([](const auto& a, const auto& b, auto& c) { c.noalias() = a * b; });
}

double product_rate(int threads) { return product_flops * best_rate(threads, product); }

#ifdef STEPSCAN_BENCH_OPENBLAS
double openblas_product_rate(int threads) {
  openblas_set_num_threads(1);  // of each product: every thread has one of its own
  return product_flops * best_rate(threads, [] {
           return product_by([](const auto& a, const auto& b, auto& c) {
             constexpr int n = product_size;
             cblas_sgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(),
                         n);
           });
         });
}
#endif

/// By the cheapest exponential there is, that of a scan's decays.
double exp_rate(int threads) {
  constexpr Index n = 2048;
  return n * best_rate(threads, [] {
           return [x = std::vector<float>(n, -1.0F), y = std::vector<float>(n)]() mutable {
             const Simd<float> rate(0.5F);
             for (Index i = 0; i < n; i += simd_width<float>) {
               store(y.data() + i, exp2_product_in_range(rate, load(std::as_const(x).data() + i)));
             }
             benchmark::DoNotOptimize(y.data());
             benchmark::ClobberMemory();
           };
         });
}

double reading_rate(int threads, double bytes) {
  const auto count = static_cast<std::size_t>(bytes / sizeof(float)) / 64 * 64;
  return sizeof(float) * static_cast<double>(count) * best_rate(threads, [=] {
           return [numbers = std::vector<float>(count, 1.0F)]() mutable {
             constexpr std::size_t width = simd_width<float>, chains = 8;
             std::array<Simd<float>, chains> sums;
             sums.fill(Simd<float>(0.0F));
             const auto add_all = [&]<std::size_t... K>(std::index_sequence<K...>, const float* from) {
               ((sums[K] = sums[K] + load(from + K * width)), ...);
             };
             for (std::size_t i = 0; i + chains * width <= numbers.size(); i += chains * width) {
               add_all(std::make_index_sequence<chains>(), numbers.data() + i);
             }
             Simd<float> sum = sums[0];
             for (std::size_t k = 1; k < chains; ++k) sum = sum + sums[k];
             benchmark::DoNotOptimize(sum);
             benchmark::ClobberMemory();
           };
         });
}

/// Half a level's size and more than the level before it holds; of the third, which neighbours share, no more than
/// that; of memory, three times the last cache.
Ceilings measure(int threads) {
  const auto [first, second, third] = levels().size;
  const std::array rooms{first / 2, std::max(second / 2, 1.5 * first), std::min(third / 2, 2 * second), 3 * third};
  Ceilings found{product_rate(threads), exp_rate(threads), {}};
  for (std::size_t i = 0; i < rooms.size(); ++i) found.bandwidth[i] = reading_rate(threads, rooms[i]);
  return found;
}

/// The least time: as much of the room as fits lies in the nearest level, what is left in the next. Threads have first
/// and second levels of their own and share the third.
double seconds_of(const Traffic& traffic, int threads) {
  if (traffic.room <= 0) return 0;
  const Levels caches = levels();
  const std::array<double, 4> sizes{threads * caches.size[0], threads * caches.size[1], caches.size[2],
                                    std::numeric_limits<double>::infinity()};
  double left = traffic.room, seconds = 0;
  for (std::size_t level = 0; level < sizes.size(); ++level) {
    const double here = std::min(left, sizes[level]);
    seconds += here / ceilings(threads).bandwidth[level];
    left -= here;
  }
  return seconds * traffic.bytes / traffic.room;
}

}  // namespace

const Ceilings& ceilings(int threads) {
  static std::map<int, Ceilings> measured;
  const auto known = measured.find(threads);
  return known != measured.end() ? known->second : measured.emplace(threads, measure(threads)).first->second;
}

double floor_seconds(const Work& work, int threads) {
  const Ceilings& most = ceilings(threads);
  return std::max(work.flops / most.flops + work.exps / most.exps,
                  seconds_of(work.weights, threads) + seconds_of(work.data, threads));
}

void add_matrix_product() {
  benchmark::RegisterBenchmark("matrix_product/512/threads:1", [](benchmark::State& state) {
    auto body = product();
    for (auto _ : state) body();
    state.counters["flop/s"] = benchmark::Counter(product_flops, benchmark::Counter::kIsIterationInvariantRate);
  });
}

void add_ceilings_to_context() {
  for (const int threads : {1, 2}) {
    const Ceilings& most = ceilings(threads);
    const std::array names{"product", "exp", "first level", "second level", "third level", "memory"};
    const std::array values{most.flops,        most.exps,         most.bandwidth[0],
                            most.bandwidth[1], most.bandwidth[2], most.bandwidth[3]};
    const auto add = [&](const std::string& name, double value) {
      benchmark::AddCustomContext("ceiling/" + name + "/threads:" + std::to_string(threads),
                                  stepscan::detail::number_text(value, 4));
    };
    for (std::size_t i = 0; i < names.size(); ++i) add(names[i], values[i]);
#ifdef STEPSCAN_BENCH_OPENBLAS
    add("OpenBLAS product", openblas_product_rate(threads));
#endif
  }
}

}  // namespace bench
