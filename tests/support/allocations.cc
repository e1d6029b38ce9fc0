#include "tests/support/allocations.h"

#include <atomic>
#include <cstddef>

// The C library's own functions behind malloc: what is defined here takes the place of its malloc,
// calloc and realloc in the whole program, and free stays what it was.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): these are glibc's names.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace {

std::atomic<uint64_t> count{0};

}  // namespace

extern "C" {
void* malloc(size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(number, size);
}
void* realloc(void* memory, size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
}

namespace culvert::test {

uint64_t allocations() { return count.load(std::memory_order_relaxed); }

}  // namespace culvert::test
