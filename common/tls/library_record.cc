#include "common/tls/library_record.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

namespace culvert::tls::library_record {
namespace {

// Header, content type and tag of a TLS 1.3 record, or the explicit nonce of TLS 1.2 instead of the
// type.
constexpr size_t kMaxRecordOverhead = 5 + 8 + 16;

}  // namespace

Result<bool> open(Session& session, Context::Impl& context, MutableBytes in, PlaintextSink& sink,
                  ByteQueue& out) {
  const Session::Input input(session, in);
  const Session::Output output(session, out);
  Context::Impl::Scratch scratch(context);
  for (;;) {
    ERR_clear_error();
    const int n = SSL_read(session.ssl(), scratch.data(), static_cast<int>(kMaxPlaintext));
    if (n > 0) {
      if (auto taken = sink.on_plaintext({scratch.data(), static_cast<size_t>(n)}); !taken) {
        session.drop_input();
        return taken.error();
      }
      continue;
    }
    const int state = SSL_get_error(session.ssl(), n);
    if (state == SSL_ERROR_WANT_READ) return true;
    session.drop_input();
    if (state == SSL_ERROR_ZERO_RETURN) return false;
    return Session::failure(Errc::kRecord);
  }
}

Result<> seal(Session& session, Bytes plain, ByteQueue& out) {
  const size_t records = (plain.size() + kMaxPlaintext - 1) / kMaxPlaintext;
  out.prepare(plain.size() + records * kMaxRecordOverhead);
  const Session::Output output(session, out);
  while (!plain.empty()) {
    ERR_clear_error();
    const int n = SSL_write(session.ssl(), plain.data(),
                            static_cast<int>(std::min(plain.size(), kMaxPlaintext)));
    if (n <= 0) return Session::failure(Errc::kRecord);
    plain = plain.subspan(static_cast<size_t>(n));
  }
  return {};
}

void close_notify(Session& session, ByteQueue& out) {
  const Session::Output output(session, out);
  ERR_clear_error();
  // After a fatal error there is nothing to close, which the library knows: its answer does not
  // matter.
  static_cast<void>(SSL_shutdown(session.ssl()));
  ERR_clear_error();
}

}  // namespace culvert::tls::library_record
