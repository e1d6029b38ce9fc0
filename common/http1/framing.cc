#include "common/http1/framing.h"

#include "common/http1/errors.h"

#include <string>

namespace culvert::http1 {
namespace {

constexpr std::string_view kContentLength = "content-length";
constexpr std::string_view kTransferEncoding = "transfer-encoding";

std::optional<uint64_t> parse_length(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : digits) {
    if (!http::is_digit(c)) return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

// Equal values may be repeated, in one field or several (RFC 9110 section 8.6); one field is left
// then.
Result<std::optional<uint64_t>> content_length(http::Headers& headers) {
  std::optional<uint64_t> length;
  size_t values = 0;
  bool invalid = false, conflict = false;
  headers.for_each(kContentLength, [&](std::string_view value) {
    http::for_each_list_item(value, [&](std::string_view item) {
      const auto parsed = parse_length(item);
      ++values;
      invalid = invalid || !parsed;
      conflict = conflict || (parsed && length && *parsed != *length);
      length = parsed;
      return !invalid;
    });
  });
  if (invalid) return Error(Errc::kContentLengthInvalid);
  if (conflict) return Error(Errc::kContentLengthConflict);
  if (values > 1) {
    if (auto set = headers.set(kContentLength, std::to_string(*length)); !set) return set.error();
  }
  return length;
}

// Success only for exactly one coding, "chunked". Anything else that a lenient peer might take for
// it, or not, is how TE.TE smuggling works.
Result<> check_codings(const http::Headers& headers) {
  size_t codings = 0, chunked = 0;
  bool last_is_chunked = false, empty = false;
  headers.for_each(kTransferEncoding, [&](std::string_view value) {
    http::for_each_list_item(value, [&](std::string_view item) {
      empty = empty || item.empty();
      last_is_chunked = http::iequals(item, "chunked");
      chunked += last_is_chunked ? 1 : 0;
      ++codings;
      return true;
    });
  });
  if (empty || chunked != 1 || !last_is_chunked) return Error(Errc::kTransferEncodingInvalid);
  if (codings != 1) return Error(Errc::kTransferEncodingUnsupported);
  return {};
}

// kNone if the head says nothing.
Result<Framing> declared_framing(http::Version version, http::Headers& headers) {
  auto length = content_length(headers);
  if (headers.contains(kTransferEncoding)) {
    // RFC 9112 section 6.1: such a message is faulty or an attack, whatever its Content-Length
    // says.
    if (version == http::Version::kHttp10) return Error(Errc::kTransferEncodingInHttp10);
    if (headers.contains(kContentLength)) return Error(Errc::kContentLengthAndTransferEncoding);
    if (auto good = check_codings(headers); !good) return good.error();
    return Framing::chunked();
  }
  if (!length) return length.error();
  return *length ? Framing::of_length(**length) : Framing::none();
}

void drop_framing_fields(http::Headers& headers) {
  headers.remove(kContentLength);
  headers.remove(kTransferEncoding);
}

}  // namespace

Result<Framing> request_framing(http::RequestHead& head) {
  auto declared = declared_framing(head.version, head.headers);
  if (!declared) return declared.error();
  if (!head.is_connect()) return *declared;
  // RFC 9110 section 9.3.6: a body on CONNECT has no meaning; it would be the first bytes of the
  // tunnel to some and a body to others.
  if (declared->has_body()) return Error(Errc::kBodyOnConnect);
  drop_framing_fields(head.headers);
  return Framing::tunnel();
}

Result<Framing> response_framing(http::ResponseHead& head, const Exchange& exchange) {
  const bool tunnel =
      head.status == 101 || (exchange.connect_request && head.status >= 200 && head.status < 300);
  if (tunnel || head.is_informational() || head.status == 204) {
    drop_framing_fields(head.headers);
    return tunnel ? Framing::tunnel() : Framing::none();
  }
  // HEAD and 304 describe a body that is not there; the description must still be sound to be
  // forwarded.
  auto declared = declared_framing(head.version, head.headers);
  if (!declared) return declared.error();
  if (exchange.head_request || head.status == 304) return Framing::none();
  return declared->kind == Framing::Kind::kNone ? Framing::until_close() : *declared;
}

bool wants_keep_alive(http::Version version, const http::Headers& headers) {
  if (headers.has_token("connection", "close")) return false;
  return version != http::Version::kHttp10 || headers.has_token("connection", "keep-alive");
}

std::optional<std::string_view> upgrade_of(http::Version version, const http::Headers& headers) {
  if (version != http::Version::kHttp11) return std::nullopt;
  const auto protocols = headers.get("upgrade");
  if (!protocols || protocols->empty() || !headers.has_token("connection", "upgrade")) {
    return std::nullopt;
  }
  return protocols;
}

}  // namespace culvert::http1
