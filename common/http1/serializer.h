#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "common/http1/framing.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace culvert::http1 {

// Writes the body of one message whose head was written, and sees to it that the bytes on the wire
// are the body that the head promised: a longer or shorter one would put our bytes into the next
// message. Errors: kBodyNotAllowed, kBodyTooLong, kBodyTooShort; the connection must be closed
// then.
class BodyWriter {
 public:
  BodyWriter() = default;
  explicit BodyWriter(Framing framing) : framing_(framing), left_(framing.length) {}

  // How the body goes over the wire; may differ from what was asked for, see write_response_head().
  [[nodiscard]] const Framing& framing() const { return framing_; }

  // Appends a piece of the body. Empty pieces write nothing (an empty chunk would end the body).
  Result<> write(Bytes data, ByteQueue& out);
  // The same without the copy: the caller writes `size` bytes of body after `out`, then calls
  // end_data().
  Result<> begin_data(size_t size, ByteQueue& out);
  void end_data(ByteQueue& out);
  // Ends the body. `trailers` are only written with chunks, without the fields that may not be
  // trailers.
  Result<> finish(const http::Headers& trailers, ByteQueue& out);
  Result<> finish(ByteQueue& out) { return finish({}, out); }

 private:
  Framing framing_;
  uint64_t left_ = 0;
  bool in_data_ = false;
  bool finished_ = false;
};

struct WriteOptions {
  // What the body will be; for a forwarded message the parser's framing(). It alone decides about
  // Content-Length and Transfer-Encoding: those in the headers are not written, except the
  // Content-Length of a response to HEAD and of a 304, which describes a body that is not sent.
  Framing framing;
  // Says "Connection: close".
  bool close = false;
  // The protocol to ask for, or with status 101 to switch to; empty for none. Only the value given
  // here is ever written, so that no upgrade (h2c!) is passed on unseen.
  std::string_view upgrade;
  // Names as their sender spelled them, instead of lower case (Istio's preserve-header-case).
  bool preserve_case = false;
};

// Appends request line, Host (from `head.authority`) and fields to `out`, always as HTTP/1.1.
// Hop-by-hop fields, and those that Connection names, are never written. kHeadNotWritable, with
// nothing appended: a method, target or authority that would not parse as what it is (header
// injection), a framing that requests do not have.
Result<BodyWriter> write_request_head(const http::RequestHead& head, const WriteOptions& options,
                                      ByteQueue& out);

struct ResponseOptions : WriteOptions {
  // The request that is answered.
  bool head_request = false;
  bool connect_request = false;
  http::Version client_version = http::Version::kHttp11;
};

// As above. The effective framing is that of the returned writer: none for HEAD, 1xx, 204 and 304;
// until close instead of chunked for an HTTP/1.0 client; "Content-Length: 0" for no body.
// kUntilClose writes "Connection: close", and the caller must close at the end. A success of
// CONNECT and a 101 need kTunnel.
Result<BodyWriter> write_response_head(const http::ResponseHead& head,
                                       const ResponseOptions& options, ByteQueue& out);

// "HTTP/1.1 100 Continue" and the empty line.
void write_continue(ByteQueue& out);

}  // namespace culvert::http1
