#include "waypoint/request/forwarded.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace culvert::waypoint {
namespace {

constexpr std::string_view kRequestId = "x-request-id";
constexpr std::string_view kForwardedFor = "x-forwarded-for";
constexpr std::string_view kForwardedProto = "x-forwarded-proto";
constexpr std::string_view kXfcc = "x-forwarded-client-cert";

// Envoy acts on these, and an Envoy behind us trusts what an internal proxy sends.
constexpr std::array<std::string_view, 10> kProxyOnly{"x-envoy-retry-on",
                                                      "x-envoy-retry-grpc-on",
                                                      "x-envoy-max-retries",
                                                      "x-envoy-upstream-rq-timeout-ms",
                                                      "x-envoy-upstream-rq-per-try-timeout-ms",
                                                      "x-envoy-expected-rq-timeout-ms",
                                                      "x-envoy-original-path",
                                                      "x-envoy-external-address",
                                                      "x-envoy-internal",
                                                      "x-envoy-decorator-operation"};

// "192.0.2.1", "192.0.2.1:1234", "fd00::1", "[fd00::1]:1234".
std::optional<net::IpAddress> parse_entry(std::string_view text) {
  if (const auto ip = net::IpAddress::parse(text)) return *ip;
  if (const auto address = net::SocketAddress::parse(text)) return address->ip;
  return std::nullopt;
}

std::string quoted_if_needed(std::string_view value) {
  if (value.find_first_of(",;=\"\\") == std::string_view::npos) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string make_request_id(state::Random& random) {
  const uint64_t high = (random.below(1ULL << 32) << 32) | random.below(1ULL << 32);
  const uint64_t low = (random.below(1ULL << 32) << 32) | random.below(1ULL << 32);
  const uint64_t time_and_version = (high & 0xffffffffffff0fffULL) | 0x4000ULL;
  const uint64_t variant_and_node = (low & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", time_and_version >> 32,
                     (time_and_version >> 16) & 0xffff, time_and_version & 0xffff,
                     variant_and_node >> 48, variant_and_node & 0xffffffffffffULL);
}

net::IpAddress remote_address(const http::Headers& headers, const net::IpAddress& peer) {
  const auto values = headers.get_all(kForwardedFor);
  if (values.empty()) return peer;
  const std::string_view last = values.back();
  const size_t comma = last.rfind(',');
  const std::string_view entry =
      http::trim_ows(comma == std::string_view::npos ? last : last.substr(comma + 1));
  return parse_entry(entry).value_or(peer);
}

Result<> append_forwarded_for(http::Headers& headers, const net::IpAddress& peer) {
  const std::string existing = headers.joined(kForwardedFor);
  return headers.set(kForwardedFor,
                     existing.empty() ? peer.to_string() : existing + "," + peer.to_string());
}

std::string xfcc_value(std::string_view own_principal, std::string_view peer_principal) {
  return fmt::format("By={};URI={}", quoted_if_needed(own_principal),
                     quoted_if_needed(peer_principal));
}

Result<> add_forwarding_headers(http::Headers& headers, const Options& options,
                                std::string_view own_principal, const ClientFacts& client,
                                state::Random& random) {
  headers.remove_if([](const http::Headers::Field& field) {
    return field.name == kXfcc ||
           std::find(kProxyOnly.begin(), kProxyOnly.end(), field.name) != kProxyOnly.end();
  });
  // An empty id is none: the log line of the application could not be joined with ours.
  if (headers.get(kRequestId).value_or(std::string_view()).empty()) {
    if (auto done = headers.set(kRequestId, make_request_id(random)); !done) return done;
  }
  if (!headers.contains(kForwardedProto)) {
    if (auto done = headers.set(kForwardedProto, client.scheme); !done) return done;
  }
  if (options.xff == XffMode::kAppend) {
    if (auto done = append_forwarded_for(headers, client.address); !done) return done;
  }
  if (options.xfcc == XfccMode::kIdentity && !client.principal.empty()) {
    return headers.set(kXfcc, xfcc_value(own_principal, client.principal));
  }
  return {};
}

}  // namespace culvert::waypoint
