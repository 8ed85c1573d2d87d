// Replaces operator new by one that counts. Linked into the test programs that ask for allocation_count(). The thread
// sanitizer brings operators of its own, which cannot be replaced.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <support/allocation.hpp>

namespace {

std::atomic<long> count{0}, bytes{0};

[[maybe_unused]] void* counted_or_null(std::size_t size, std::size_t alignment) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(static_cast<long>(size), std::memory_order_relaxed);
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

[[maybe_unused]] void* counted(std::size_t size, std::size_t alignment) {
  void* memory = counted_or_null(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace stepscan::testing {

long allocation_count() noexcept { return count.load(std::memory_order_relaxed); }
long allocated_bytes() noexcept { return bytes.load(std::memory_order_relaxed); }

}  // namespace stepscan::testing

#if defined(__has_feature)
#define STEPSCAN_TESTS_COUNT_ALLOCATIONS !__has_feature(thread_sanitizer)
#else
#define STEPSCAN_TESTS_COUNT_ALLOCATIONS 1
#endif

#if STEPSCAN_TESTS_COUNT_ALLOCATIONS
void* operator new(std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted_or_null(size, alignof(std::max_align_t));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted_or_null(size, alignof(std::max_align_t));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
