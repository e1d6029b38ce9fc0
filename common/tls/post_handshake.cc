#include "common/tls/post_handshake.h"

#include <openssl/ssl.h>

#include <algorithm>

namespace culvert::tls {

Checked<PostHandshake::Found> PostHandshake::feed(Bytes content) {
  if (content.empty()) return Fault{SSL_AD_UNEXPECTED_MESSAGE, "an empty handshake record"};
  while (!content.empty()) {
    if (skip_ > 0) {
      const size_t n = std::min(skip_, content.size());
      skip_ -= n;
      content = content.subspan(n);
      continue;
    }
    if (!fill(content, kHead)) break;
    const size_t length = size_t{head_[1]} << 16 | size_t{head_[2]} << 8 | head_[3];
    if (head_[0] == SSL3_MT_KEY_UPDATE) return key_update(content, length);
    if (head_[0] != SSL3_MT_NEW_SESSION_TICKET || role_ == Role::kServer) {
      return Fault{SSL_AD_UNEXPECTED_MESSAGE, "a handshake message that nobody asked for"};
    }
    if (length > kMaxTicket) {
      return Fault{SSL_AD_ILLEGAL_PARAMETER, "a session ticket of more than 64 KiB"};
    }
    skip_ = length;
    head_size_ = 0;
  }
  return Found::kNothing;
}

Checked<PostHandshake::Found> PostHandshake::key_update(Bytes& content, size_t length) {
  if (length != 1) return Fault{SSL_AD_DECODE_ERROR, "a KeyUpdate of a wrong length"};
  if (!fill(content, kHead + 1)) return Found::kNothing;
  // Section 5.1: what comes behind would have to be protected with other keys.
  if (!content.empty()) {
    return Fault{SSL_AD_UNEXPECTED_MESSAGE, "a KeyUpdate that does not end its record"};
  }
  const uint8_t request = head_[kHead];
  if (request > SSL_KEY_UPDATE_REQUESTED) {
    return Fault{SSL_AD_ILLEGAL_PARAMETER, "a KeyUpdate that asks for neither yes nor no"};
  }
  head_size_ = 0;
  return request == SSL_KEY_UPDATE_REQUESTED ? Found::kKeyUpdateRequest : Found::kKeyUpdate;
}

bool PostHandshake::fill(Bytes& content, size_t n) {
  const size_t taken = std::min(content.size(), n - std::min(n, head_size_));
  std::copy_n(content.begin(), taken, head_.begin() + head_size_);
  head_size_ += taken;
  content = content.subspan(taken);
  return head_size_ >= n;
}

}  // namespace culvert::tls
