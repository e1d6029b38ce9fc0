#include "common/tls/library_records.h"

#include "common/tls/engine.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <utility>
#include <vector>

namespace culvert::tls {
namespace {

// Header, content type and tag of a TLS 1.3 record, or the explicit nonce of TLS 1.2 instead of the
// type.
constexpr size_t kMaxRecordOverhead = 5 + 8 + 16;

// The plaintext of one call of open(), which stays where it is until the sink has seen the end.
class Opened {
 public:
  Opened(Context::Impl& context, PlaintextSink& sink) : context_(context), sink_(sink) {}
  ~Opened() {
    sink_.on_open_done();
    for (RecordBuffer& buffer : buffers_) context_.give_buffer(std::move(buffer));
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  // Room for one record's.
  [[nodiscard]] uint8_t* next() { return buffers_.emplace_back(context_.take_buffer()).get(); }

 private:
  Context::Impl& context_;
  PlaintextSink& sink_;
  std::vector<RecordBuffer> buffers_;
};

}  // namespace

Result<bool> LibraryRecords::open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) {
  const Session::Input input(*session_, in);
  const Session::Output output(*session_, out);
  Opened opened(context_, sink);
  for (;;) {
    ERR_clear_error();
    uint8_t* plain = opened.next();
    const int n = SSL_read(session_->ssl(), plain, static_cast<int>(kMaxPlaintext));
    if (n > 0) {
      if (auto taken = sink.on_plaintext({plain, static_cast<size_t>(n)}); !taken) {
        session_->drop_input();
        return taken.error();
      }
      continue;
    }
    const int state = SSL_get_error(session_->ssl(), n);
    if (state == SSL_ERROR_WANT_READ) return true;
    session_->drop_input();
    if (state == SSL_ERROR_ZERO_RETURN) return false;
    writing_ = false;
    return Session::failure(Errc::kRecord);
  }
}

Result<Bytes> LibraryRecords::seal(RecordBatch& batch, ByteQueue&) {
  if (!writing_) return Error(Errc::kRecord, "the connection is closed");
  ByteQueue& sealed = context_.sealed;
  sealed.clear();
  sealed.prepare(batch.plain_bytes() + batch.records().size() * kMaxRecordOverhead);
  const Session::Output output(*session_, sealed);
  if (auto updated = update_keys_in_time(batch.records().size()); !updated) return updated.error();
  for (const RecordBatch::Record& record : batch.records()) {
    ERR_clear_error();
    const uint8_t* plain = batch.memory() + record.begin + RecordBatch::kHeader;
    if (SSL_write(session_->ssl(), plain, static_cast<int>(record.plain)) <= 0) {
      return Session::failure(Errc::kRecord);
    }
  }
  return Bytes(sealed.readable());
}

Result<> LibraryRecords::update_keys_in_time(size_t records) {
  if (sealed_with_key_ >= context_.options.records_per_key &&
      SSL_version(session_->ssl()) == TLS1_3_VERSION) {
    ERR_clear_error();
    if (SSL_key_update(session_->ssl(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
      return Session::failure(Errc::kRecord);
    }
    sealed_with_key_ = 0;
  }
  sealed_with_key_ += records;
  return {};
}

void LibraryRecords::close_notify(ByteQueue& out) {
  if (!std::exchange(writing_, false)) return;
  const Session::Output output(*session_, out);
  ERR_clear_error();
  static_cast<void>(SSL_shutdown(session_->ssl()));
  ERR_clear_error();
}

}  // namespace culvert::tls
