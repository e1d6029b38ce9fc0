#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/tls/record_batch.h"

namespace culvert::tls {

class PlaintextSink;

// An established connection's records: what Engine promises of the functions of these names. For
// common/tls only.
class Records {
 public:
  virtual ~Records() = default;
  virtual Result<bool> open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) = 0;
  virtual size_t take_partial(MutableBytes to) = 0;
  virtual Result<Bytes> seal(RecordBatch& batch, ByteQueue& before) = 0;
  virtual void close_notify(ByteQueue& out) = 0;
};

}  // namespace culvert::tls
