#include "ztunnel/proxy_header.h"

#include <string>

namespace culvert::ztunnel {
namespace {

void put16(std::vector<uint8_t>& out, size_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void put_ip(std::vector<uint8_t>& out, const net::IpAddress& ip) {
  const auto& bytes = ip.bytes();
  out.insert(out.end(), ip.is_v4() ? bytes.begin() + 12 : bytes.begin(), bytes.end());
}

}  // namespace

std::vector<uint8_t> proxy_header(const net::SocketAddress& source,
                                  const net::SocketAddress& destination,
                                  const std::optional<state::Identity>& identity) {
  constexpr uint8_t kVersion2Proxy = 0x21, kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21;
  constexpr uint8_t kStream = 0x01, kSpiffeTlv = 0xd0;
  std::vector<uint8_t> body;
  uint8_t family = kUnspecified | kStream;
  if (source.ip.is_v4() == destination.ip.is_v4()) {
    family = source.ip.is_v4() ? kTcp4 : kTcp6;
    put_ip(body, source.ip);
    put_ip(body, destination.ip);
    put16(body, source.port);
    put16(body, destination.port);
  }
  if (identity) {
    const std::string uri = identity->to_string();
    body.push_back(kSpiffeTlv);
    put16(body, uri.size());
    body.insert(body.end(), uri.begin(), uri.end());
  }
  std::vector<uint8_t> out{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
  out.push_back(kVersion2Proxy);
  out.push_back(family);
  put16(out, body.size());
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

}  // namespace culvert::ztunnel
