#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/tls/context_impl.h"
#include "common/tls/fault.h"
#include "common/tls/post_handshake.h"
#include "common/tls/record_opener.h"
#include "common/tls/record_sealer.h"
#include "common/tls/records.h"
#include "common/tls/ssl_context.h"
#include "common/tls/traffic_keys.h"

#include <cstdint>

namespace culvert::tls {

// What a finished TLS 1.3 handshake leaves.
struct Secrets {
  Suite suite;
  TrafficSecret read, write;
};

// Our own record layer of TLS 1.3. The way of a record in: RecordOpener cuts and decrypts it, then
// its content goes to the sink (application data), to PostHandshake (tickets, KeyUpdate) or is an
// alert. The way out: RecordSealer. Here is what connects the two: alerts, KeyUpdates, and what may
// still be done after which end (RFC 8446 section 6). For common/tls only.
class OwnRecords final : public Records {
 public:
  // `early` came behind the last byte of the handshake.
  OwnRecords(Role role, const Secrets& secrets, ByteQueue early, Context::Impl& context);

  Result<bool> open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) override;
  size_t take_partial(MutableBytes to) override { return opener_.take_partial(to); }
  Result<Bytes> seal(RecordBatch& batch, ByteQueue& before) override;
  void close_notify(ByteQueue& out) override;

  // Records that carry no data (empty ones, KeyUpdates, ignored alerts) cost the sender little and
  // us something: so many in a row are enough. As the library counts.
  static constexpr int kMaxIdle = 32;

 private:
  Result<bool> open_records(MutableBytes in, PlaintextSink& sink, ByteQueue& out);
  // One record's content. False: the peer has closed.
  Result<bool> on_record(const RecordOpener::Record& record, PlaintextSink& sink, ByteQueue& out);
  Result<bool> on_data(MutableBytes content, PlaintextSink& sink, ByteQueue& out);
  Result<bool> on_handshake(Bytes content, ByteQueue& out);
  Result<bool> on_alert(Bytes content, ByteQueue& out);
  Result<bool> on_idle(ByteQueue& out);
  // Tells the peer. Nothing works afterwards.
  Error fail(const Fault& fault, ByteQueue& out);

  enum class Reading : uint8_t { kOpen, kEnded, kFailed };

  RecordOpener opener_;
  RecordSealer sealer_;
  PostHandshake messages_;
  ByteQueue early_;
  Reading reading_ = Reading::kOpen;
  bool writing_ = true;
  int idle_ = 0;
};

}  // namespace culvert::tls
