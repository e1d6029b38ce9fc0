#include "waypoint/upstream/http_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::waypoint {

// One exchange of a connection: when it ends, the connection goes back to the pool.
class HttpPool::Lease {
 public:
  Lease(HttpPool& pool, PooledConnection& connection) : pool_(pool), connection_(connection) {
    pool_.take(connection_);
  }
  ~Lease() { pool_.release(connection_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  [[nodiscard]] std::unique_ptr<ClientExchange> start() {
    auto exchange = connection_.http->start();
    // HTTP/2 may have room for more.
    if (connection_.http->usable()) connection_.group.ready.push_front(connection_);
    return exchange;
  }

 private:
  HttpPool& pool_;
  PooledConnection& connection_;
};

// Counts as running from the start; has an exchange once there is a connection.
class HttpPool::PooledExchange final : public ClientExchange {
 public:
  PooledExchange(UpstreamUsage& upstream, HostUsage& host)
      : running_(upstream, host, RunningToken::Kind::kHttp) {}

  void begin(HttpPool& pool, PooledConnection& connection) {
    lease_.emplace(pool, connection);
    inner_ = lease_->start();
  }

  net::Task<Result<>> send(const http::RequestHead& head, BodySize size, const std::string& upgrade,
                           Time deadline) override {
    return inner_->send(head, size, upgrade, deadline);
  }
  net::Task<Result<>> write(Bytes data, Time deadline) override {
    return inner_->write(data, deadline);
  }
  net::Task<Result<>> finish(const http::Headers& trailers, Time deadline) override {
    return inner_->finish(trailers, deadline);
  }
  net::Task<Result<http::ResponseHead>> response(Time deadline) override {
    return inner_->response(deadline);
  }
  [[nodiscard]] BodySize response_size() const override { return inner_->response_size(); }
  [[nodiscard]] BodyReader& body() override { return inner_->body(); }
  [[nodiscard]] bool trailers_only() const override { return inner_->trailers_only(); }
  void reset() override { inner_->reset(); }

 private:
  RunningToken running_;
  std::optional<Lease> lease_;
  std::unique_ptr<ClientExchange> inner_;  // last: ends before its connection is looked at
};

HttpPool::HttpPool(net::Reactor& reactor, Dial dial)
    : reactor_(reactor), dial_(std::move(dial)), sweep_timer_(reactor, [this] { sweep(); }) {}

HttpPool::~HttpPool() = default;

// ---- what is under way

UpstreamUsage& HttpPool::usage(const UpstreamPtr& upstream) {
  auto& slot = upstreams_[upstream->name];
  if (slot == nullptr) slot = std::make_unique<UpstreamUsage>(upstream->name, reactor_);
  slot->follow(upstream);
  if (!sweep_timer_.armed()) sweep_timer_.arm_in(kSweepInterval);
  return *slot;
}

std::vector<uint32_t> HttpPool::active(const Upstream& upstream) const {
  const auto at = upstreams_.find(upstream.name);
  if (at == upstreams_.end()) return std::vector<uint32_t>(upstream.endpoints.size());
  return at->second->active(upstream);
}

PoolGroup& HttpPool::group(UpstreamUsage& upstream, HostUsage& host, const Endpoint& endpoint,
                           bool http2) {
  for (const auto& group : host.groups) {
    if (group->serves(endpoint, http2)) return *group;
  }
  return *host.groups.emplace_back(std::make_unique<PoolGroup>(upstream, endpoint, http2));
}

// ---- a request's way to a connection

net::Task<Result<Upstreams::Exchange>> HttpPool::open(UpstreamPtr upstream,
                                                      const Endpoint& endpoint, bool http2,
                                                      Time deadline) {
  UpstreamUsage& of = usage(upstream);
  if (of.requests >= of.limits.max_requests) {
    co_return Error(ExchangeErrc::kOverflow,
                    fmt::format("{}: {} requests are running", of.name, of.requests));
  }
  HostUsage& host = of.host(endpoint.key());
  auto exchange = std::make_unique<PooledExchange>(of, host);  // from now on both stay
  PoolGroup& alike = group(of, host, endpoint, http2);
  PooledConnection* connection = at_hand(alike);
  if (connection == nullptr) {
    auto acquired = co_await acquire(alike, endpoint, deadline);
    if (!acquired) co_return acquired.error();
    connection = *acquired;
  }
  exchange->begin(*this, *connection);
  Upstreams::Exchange opened;
  opened.exchange = std::move(exchange);
  opened.upstream_host = endpoint.address.to_string();
  opened.local_address = connection->local_address;
  co_return opened;
}

// The connection used last, so that those not needed become idle long enough to go.
PooledConnection* HttpPool::at_hand(PoolGroup& group) {
  while (!group.ready.empty()) {
    PooledConnection& connection = group.ready.front();
    if (connection.http->usable()) return &connection;
    if (connection.running == 0) {
      close(connection);
    } else {
      group.ready.pop_front();
    }
  }
  return nullptr;
}

net::Task<Result<PooledConnection*>> HttpPool::acquire(PoolGroup& group, const Endpoint& endpoint,
                                                       Time deadline) {
  UpstreamUsage& upstream = group.upstream;
  if (upstream.pending >= upstream.limits.max_pending_requests) {
    co_return Error(ExchangeErrc::kOverflow, fmt::format("{}: {} requests wait for a connection",
                                                         upstream.name, upstream.pending));
  }
  const PendingToken pending(upstream);
  const uint64_t failures = group.failures;
  for (;;) {
    // A peer that cannot be reached costs one attempt, not one per request.
    if (group.failures != failures) co_return group.last_failure;
    if (!group.opening && make_room(upstream)) {
      co_return co_await dial(group, endpoint, deadline);
    }
    const bool in_time = co_await upstream.changed.wait(deadline);
    if (!in_time) {
      co_return Error(
          culvert::Errc::kTimedOut,
          fmt::format("waiting for a connection to {} ({}, {} are open)",
                      endpoint.address.to_string(), upstream.name, upstream.connections));
    }
    if (PooledConnection* connection = at_hand(group)) co_return connection;
  }
}

// Whether one more connection may be opened. At the limit those that idle make way, whatever
// endpoint they lead to: otherwise they would keep requests to the others waiting.
bool HttpPool::make_room(UpstreamUsage& upstream) {
  for (auto it = idle_.begin();
       it != idle_.end() && upstream.connections >= upstream.limits.max_connections;) {
    PooledConnection& connection = *it++;
    if (&connection.group.upstream == &upstream) close(connection);
  }
  return upstream.connections < upstream.limits.max_connections;
}

net::Task<Result<PooledConnection*>> HttpPool::dial(PoolGroup& group, const Endpoint& endpoint,
                                                    Time deadline) {
  struct Opening {
    explicit Opening(PoolGroup& of) : group(of) { group.opening = group.http2; }
    ~Opening() {
      group.opening = false;
      group.upstream.changed.wake_all();
    }
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;
    PoolGroup& group;
  } const opening(group);
  auto connection = std::make_unique<PooledConnection>(group, group.upstream);
  auto dialled = co_await dial_(endpoint, group.http2, deadline);
  if (dialled && !dialled->connection->usable()) {
    dialled = Error(ExchangeErrc::kConnectFailed,
                    endpoint.address.to_string() + ": the connection was closed at once");
  }
  if (!dialled) {
    // That our time was up says nothing to those who still have some.
    if (group.http2 && dialled.error().code != culvert::Errc::kTimedOut) {
      ++group.failures;
      group.last_failure = dialled.error();
    }
    co_return dialled.error();
  }
  connection->http = std::move(dialled->connection);
  connection->local_address = std::move(dialled->local_address);
  connection->position = group.connections.size();
  co_return group.connections.emplace_back(std::move(connection)).get();
}

Result<std::unique_ptr<HttpPool::RawPlace>> HttpPool::admit_raw(const UpstreamPtr& upstream,
                                                                const Endpoint& endpoint) {
  UpstreamUsage& of = usage(upstream);
  if (!make_room(of)) {
    return Error(ExchangeErrc::kOverflow,
                 fmt::format("{}: {} connections are open", of.name, of.connections));
  }
  return std::make_unique<RawPlace>(of, of.host(endpoint.key()));
}

// ---- a connection's way back

void HttpPool::take(PooledConnection& connection) {
  ++connection.running;
  connection.ReadyHook::unlink();
  if (!connection.IdleHook::is_linked()) return;
  connection.IdleHook::unlink();
  --idle_count_;
}

void HttpPool::release(PooledConnection& connection) {
  --connection.running;
  net::Event& changed = connection.group.upstream.changed;
  const bool usable = connection.http->usable();
  connection.ReadyHook::unlink();
  if (connection.running == 0 && (draining_ || !usable)) {
    close(connection);
  } else if (usable) {
    connection.group.ready.push_front(connection);
    if (connection.running == 0) keep_idle(connection);
  }
  changed.wake_all();
}

void HttpPool::keep_idle(PooledConnection& connection) {
  const Millis timeout = connection.group.upstream.limits.idle_timeout;
  const Time now = Clock::now();
  connection.expires = timeout.count() > 0 ? now + timeout : kNever;
  idle_.push_back(connection);
  if (++idle_count_ > kMaxIdle) close(idle_.front());
  const Time sweep_at = std::min(connection.expires, now + kSweepInterval);
  if (!sweep_timer_.armed() || sweep_at < sweep_timer_.at()) sweep_timer_.arm_at(sweep_at);
}

// One without exchanges.
void HttpPool::close(PooledConnection& connection) {
  if (connection.IdleHook::is_linked()) {
    connection.IdleHook::unlink();
    --idle_count_;
  }
  auto& list = connection.group.connections;
  const size_t position = connection.position;
  std::swap(list[position], list.back());
  list[position]->position = position;
  const auto closed = std::move(list.back());
  list.pop_back();
}

void HttpPool::sweep() {
  const Time now = Clock::now();
  Time next = now + kSweepInterval;
  for (auto it = idle_.begin(); it != idle_.end();) {
    PooledConnection& connection = *it++;
    if (connection.expires <= now || !connection.http->usable()) {
      close(connection);
    } else {
      next = std::min(next, connection.expires);
    }
  }
  for (auto& [name, usage] : upstreams_) usage->tidy();
  std::erase_if(upstreams_, [](const auto& entry) { return entry.second->unused(); });
  if (!upstreams_.empty()) sweep_timer_.arm_at(next);
}

void HttpPool::drain() {
  draining_ = true;
  while (!idle_.empty()) close(idle_.front());
}

}  // namespace culvert::waypoint
