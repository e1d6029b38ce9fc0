#include "waypoint/codec/http1_server_exchange.h"

#include "common/base/check.h"
#include "common/http/hop_by_hop.h"
#include "common/http1/serializer.h"
#include "waypoint/codec/http1_errors.h"

namespace culvert::waypoint {
namespace {

constexpr int kSwitchingProtocols = 101;

// The protocol offered first. Not h2c: nobody behind us could take the connection over from a
// request that we read, which is why Envoy ignores it as well (and Java's client offers it with
// every request, bodies included). Nor with a body, which would have to be read before the switch
// (RFC 9110 section 7.8 leaves it to the server).
std::string offered_upgrade(const http1::RequestParser& parser) {
  std::string protocol;
  if (parser.framing().has_body()) return protocol;
  http::for_each_list_item(parser.upgrade(), [&](std::string_view item) {
    protocol = item;
    return false;
  });
  for (char& c : protocol) c = http::to_lower(c);
  if (protocol == "h2c") protocol.clear();
  return protocol;
}

// A CONNECT has no body, and none of what follows it is for anyone here.
BodySize request_body_size(const http1::RequestParser& parser) {
  if (parser.framing().kind == http1::Framing::Kind::kTunnel) return {};
  return body_size(parser.framing());
}

}  // namespace

Http1ServerExchange::Http1ServerExchange(Http1ServerIo& io, uint64_t head_bytes)
    : io_(io),
      request_(std::move(io.parser.head())),
      request_size_(request_body_size(io.parser)),
      upgrade_(offered_upgrade(io.parser)),
      version_(request_.version),
      is_head_(request_.method == "HEAD"),
      is_connect_(request_.is_connect()),
      expects_continue_(io.parser.expects_continue()),
      body_(io.parser, io.input),
      head_bytes_(head_bytes),
      sent_before_(io.output.sent()),
      body_sent_before_(io.output.body_sent()) {
  http::remove_hop_by_hop(request_.headers, true);
}

net::Task<Result<>> Http1ServerExchange::send_continue(Time deadline) {
  // Behind a final answer it would be the answer to the next request.
  if (responded_ || continued_ || !expects_continue_) co_return Result<>{};
  continued_ = true;
  co_return co_await io_.output.send(as_bytes("HTTP/1.1 100 Continue\r\n\r\n"), deadline);
}

bool Http1ServerExchange::must_close() const {
  // A client that was not told to go on may send its body or not (RFC 9110 section 10.1.1): where
  // the next request begins is not known then.
  const bool uncertain =
      expects_continue_ && !continued_ && !body_.complete() && body_.received() == 0;
  return uncertain || body_.failed() || io_.draining || is_connect_ || !io_.parser.keep_alive();
}

Result<> Http1ServerExchange::write_head(const http::ResponseHead& head, BodySize size) {
  http1::ResponseOptions options;
  options.framing = framing_of(size);
  close_ = must_close();
  options.close = close_;
  if (head.status == kSwitchingProtocols) options.upgrade = upgrade_;
  options.head_request = is_head_;
  options.connect_request = is_connect_;
  options.client_version = version_;
  const auto writer = http1::write_response_head(head, options, io_.output.queue());
  if (!writer) return bad_message(writer.error());
  io_.output.begin(*writer);
  const auto kind = writer->framing().kind;
  tunnel_ = kind == http1::Framing::Kind::kTunnel;
  close_ |= tunnel_ || kind == http1::Framing::Kind::kUntilClose;
  if (tunnel_) body_.begin_tunnel();
  return {};
}

net::Task<Result<>> Http1ServerExchange::respond(const http::ResponseHead& head, BodySize size,
                                                 Time deadline) {
  CULVERT_CHECK(!responded_);
  // Before any wait: whoever gives this up must not begin another answer.
  responded_ = true;
  auto done = co_await io_.output.ready(deadline);  // "100 Continue" may be on its way
  if (done) done = write_head(head, size);
  decided_ = true;
  io_.changed.wake_all();
  if (!done) co_return done;
  done = co_await io_.output.flush(deadline);
  if (done && size.kind == BodySize::Kind::kNone) complete_ = true;
  co_return done;
}

net::Task<Result<>> Http1ServerExchange::write(Bytes data, Time deadline) {
  CULVERT_CHECK(responded_);
  return io_.output.write(data, deadline);
}

net::Task<Result<>> Http1ServerExchange::finish(const http::Headers& trailers, Time deadline) {
  CULVERT_CHECK(responded_);
  auto done = co_await io_.output.finish(trailers, deadline);
  if (done) complete_ = true;
  co_return done;
}

void Http1ServerExchange::reset() {
  reset_ = true;
  io_.stream->reset();
  io_.changed.wake_all();
}

net::Task<Result<BodyPiece>> Http1ServerExchange::read(Time deadline) {
  if (upgrade_.empty() || decided_) return body_.read(deadline);
  return read_decided(deadline);
}

// What follows a request that offers an upgrade is its protocol's or the next request, depending on
// the answer.
net::Task<Result<BodyPiece>> Http1ServerExchange::read_decided(Time deadline) {
  while (!decided_) {
    if (io_.input.ended() && io_.input.readable().empty()) break;
    if (!co_await io_.changed.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
  }
  co_return co_await body_.read(deadline);
}

ServerExchange::Counts Http1ServerExchange::counts() const {
  return {.wire_received = head_bytes_ + body_.wire_received(),
          .wire_sent = io_.output.sent() - sent_before_,
          .body_received = body_.received(),
          .body_sent = io_.output.body_sent() - body_sent_before_};
}

}  // namespace culvert::waypoint
