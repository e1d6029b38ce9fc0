#include "waypoint/upstream/usage.h"

#include "waypoint/upstream/pool_group.h"

#include <utility>

namespace culvert::waypoint {

HostUsage::HostUsage() = default;
HostUsage::~HostUsage() = default;

UpstreamUsage::UpstreamUsage(std::string upstream, net::Reactor& reactor)
    : name(std::move(upstream)), changed(reactor) {}

HostUsage& UpstreamUsage::host(const net::SocketAddress& address) { return hosts_[address]; }

void UpstreamUsage::follow(const UpstreamPtr& upstream) {
  if (followed_ == upstream) return;
  followed_ = upstream;
  limits = upstream->limits;
  for (auto& [address, usage] : hosts_) usage.listed = false;
  list_.clear();
  list_.reserve(upstream->endpoints.size());
  for (const Endpoint& endpoint : upstream->endpoints) {
    HostUsage& usage = host(endpoint.key());
    usage.listed = true;
    list_.push_back(&usage);
  }
}

std::vector<uint32_t> UpstreamUsage::active(const Upstream& upstream) const {
  std::vector<uint32_t> counts(upstream.endpoints.size());
  if (running == 0) return counts;
  if (followed_.get() == &upstream) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = list_[i]->running;
    return counts;
  }
  // Of an older model, or a newer one that no request has come with yet.
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto at = hosts_.find(upstream.endpoints[i].key());
    if (at != hosts_.end()) counts[i] = at->second.running;
  }
  return counts;
}

void UpstreamUsage::tidy() {
  for (auto it = hosts_.begin(); it != hosts_.end();) {
    HostUsage& usage = it->second;
    if (usage.running == 0) {
      std::erase_if(usage.groups, [](const auto& group) { return group->connections.empty(); });
    }
    const bool unneeded = usage.running == 0 && usage.groups.empty() && !usage.listed;
    it = unneeded ? hosts_.erase(it) : std::next(it);
  }
}

RunningToken::RunningToken(UpstreamUsage& upstream, HostUsage& host, Kind kind)
    : upstream_(upstream), host_(host), kind_(kind) {
  ++upstream_.running;
  ++host_.running;
  if (kind_ == Kind::kHttp) ++upstream_.requests;
}

RunningToken::~RunningToken() {
  --upstream_.running;
  --host_.running;
  if (kind_ == Kind::kHttp) --upstream_.requests;
}

}  // namespace culvert::waypoint
