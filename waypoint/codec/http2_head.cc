#include "waypoint/codec/http2_head.h"

#include "common/http/authority.h"
#include "common/http/chars.h"
#include "common/http/hop_by_hop.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace culvert::waypoint {
namespace {

constexpr size_t kPerField = 4;

Error malformed(std::string what) { return {ExchangeErrc::kBadMessage, std::move(what)}; }

// What a head has besides ordinary fields.
struct Special {
  std::string_view method, scheme, authority, path, protocol, status;
  std::optional<std::string_view> host;
  std::optional<uint64_t> length;
};

bool take_pseudo(const h2::Head::Entry& field, Special& special) {
  if (field.name == ":method") special.method = field.value;
  if (field.name == ":scheme") special.scheme = field.value;
  if (field.name == ":authority") special.authority = field.value;
  if (field.name == ":path") special.path = field.value;
  if (field.name == ":protocol") special.protocol = field.value;
  if (field.name == ":status") special.status = field.value;
  return field.name.starts_with(':');
}

std::optional<uint64_t> parse_length(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Sorts the fields into `special` and `headers`.
Result<> take_fields(const h2::Head& fields, HeadLimits limits, Special& special,
                     http::Headers& headers) {
  std::string cookie;
  size_t bytes = 0;
  const auto add = [&](std::string_view name, std::string_view value) -> Result<> {
    if (headers.size() >= limits.max_fields) return Error(ExchangeErrc::kTooLarge);
    if (auto added = headers.add(name, value); !added) {
      // The session lets through only valid ones, so it is over a limit of Headers.
      return Error(ExchangeErrc::kTooLarge, added.error().message());
    }
    return {};
  };
  for (const auto& field : fields.fields) {
    bytes += field.name.size() + field.value.size() + kPerField;
    if (bytes > limits.max_bytes) return Error(ExchangeErrc::kTooLarge);
    if (take_pseudo(field, special)) continue;
    if (field.name == "host") {
      special.host = field.value;
      continue;
    }
    if (field.name == "cookie") {
      // RFC 9113 section 8.2.3.
      if (!cookie.empty()) cookie += "; ";
      cookie += field.value;
      continue;
    }
    if (http::is_hop_by_hop(field.name) && field.name != "te")
      return malformed("connection-specific field " + field.name);
    if (field.name == "content-length") {
      if (special.length) return malformed("two lengths");
      special.length = parse_length(field.value);
      if (!special.length) return malformed("content-length");
    }
    if (auto added = add(field.name, field.value); !added) return added;
  }
  if (cookie.empty()) return {};
  return add("cookie", cookie);
}

BodySize body_size(bool end, const Special& special) {
  if (end) return {};
  if (special.length) return {BodySize::Kind::kLength, *special.length};
  return {BodySize::Kind::kUnknown, 0};
}

// RFC 9113 section 8.3.1: :authority, or Host from those who translate HTTP/1. A request that names
// two hosts could be authorized for one and served by the other.
std::optional<std::string_view> effective_authority(const Special& special) {
  if (special.authority.empty()) return special.host;
  if (special.host && !http::iequals(*special.host, special.authority)) return std::nullopt;
  return special.authority;
}

bool is_sensitive(std::string_view name) {
  // Credentials (RFC 7541 section 7.1.3), and what differs on every request and would only evict
  // useful entries from the table.
  constexpr std::array<std::string_view, 5> kNames = {"authorization", "cookie", "set-cookie",
                                                      "traceparent", "x-request-id"};
  return std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

Result<Http2Request> parse_http2_request(const h2::Head& fields, bool end, HeadLimits limits) {
  Http2Request request;
  Special special;
  if (auto taken = take_fields(fields, limits, special, request.head.headers); !taken)
    return taken.error();
  if (special.method.empty()) return malformed("no :method");
  if (!http::is_token(special.method)) return malformed(":method");
  if (!http::is_valid_method(special.method)) return Error(culvert::Errc::kInvalid, "method");
  const auto authority = effective_authority(special);
  if (!authority || !http::parse_authority(*authority)) return malformed("authority");
  request.head.version = http::Version::kHttp2;
  request.head.method = special.method;
  request.head.authority = *authority;
  request.size = body_size(end, special);
  const bool connect = special.method == "CONNECT";
  if (connect && special.protocol.empty()) {
    if (!special.path.empty() || !special.scheme.empty()) return malformed("CONNECT with :path");
    return request;
  }
  if (special.path.empty() || special.scheme.empty()) return malformed("no :path or :scheme");
  request.head.path = special.path;
  // Nothing but these two has a meaning for a proxy of HTTP; some clients of gRPC invent others.
  request.head.scheme = http::iequals(special.scheme, "https") ? "https" : "http";
  if (!special.protocol.empty()) {
    if (!connect || !http::is_token(special.protocol)) return malformed(":protocol");
    request.head.method = "GET";
    std::ranges::transform(special.protocol, std::back_inserter(request.upgrade), http::to_lower);
    request.size = {};
  }
  return request;
}

Result<Http2Response> parse_http2_response(const h2::Head& fields, bool end, HeadLimits limits) {
  Http2Response response;
  Special special;
  if (auto taken = take_fields(fields, limits, special, response.head.headers); !taken)
    return taken.error();
  const auto status = parse_length(special.status);
  if (special.status.size() != 3 || !status || *status < 200) return malformed(":status");
  if (special.host) (void)response.head.headers.add("host", *special.host);
  response.head.status = static_cast<int>(*status);
  response.head.version = http::Version::kHttp2;
  response.size = body_size(end, special);
  return response;
}

void append_fields(std::vector<h2::Field>& to, const http::Headers& headers, FieldSet set) {
  const bool tunnel = set == FieldSet::kTunnelRequest || set == FieldSet::kTunnelResponse;
  const bool request = set == FieldSet::kRequest || set == FieldSet::kTunnelRequest;
  to.reserve(to.size() + headers.size() + 1);
  headers.for_each([&](const http::Headers::Field& field) {
    if (http::is_hop_by_hop(field.name) || field.name == "host") return;
    if (tunnel && field.name == "content-length") return;
    to.push_back({field.name, field.value, is_sensitive(field.name)});
  });
  // RFC 9113 section 8.2.2: the one value that is allowed.
  if (request && headers.has_token("te", "trailers")) to.push_back({"te", "trailers"});
}

size_t wire_size(const h2::Head& head) {
  size_t size = 0;
  for (const auto& field : head.fields) size += field.name.size() + field.value.size() + kPerField;
  return size;
}

size_t wire_size(std::span<const h2::Field> fields) {
  size_t size = 0;
  for (const auto& field : fields) size += field.name.size() + field.value.size() + kPerField;
  return size;
}

std::string make_websocket_key() {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  // 18, of which the last two stay 0: a whole number of groups, the last one padded.
  std::array<uint8_t, 18> bytes{};
  // Never fails for so few; if it did, a key of zeros would still be a valid one.
  (void)::getentropy(bytes.data(), 16);
  std::string key;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group =
        (uint32_t{bytes[i]} << 16) | (uint32_t{bytes[i + 1]} << 8) | bytes[i + 2];
    for (const int shift : {18, 12, 6, 0}) key += kAlphabet[(group >> shift) & 63];
  }
  key.replace(key.size() - 2, 2, "==");
  return key;
}

}  // namespace culvert::waypoint
