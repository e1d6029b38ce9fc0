#pragma once

#include "common/tls/engine.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::test {

// Any number of bytes in records as large as they get, appended to `out`.
inline Result<> seal(tls::Engine& engine, Bytes plain, ByteQueue& out) {
  constexpr size_t kMost = tls::RecordBatch::kFullRecords * tls::RecordBatch::kPlain;
  tls::RecordBatch batch;
  do {
    const Bytes part = plain.first(std::min(plain.size(), kMost));
    plain = plain.subspan(part.size());
    batch.clear();
    EXPECT_TRUE(batch.append(part));
    const auto sealed = engine.seal(batch, out);
    if (!sealed) return sealed.error();
    out.append(*sealed);
  } while (!plain.empty());
  return {};
}

}  // namespace culvert::test
