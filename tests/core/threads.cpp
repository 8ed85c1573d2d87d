#include <stepscan/core/threads.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

TEST_CASE("a parallel loop does every piece of work once, for any number of threads", "[core]") {
  const int before = max_threads();
  for (const int threads : {1, 2, 3, 8}) {
    for (const Index count : {0, 1, 2, 7, 1000}) {
      std::vector<int> done(static_cast<std::size_t>(count));
      parallel_for(count, threads, [&](Index i) { ++done[static_cast<std::size_t>(i)]; });
      CHECK(done == std::vector<int>(static_cast<std::size_t>(count), 1));
    }
  }
  CHECK(max_threads() == before);
}

TEST_CASE("parallel loops nest", "[core]") {
  std::vector<int> done(60);
  parallel_for(6, 2,
               [&](Index i) { parallel_for(10, 2, [&](Index j) { ++done[static_cast<std::size_t>(10 * i + j)]; }); });
  CHECK(done == std::vector<int>(60, 1));
}

TEST_CASE("the number of threads can be set, and is at least one", "[core]") {
  const int before = max_threads();
  set_max_threads(0);
  CHECK(max_threads() == 1);
  set_max_threads(before);
  CHECK(max_threads() == before);
}
