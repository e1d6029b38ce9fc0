#include "common/tls/session.h"

#include "common/base/check.h"
#include "common/tls/library_error.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace culvert::tls {

Session::Session(SSL_CTX& context, Role role, const Options& options)
    : ssl_(make_ssl(context, role, options)) {
  BIO* bio = BIO_new(bio_method());
  CULVERT_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
}

Session::Input::Input(Session& session, Bytes in) : session_(session) { session_.in_ = in; }

Session::Input::~Input() {
  session_.left_.append(session_.in_);
  session_.in_ = {};
  session_.left_.shrink();
}

void Session::drop_input() {
  in_ = {};
  left_.clear();
}

Session::Output::Output(Session& session, ByteQueue& out)
    : session_(session), outer_(session.out_) {
  session_.out_ = &out;
}

Session::Output::~Output() { session_.out_ = outer_; }

Error Session::failure(Errc kind) {
  const uint32_t code = ERR_peek_error();
  if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
    const int reason = ERR_GET_REASON(code);
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
      ERR_clear_error();
      return {Errc::kNoCertificate};
    }
    if (reason > SSL_AD_REASON_OFFSET) {
      ERR_clear_error();
      return {Errc::kAlert, SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET)};
    }
  }
  std::string why = take_library_errors();
  return {kind, why.empty() ? "the connection is closed" : std::move(why)};
}

int Session::on_read(BIO* bio, char* to, int size) {
  auto& self = *static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const bool from_left = !self.left_.empty();
  const Bytes from = from_left ? Bytes(self.left_.readable()) : self.in_;
  if (from.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t n = std::min(from.size(), static_cast<size_t>(size));
  std::memcpy(to, from.data(), n);
  if (from_left) {
    self.left_.consume(n);
  } else {
    self.in_ = self.in_.subspan(n);
  }
  return static_cast<int>(n);
}

int Session::on_write(BIO* bio, const char* from, int size) {
  auto& self = *static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  CULVERT_CHECK(self.out_ != nullptr);
  self.out_->append({reinterpret_cast<const uint8_t*>(from), static_cast<size_t>(size)});
  return size;
}

long Session::on_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }

const BIO_METHOD* Session::bio_method() {
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "byte queues");
    CULVERT_CHECK(method != nullptr && BIO_meth_set_read(method, on_read) == 1 &&
                  BIO_meth_set_write(method, on_write) == 1 &&
                  BIO_meth_set_ctrl(method, on_control) == 1);
    return method;
  }();
  return made;
}

}  // namespace culvert::tls
