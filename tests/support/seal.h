#pragma once

#include "common/tls/engine.h"

#include <algorithm>
#include <memory>

namespace culvert::test {

// Any number of bytes as records, appended to `out`.
inline Result<> seal(tls::Engine& engine, Bytes plain, ByteQueue& out) {
  const auto batch = std::make_unique<tls::RecordBatch>();
  while (!plain.empty()) {
    batch->clear();
    while (!plain.empty()) {
      const MutableBytes space = batch->prepare(1);
      if (space.empty()) break;
      const size_t n = std::min(space.size(), plain.size());
      std::copy_n(plain.begin(), n, space.begin());
      batch->commit(n);
      plain = plain.subspan(n);
    }
    const auto sealed = engine.seal(*batch, out);
    if (!sealed) return sealed.error();
    out.append(*sealed);
  }
  return {};
}

}  // namespace culvert::test
