#pragma once

#include "common/http/message.h"
#include "common/net/address.h"
#include "common/state/balance.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::waypoint::test {

// Gives the numbers it was made with, over and over, each cut to the bound asked for.
class Sequence final : public state::Random {
 public:
  explicit Sequence(std::vector<uint64_t> values) : values_(std::move(values)) {}
  uint64_t below(uint64_t bound) override {
    bounds.push_back(bound);
    return values_[next_++ % values_.size()] % bound;
  }
  std::vector<uint64_t> bounds;  // what was asked

 private:
  std::vector<uint64_t> values_;
  size_t next_ = 0;
};

// splitmix64, so that statistics come out the same on every run.
class Seeded final : public state::Random {
 public:
  uint64_t below(uint64_t bound) override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) % bound;
  }

 private:
  uint64_t state_ = 42;
};

inline http::RequestHead request(
    std::string_view method, std::string_view authority, std::string_view path,
    const std::vector<std::pair<std::string_view, std::string_view>>& headers = {}) {
  http::RequestHead head;
  head.method = method;
  head.scheme = "http";
  head.authority = authority;
  head.path = path;
  for (const auto& [name, value] : headers) head.headers.add(name, value).value();
  return head;
}

inline net::IpAddress ip(std::string_view text) { return net::IpAddress::parse(text).value(); }
inline net::SocketAddress address(std::string_view text) {
  return net::SocketAddress::parse(text).value();
}

}  // namespace culvert::waypoint::test
