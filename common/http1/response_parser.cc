#include "common/http1/parser.h"

namespace culvert::http1 {
namespace {

// Whether a response that can have no body says it has one. Its sender may send it all the same, so
// nothing behind it on the connection can be trusted.
bool claims_impossible_body(const http::ResponseHead& head) {
  if (head.status != 204 && !head.is_informational()) return false;
  const auto length = head.headers.get("content-length");
  return head.headers.contains("transfer-encoding") || (length && *length != "0");
}

}  // namespace

ResponseParser::ResponseParser(Exchange exchange, const Limits& limits)
    : MessageParser(limits), exchange_(exchange) {
  head_.headers = make_headers(limits_);
}

void ResponseParser::next_message(Exchange exchange) {
  begin_message();
  exchange_ = exchange;
  informational_ = 0;
}

// HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4). The second space may be
// missing with the phrase, as many servers write it; no other parser reads that line differently.
Result<bool> ResponseParser::start_line(std::string_view line) {
  constexpr size_t kVersionSize = 8, kStatusEnd = 12;
  if (line.size() < kStatusEnd || line[kVersionSize] != ' ') {
    return Error(Errc::kStatusLineMalformed);
  }
  const std::string_view version = line.substr(0, kVersionSize);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Error(Errc::kVersionUnsupported);
  head_.version = version == "HTTP/1.1" ? http::Version::kHttp11 : http::Version::kHttp10;

  int status = 0;
  for (const char c : line.substr(kVersionSize + 1, 3)) {
    if (!http::is_digit(c)) return Error(Errc::kStatusLineMalformed);
    status = status * 10 + (c - '0');
  }
  const std::string_view reason = line.substr(kStatusEnd);
  const bool separated = reason.empty() || reason.front() == ' ';
  if (status < 100 || status > 599 || !separated || !http::is_field_value(reason)) {
    return Error(Errc::kStatusLineMalformed);
  }
  head_.status = status;
  return true;
}

Result<MessageParser::HeadDecision> ResponseParser::head_complete() {
  const bool impossible_body = claims_impossible_body(head_);
  if (head_.status == 101) {
    const bool switched = upgrade_of(head_.version, head_.headers).has_value();
    if (!exchange_.upgrade_requested || !switched) return Error(Errc::kUnexpectedSwitch);
  } else if (head_.is_informational()) {
    if (impossible_body) return Error(Errc::kStatusLineMalformed);
    if (informational_ == limits_.max_informational) return Error(Errc::kTooManyInformational);
    ++informational_;
  }
  auto framing = response_framing(head_, exchange_);
  if (!framing) return framing.error();
  return HeadDecision{
      .framing = *framing,
      .keep_alive = !impossible_body && wants_keep_alive(head_.version, head_.headers),
      .informational = head_.is_informational() && head_.status != 101};
}

void ResponseParser::clear_head() {
  head_.status = 0;
  head_.headers.clear();
}

}  // namespace culvert::http1
