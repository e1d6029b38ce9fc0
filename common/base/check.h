#pragma once

#include <cstdio>
#include <cstdlib>

// For our own invariants only: always on, aborts. Never for anything that a peer, the kernel or the
// control plane can cause; those are Results.
#define CULVERT_CHECK(condition)                                                             \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
