#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "common/http1/body.h"
#include "common/http1/errors.h"
#include "common/http1/fields.h"
#include "common/http1/framing.h"
#include "common/http1/limits.h"
#include "common/http1/line.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::http1 {

enum class Event : uint8_t {
  kNeedInput,      // nothing more to say until more bytes arrive
  kInformational,  // responses only: head() is a 1xx, the response follows; feed() again
  kHead,           // head(), framing() and what depends on them are valid
  kData,           // Step::data is a piece of the body, never empty
  kEnd,            // the message is complete, trailers() are valid; next_message() starts another
  kTunnel,         // after the head of CONNECT (or its success) or 101: what follows is opaque
  kClosed,         // end_of_input() only: the connection ended between messages
};

struct Step {
  Event event = Event::kNeedInput;
  size_t consumed = 0;  // bytes of the input to drop, once `data` is no longer needed
  Bytes data;           // a view into the input
};

// A strict, incremental parser for one direction of an HTTP/1 connection (RFC 9112), without I/O.
// Use RequestParser or ResponseParser:
//
//   while (true) {
//     auto step = parser.feed(input.readable());
//     if (!step) ...                              // answer http_status(step.error().code) and
//     close switch (step->event) { ... }                // may co_await: the parser is at rest
//     between calls input.consume(step->consumed); if (step->event == Event::kNeedInput) ...   //
//     read more; at end of stream end_of_input()
//   }
//
// Sequence of events: kInformational* kHead (kData* kEnd | kTunnel). Each call returns one event,
// so feed() must be called again, also without input, until it returns kNeedInput, kEnd or kTunnel;
// the latter two it repeats until next_message(). kNeedInput has always consumed everything. The
// parser never reads past the message: pipelined bytes stay in the caller's buffer, and so do bytes
// after CONNECT or an upgrade, which must not reach a server before it has accepted
// (CVE-2025-64763).
//
// Bytes may be split anywhere without changing the events, except for the pieces of kData. Errors
// are http1::Errc, are final (feed() repeats them) and mean that the connection must be closed. Not
// thread-safe.
class MessageParser {
 public:
  virtual ~MessageParser() = default;

  Result<Step> feed(Bytes input);

  // The peer will send no more. kEnd completes a body that runs until the close; kClosed is a clean
  // end between messages or of a tunnel; kUnexpectedEnd is a message cut short, which must not be
  // taken for complete (RFC 9112 section 8). Call it when feed() has returned kNeedInput.
  Result<Event> end_of_input();

  // Valid from kHead until next_message().
  [[nodiscard]] const Framing& framing() const { return framing_; }
  // Whether the connection can carry another message after this one, as far as this side is
  // concerned.
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  // Valid from kEnd until next_message(); may be moved from.
  [[nodiscard]] http::Headers& trailers() { return body_.trailers(); }

  // Whether any byte of a message was seen: tells an idle connection from a slow head. The
  // tolerated empty line does not count.
  [[nodiscard]] bool started() const {
    return state_ != State::kStart || informational_seen_ || lines_.has_partial();
  }

 protected:
  explicit MessageParser(const Limits& limits);
  MessageParser(MessageParser&&) = default;
  MessageParser& operator=(MessageParser&&) = default;

  struct HeadDecision {
    Framing framing;
    bool keep_alive = false;
    bool informational = false;
  };
  // Whether a start line can begin with this byte. Decides on the first byte, so that TLS sent to a
  // plain port fails at once instead of waiting for a line feed.
  [[nodiscard]] virtual bool may_start_with(char first) const = 0;
  [[nodiscard]] virtual Errc start_line_malformed() const = 0;
  [[nodiscard]] virtual Errc start_line_too_long() const = 0;
  // False for a line to be skipped.
  virtual Result<bool> start_line(std::string_view line) = 0;
  virtual Result<HeadDecision> head_complete() = 0;
  virtual http::Headers& head_fields() = 0;
  // Clears the head for the next one.
  virtual void clear_head() = 0;

  void begin_message();

  Limits limits_;

 private:
  enum class State : uint8_t { kStart, kFields, kInformational, kBody, kEnd, kTunnel };

  Result<Step> advance(Bytes input);
  Result<Step> read_head(Bytes input);
  Result<size_t> read_start_line(Bytes input);
  Result<Step> read_body(Bytes input);

  State state_ = State::kStart;
  LineReader lines_;
  FieldReader fields_;
  BodyReader body_;
  Framing framing_;
  bool keep_alive_ = false;
  bool informational_seen_ = false;
  std::optional<Error> error_;
};

struct RequestParserOptions {
  Limits limits;
  // What `head().scheme` is when the target has none: whether the connection is encrypted.
  std::string scheme = "http";
  // Otherwise HTTP/1.0 gets 426, as Envoy does by default.
  bool accept_http10 = true;
};

// The server's side. A head that comes out has a valid method, target and authority, no Host in
// `headers` (see http::RequestHead), at most one Content-Length and never one beside
// Transfer-Encoding. Paths are not normalised: http/path.h. Hop-by-hop fields are still there:
// http/hop_by_hop.h.
class RequestParser final : public MessageParser {
 public:
  explicit RequestParser(RequestParserOptions options = {});

  // Valid from kHead until next_message(); may be moved from.
  [[nodiscard]] http::RequestHead& head() { return head_; }
  // Whether the client waits for "100 Continue" before it sends the body (RFC 9110 section 10.1.1).
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }
  // The protocols that the client offers to switch to; empty if none. The caller chooses: if it
  // answers 101, what follows kEnd is the new protocol, else it goes on with next_message().
  [[nodiscard]] const std::string& upgrade() const { return upgrade_; }

  // Only after kEnd. (A CONNECT never gets there: if it is refused the connection must be closed,
  // because what the client sent behind it was not meant as HTTP.)
  void next_message() { begin_message(); }

 private:
  [[nodiscard]] bool may_start_with(char first) const override;
  [[nodiscard]] Errc start_line_malformed() const override { return Errc::kRequestLineMalformed; }
  [[nodiscard]] Errc start_line_too_long() const override { return Errc::kRequestLineTooLong; }
  Result<bool> start_line(std::string_view line) override;
  Result<HeadDecision> head_complete() override;
  http::Headers& head_fields() override { return head_.headers; }
  void clear_head() override;

  std::string scheme_;
  bool accept_http10_;
  http::RequestHead head_;
  bool skipped_line_ = false;
  bool expects_continue_ = false;
  std::string upgrade_;
};

// The client's side. Give it the exchange of the first request, then that of each next one. Bytes
// that arrive without a request outstanding answer nothing: the caller must close such a
// connection.
class ResponseParser final : public MessageParser {
 public:
  explicit ResponseParser(Exchange exchange = {}, const Limits& limits = {});

  // Valid at kInformational until the next feed(), from kHead until next_message(); may be moved
  // from.
  [[nodiscard]] http::ResponseHead& head() { return head_; }

  // Only after kEnd, and only if keep_alive().
  void next_message(Exchange exchange);

 private:
  [[nodiscard]] bool may_start_with(char first) const override { return first == 'H'; }
  [[nodiscard]] Errc start_line_malformed() const override { return Errc::kStatusLineMalformed; }
  [[nodiscard]] Errc start_line_too_long() const override { return Errc::kStatusLineMalformed; }
  Result<bool> start_line(std::string_view line) override;
  Result<HeadDecision> head_complete() override;
  http::Headers& head_fields() override { return head_.headers; }
  void clear_head() override;

  Exchange exchange_;
  http::ResponseHead head_;
  size_t informational_ = 0;
};

}  // namespace culvert::http1
