#include "common/http1/parser.h"
#include "common/http1/target.h"

namespace culvert::http1 {
namespace {

// HTTP-version is case-sensitive and has one digit on each side (RFC 9112 section 2.3).
Result<http::Version> parse_version(std::string_view text) {
  if (text == "HTTP/1.1") return http::Version::kHttp11;
  if (text == "HTTP/1.0") return http::Version::kHttp10;
  const bool well_formed = text.size() == 8 && text.starts_with("HTTP/") &&
                           http::is_digit(text[5]) && text[6] == '.' && http::is_digit(text[7]);
  return Error(well_formed ? Errc::kVersionUnsupported : Errc::kRequestLineMalformed);
}

}  // namespace

RequestParser::RequestParser(RequestParserOptions options)
    : MessageParser(options.limits),
      scheme_(std::move(options.scheme)),
      accept_http10_(options.accept_http10) {
  head_.headers = make_headers(limits_);
}

bool RequestParser::may_start_with(char first) const {
  return http::token_lower(first) != 0 || first == '\r' || first == '\n' || first == ' ';
}

// method SP request-target SP HTTP-version, with exactly these two spaces (RFC 9112 section 3): the
// grammar is not relaxed to other white space, because the next hop may split the line in another
// place.
Result<bool> RequestParser::start_line(std::string_view line) {
  if (line.empty()) {
    if (skipped_line_) return Error(Errc::kTooManyEmptyLines);
    skipped_line_ = true;
    return false;
  }
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Error(Errc::kRequestLineMalformed);
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (method.size() > limits_.max_method) return Error(Errc::kMethodTooLong);
  if (!http::is_valid_method(method)) return Error(Errc::kMethodInvalid);
  auto version = parse_version(line.substr(last + 1));
  if (!version) return version.error();
  if (*version == http::Version::kHttp10 && !accept_http10_) return Error(Errc::kHttp10NotAccepted);
  head_.version = *version;
  head_.method = method;
  head_.scheme = scheme_;
  if (auto good = parse_target(target, head_); !good) return good.error();
  return true;
}

Result<MessageParser::HeadDecision> RequestParser::head_complete() {
  if (auto good = resolve_host(head_); !good) return good.error();
  auto framing = request_framing(head_);
  if (!framing) return framing.error();
  // A server must ignore both in HTTP/1.0 (RFC 9110 sections 7.8 and 10.1.1).
  if (const auto protocols = upgrade_of(head_.version, head_.headers)) upgrade_ = *protocols;
  expects_continue_ = head_.version == http::Version::kHttp11 && framing->has_body() &&
                      head_.headers.has_token("expect", "100-continue");
  return HeadDecision{.framing = *framing,
                      .keep_alive = wants_keep_alive(head_.version, head_.headers),
                      .informational = false};
}

void RequestParser::clear_head() {
  head_.method.clear();
  head_.scheme.clear();
  head_.authority.clear();
  head_.path.clear();
  head_.headers.clear();
  skipped_line_ = false;
  expects_continue_ = false;
  upgrade_.clear();
}

}  // namespace culvert::http1
