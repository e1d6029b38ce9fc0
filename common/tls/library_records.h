#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/tls/context_impl.h"
#include "common/tls/records.h"
#include "common/tls/session.h"

#include <cstdint>
#include <memory>

namespace culvert::tls {

// The same by the TLS library, which keeps the session: TLS 1.2, and RecordLayer::kLibrary.
// Post-handshake messages are the library's too: new session tickets are dropped, a KeyUpdate is
// obeyed (our answer goes out before our next record, RFC 8446 section 4.6.3) and more than 32 of
// them without application data between are an error. It copies: a record is opened into a
// buffer of the worker, and sealed into another. For common/tls only.
class LibraryRecords final : public Records {
 public:
  LibraryRecords(std::unique_ptr<Session> session, Context::Impl& context)
      : session_(std::move(session)), context_(context) {}

  Result<bool> open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) override;
  // The library keeps partial records itself.
  size_t take_partial(MutableBytes) override { return 0; }
  Result<Bytes> seal(RecordBatch& batch, ByteQueue& before) override;
  void close_notify(ByteQueue& out) override;

 private:
  // The library does not count.
  Result<> update_keys_in_time(size_t records);

  std::unique_ptr<Session> session_;
  Context::Impl& context_;
  uint64_t sealed_with_key_ = 0;
  bool writing_ = true;
};

}  // namespace culvert::tls
