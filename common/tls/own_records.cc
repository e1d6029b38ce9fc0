#include "common/tls/own_records.h"

#include "common/tls/engine.h"
#include "common/tls/errors.h"

#include <openssl/ssl.h>

#include <string>
#include <utility>

namespace culvert::tls {
namespace {

Error closed() { return {Errc::kRecord, "the connection is closed"}; }

}  // namespace

OwnRecords::OwnRecords(Role role, const Secrets& secrets, ByteQueue early, Context::Impl& context)
    : opener_(secrets.suite, secrets.read, context),
      sealer_(secrets.suite, secrets.write, context.options.records_per_key),
      messages_(role),
      early_(std::move(early)) {}

Result<bool> OwnRecords::open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) {
  // Holds plaintext until the sink has seen the end.
  ByteQueue early = std::exchange(early_, {});
  Result<bool> more = true;
  if (!early.empty()) more = open_records(early.readable(), sink, out);
  if (more && *more) more = open_records(in, sink, out);
  sink.on_open_done();
  opener_.end_input();
  return more;
}

Result<bool> OwnRecords::open_records(MutableBytes in, PlaintextSink& sink, ByteQueue& out) {
  // Whatever comes behind close_notify is ignored (RFC 8446 section 6.1).
  if (reading_ == Reading::kEnded) return false;
  if (reading_ == Reading::kFailed) return closed();
  for (;;) {
    const auto record = opener_.next(in);
    if (!record) return fail(record.error(), out);
    if (!*record) return true;
    auto more = on_record(**record, sink, out);
    if (!more || !*more) return more;
  }
}

Result<bool> OwnRecords::on_record(const RecordOpener::Record& record, PlaintextSink& sink,
                                   ByteQueue& out) {
  switch (record.type) {
    case ContentType::kApplicationData:
      return on_data(record.content, sink, out);
    case ContentType::kHandshake:
      return on_handshake(record.content, out);
    case ContentType::kAlert:
      return on_alert(record.content, out);
    default:
      return fail({SSL_AD_UNEXPECTED_MESSAGE, "a record of an unknown content type"}, out);
  }
}

Result<bool> OwnRecords::on_data(MutableBytes content, PlaintextSink& sink, ByteQueue& out) {
  if (messages_.unfinished()) {  // RFC 8446 section 5.1
    return fail({SSL_AD_UNEXPECTED_MESSAGE, "data in the middle of a handshake message"}, out);
  }
  if (content.empty()) return on_idle(out);
  idle_ = 0;
  auto taken = sink.on_plaintext(content);
  if (taken) return true;
  // The rest of the input is lost. What the reader has to say about that may still be sealed.
  reading_ = Reading::kFailed;
  return taken.error();
}

Result<bool> OwnRecords::on_handshake(Bytes content, ByteQueue& out) {
  const auto found = messages_.feed(content);
  if (!found) return fail(found.error(), out);
  if (*found == PostHandshake::Found::kNothing) return true;
  opener_.update_keys();
  if (*found == PostHandshake::Found::kKeyUpdateRequest) sealer_.owe_key_update();
  return on_idle(out);
}

Result<bool> OwnRecords::on_alert(Bytes content, ByteQueue& out) {
  if (content.empty()) return fail({SSL_AD_UNEXPECTED_MESSAGE, "an empty alert"}, out);
  if (content.size() != 2) return fail({SSL_AD_DECODE_ERROR, "an alert of a wrong length"}, out);
  // The level in content[0] means nothing any more, and unknown alerts are fatal (section 6).
  const uint8_t description = content[1];
  if (description == SSL_AD_USER_CANCELLED) {
    if (!messages_.unfinished()) return on_idle(out);
    return fail({SSL_AD_UNEXPECTED_MESSAGE, "an alert in the middle of a handshake message"}, out);
  }
  if (description == SSL_AD_CLOSE_NOTIFY) {
    reading_ = Reading::kEnded;
    return false;
  }
  reading_ = Reading::kFailed;
  writing_ = false;
  return Error(Errc::kAlert, SSL_alert_desc_string_long(description));
}

Result<bool> OwnRecords::on_idle(ByteQueue& out) {
  if (++idle_ <= kMaxIdle) return true;
  return fail({SSL_AD_UNEXPECTED_MESSAGE, "too many records in a row without data"}, out);
}

Error OwnRecords::fail(const Fault& fault, ByteQueue& out) {
  opener_.drop_partial();
  reading_ = Reading::kFailed;
  // close_notify was our last word (section 6.1).
  if (std::exchange(writing_, false)) sealer_.alert(fault.alert, out);
  return {Errc::kRecord,
          std::string(SSL_alert_desc_string_long(fault.alert)) + ", the peer sent " + fault.why};
}

Result<Bytes> OwnRecords::seal(RecordBatch& batch, ByteQueue& before) {
  if (!writing_) return closed();
  if (batch.empty()) return Bytes();
  return sealer_.seal(batch, before);
}

void OwnRecords::close_notify(ByteQueue& out) {
  if (std::exchange(writing_, false)) sealer_.alert(SSL_AD_CLOSE_NOTIFY, out);
}

}  // namespace culvert::tls
