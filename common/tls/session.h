#pragma once

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/tls/context.h"
#include "common/tls/errors.h"
#include "common/tls/ssl_context.h"

#include <openssl/base.h>

#include <utility>

namespace culvert::tls {

// One SSL with memory where its socket would be. For common/tls only; single-threaded, does not
// move.
//
// The library reads exactly what it needs (a record's header, then its body) and keeps partial
// records itself, so input is read straight from the caller's bytes; output goes straight into the
// caller's queue. Between calls it holds bytes only if a call did not take all of its input.
class Session {
 public:
  Session(SSL_CTX& context, Role role, const Options& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] SSL* ssl() { return ssl_.get(); }

  // For the time of one call, `in` is what the library may read, after what an earlier call left.
  // What it has not read at the end is kept.
  class Input {
   public:
    Input(Session& session, Bytes in);
    ~Input();
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;

   private:
    Session& session_;
  };
  // For the time of one call, `out` is where the library writes. May nest: sealing from within
  // open().
  class Output {
   public:
    Output(Session& session, ByteQueue& out);
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

   private:
    Session& session_;
    ByteQueue* outer_;
  };

  // Within an Input: nothing will be read any more (the peer closed, or an error), so nothing is
  // kept.
  void drop_input();

  // After an Input: what the library has not read. Nothing is left then.
  [[nodiscard]] ByteQueue take_unread() { return std::exchange(left_, {}); }

  // Why the library's last call failed: Errc::kAlert for the peer's alert, kNoCertificate, else
  // `kind`.
  [[nodiscard]] static Error failure(Errc kind);

 private:
  static int on_read(BIO* bio, char* to, int size);
  static int on_write(BIO* bio, const char* from, int size);
  static long on_control(BIO* bio, int command, long number, void* argument);
  static const BIO_METHOD* bio_method();

  Bytes in_;
  ByteQueue left_;
  ByteQueue* out_ = nullptr;
  bssl::UniquePtr<SSL> ssl_;
};

}  // namespace culvert::tls
