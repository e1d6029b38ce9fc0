#pragma once

#include <cstdint>

namespace culvert::test {

// How often this process has asked the C library for memory: operator new, and the C libraries
// below it too (nghttp2, BoringSSL). Programs that link culvert_test_allocations count; a
// sanitizer's allocator cannot be counted, so those builds have no such tests.
[[nodiscard]] uint64_t allocations();

}  // namespace culvert::test
