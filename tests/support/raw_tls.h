#pragma once

#include "common/base/bytes.h"
#include "tests/support/test_ca.h"

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::test {

// The other side of a connection as the TLS library alone would be it: to send what our engine
// never would. Trusts everyone.
class RawTls {
 public:
  using Configure = std::function<void(SSL_CTX*)>;
  // Null `pem`: presents no certificate.
  static RawTls client(const tls::CredentialPem* pem, const Configure& configure = {});
  static RawTls server(const tls::CredentialPem& pem, const Configure& configure = {});

  // True when done, false when more input is needed; a failure throws its reason.
  bool handshake();
  void feed(Bytes bytes);
  std::vector<uint8_t> take();  // what is to be sent
  // Everything that can be read now. Sets closed() at close_notify; a failure throws its reason.
  std::string read();
  void write(std::string_view text);
  void close() { SSL_shutdown(ssl_.get()); }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] SSL* ssl() { return ssl_.get(); }

 private:
  RawTls(const tls::CredentialPem* pem, const Configure& configure, bool server);
  bssl::UniquePtr<SSL_CTX> context_;
  bssl::UniquePtr<SSL> ssl_;
  bool closed_ = false;
};

}  // namespace culvert::test
