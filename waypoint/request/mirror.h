#pragma once

#include "common/net/scope.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/model/model.h"
#include "waypoint/upstream/upstreams.h"
#include "waypoint/worker.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::waypoint {

// Copies of requests that are sent elsewhere, and whose answers nobody sees. They hold nothing up:
// above kMaxRunning no more are sent. One per worker, on its thread.
class Mirrors {
 public:
  static constexpr size_t kMaxRunning = 256;
  // Longer bodies are not mirrored: a part of a request would be another request.
  static constexpr uint64_t kMaxBody = 1024 * 1024;  // Envoy's default buffer

  Mirrors(Worker& worker, Upstreams& upstreams);
  Mirrors(const Mirrors&) = delete;
  Mirrors& operator=(const Mirrors&) = delete;

  // Sends `head`, its host marked "-shadow", with `body` (null: none) to an endpoint of `upstream`
  // and drops the answer. `timeout` 0: kDefaultTimeout.
  void send(UpstreamPtr upstream, http::RequestHead head,
            std::shared_ptr<const std::vector<uint8_t>> body, Millis timeout, bool http2);

  [[nodiscard]] size_t running() const { return running_.size(); }

 private:
  static constexpr Millis kDefaultTimeout{15'000};
  net::Task<> run(UpstreamPtr upstream, http::RequestHead head,
                  std::shared_ptr<const std::vector<uint8_t>> body, Time deadline, bool http2);

  Worker& worker_;
  Upstreams& upstreams_;
  net::Scope running_;
};

// "a.example:80" -> "a.example-shadow:80", as Envoy marks mirrored requests.
[[nodiscard]] std::string shadow_host(std::string_view authority);

}  // namespace culvert::waypoint
