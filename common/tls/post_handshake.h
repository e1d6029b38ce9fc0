#pragma once

#include "common/base/bytes.h"
#include "common/tls/fault.h"
#include "common/tls/ssl_context.h"

#include <array>
#include <cstddef>

namespace culvert::tls {

// Handshake messages on an established TLS 1.3 connection (RFC 8446 sections 4.6 and 5.1). They may
// be cut over records and several may share one. New session tickets from a server are skipped
// byte by byte, never held: we do not resume. For common/tls only; single-threaded.
class PostHandshake {
 public:
  explicit PostHandshake(Role role) : role_(role) {}

  enum class Found : uint8_t { kNothing, kKeyUpdate, kKeyUpdateRequest };
  // The content of one handshake record. kKeyUpdate…: all that follows this record is protected
  // with the peer's next keys; …Request: and we owe it a KeyUpdate.
  Checked<Found> feed(Bytes content);

  // A message has begun that is not whole.
  [[nodiscard]] bool unfinished() const { return head_size_ > 0 || skip_ > 0; }

  // The library takes 16 KiB, but some servers put the client's certificates into a ticket.
  static constexpr size_t kMaxTicket = size_t{64} * 1024;

 private:
  static constexpr size_t kHead = 4;  // type and length

  // Moves up to `n` bytes in all to head_; false: `content` has too few.
  bool fill(Bytes& content, size_t n);
  Checked<Found> key_update(Bytes& content, size_t length);

  const Role role_;
  std::array<uint8_t, kHead + 1> head_;  // room for a whole KeyUpdate
  size_t head_size_ = 0;
  size_t skip_ = 0;  // of a ticket
};

}  // namespace culvert::tls
