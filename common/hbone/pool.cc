#include "common/hbone/pool.h"

#include "common/base/log.h"
#include "common/h2/errors.h"
#include "common/h2/handshake.h"
#include "common/hbone/connect.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace culvert::hbone {
namespace {

const log::Target kLog{"proxy::pool"};

// Also with a shorter unused_timeout: the pool is not to keep its worker awake.
constexpr std::chrono::milliseconds kMinSweepInterval{100};
// For peers to take what is in their tunnels when the last stream has ended.
constexpr auto kLastWords = std::chrono::seconds(10);

void mix(size_t& seed, size_t value) {
  seed ^= value + 0x9e3779b97f4a7c15 + (seed << 6) + (seed >> 2);
}

}  // namespace

size_t TunnelKeyHash::operator()(const TunnelKey& key) const noexcept {
  size_t seed = std::hash<net::SocketAddress>()(key.address);
  mix(seed, std::hash<net::IpAddress>()(key.client));
  mix(seed, std::hash<state::Identity>()(key.source));
  for (const auto& identity : key.destination) mix(seed, std::hash<state::Identity>()(identity));
  return seed;
}

// One connection, and what the pool knows of it. Shared by the pool and the user connections on it;
// all on one thread.
struct Pool::Tunnel final : h2::ConnectionHandler {
  explicit Tunnel(Pool& owner) : pool(owner) {}
  bool on_stream(h2::StreamId /*id*/) override { return false; }  // servers do not ask
  void on_going_away() override { going_away = true; }
  void on_closed(const Error& reason) override {
    if (reason.code == h2::make_error_code(h2::Errc::kPingTimeout))
      kLog.warn("HBONE ping timeout/error: {} did not answer; its streams are reset",
                address.to_string());
    else if (reason.code == culvert::make_error_code(culvert::Errc::kMemory))
      kLog.warn("tunnel to {} closed, as the peer does not read: {}", address.to_string(),
                reason.message());
    else
      kLog.debug("tunnel to {} closed: {}", address.to_string(), reason.message());
    pool.sweep_soon();
    pool.changed_.wake_all();
  }
  [[nodiscard]] bool usable() const {
    return !going_away && connection != nullptr && connection->accepts_requests();
  }
  [[nodiscard]] bool unused() const { return connection->closed() || connection->streams() == 0; }

  Pool& pool;
  net::SocketAddress address;
  std::unique_ptr<h2::Connection> connection;
  Time last_used{};
  bool going_away = false;
};

struct Pool::Entry {
  explicit Entry(net::Reactor& reactor) : settled(reactor) {}
  std::vector<std::shared_ptr<Tunnel>> tunnels;
  bool establishing = false;
  uint64_t attempts = 0;         // finished ones
  std::optional<Error> failure;  // of the last attempt
  size_t waiting = 0;
  net::Event settled;
};

Pool::Pool(net::Reactor& reactor, PoolOptions options, h2::Buffers& buffers, MemoryAccount& memory,
           Dial dial)
    : reactor_(reactor),
      options_(options),
      buffers_(buffers),
      memory_(memory),
      dial_(std::move(dial)),
      sweep_timer_(reactor, [this] { sweep(); }),
      changed_(reactor),
      scope_(reactor) {}

Pool::~Pool() = default;

std::shared_ptr<Pool::Tunnel> Pool::usable(Entry& entry) {
  for (size_t i = 0; i < entry.tunnels.size();) {
    auto& tunnel = entry.tunnels[i];
    if (!tunnel->usable()) {
      retire(tunnel);
      entry.tunnels.erase(entry.tunnels.begin() + static_cast<ptrdiff_t>(i));
      continue;
    }
    const uint32_t limit =
        std::max(1U, std::min(options_.max_streams, tunnel->connection->peer_max_streams()));
    if (tunnel->connection->streams() < limit) return tunnel;
    ++i;
  }
  return nullptr;
}

net::Task<Result<std::shared_ptr<Pool::Tunnel>>> Pool::checkout(const TunnelKey& key,
                                                                Time deadline) {
  auto& slot = entries_[key];
  if (slot == nullptr) slot = std::make_unique<Entry>(reactor_);
  sweep_later();
  Entry& entry = *slot;  // kept alive by `waiting`
  ++entry.waiting;
  struct Leave {
    Entry& entry;
    ~Leave() { --entry.waiting; }
  } const leave{entry};
  for (;;) {
    if (draining_) co_return Error(h2::Errc::kDraining);
    if (auto tunnel = usable(entry)) {
      tunnel->last_used = reactor_.now();
      co_return tunnel;
    }
    if (!entry.establishing) {
      entry.establishing = true;
      scope_.spawn(establish(key));
    }
    const uint64_t attempt = entry.attempts;
    while (entry.attempts == attempt && entry.establishing)
      if (!co_await entry.settled.wait(deadline)) co_return system_error(ETIMEDOUT);
    if (entry.failure) co_return *entry.failure;
  }
}

// Until a peer's own SETTINGS are here, what its other tunnels say is the best guess: without it, a
// crowd that waits for a tunnel would be refused by each new one again.
h2::TunnelSettings Pool::settings_for(const Entry& entry) const {
  h2::TunnelSettings settings = options_.settings;
  for (const auto& tunnel : entry.tunnels)
    settings.assumed_peer_streams =
        std::min(settings.assumed_peer_streams, tunnel->connection->peer_max_streams());
  settings.assumed_peer_streams = std::max(1U, settings.assumed_peer_streams);
  return settings;
}

net::Task<> Pool::establish(TunnelKey key) {
  Entry& entry = *entries_.at(key);
  // However it ends, by an exception too: nobody else tries while this does.
  struct Settle {
    Entry& entry;
    std::optional<Error> failure = system_error(ENOMEM, "cannot open a tunnel");
    ~Settle() {
      entry.failure = std::move(failure);
      entry.establishing = false;
      ++entry.attempts;
      entry.settled.wake_all();
    }
  } settle{entry};
  auto tunnel = std::make_shared<Tunnel>(*this);
  tunnel->address = key.address;
  std::optional<Error> failure;
  auto dialled = co_await dial_(key);
  if (!dialled) {
    failure = dialled.error();
  } else {
    const Time deadline = Clock::now() + options_.handshake_timeout;
    auto done = co_await h2::tls_handshake(*dialled->socket, *dialled->engine, deadline);
    if (!done) {
      failure = done.error();
    } else if (draining_) {
      failure = Error(h2::Errc::kDraining);
    } else {
      tunnel->connection = std::make_unique<h2::Connection>(
          h2::Role::kClient, std::move(dialled->socket), std::move(dialled->engine),
          settings_for(entry), options_.keepalive, buffers_, memory_, *tunnel);
      tunnel->connection->start();
      tunnel->last_used = Clock::now();
      entry.tunnels.push_back(std::move(tunnel));
    }
  }
  if (failure)
    kLog.debug("cannot open a tunnel to {}: {}", key.address.to_string(), failure->message());
  settle.failure = std::move(failure);
}

net::Task<Result<Pool::Connected>> Pool::connect(TunnelKey key, std::vector<h2::Field> fields,
                                                 Time deadline) {
  for (bool retried = false;;) {
    auto tunnel = co_await checkout(key, deadline);
    if (!tunnel) co_return tunnel.error();
    h2::Connection& connection = *(*tunnel)->connection;
    auto stream = std::make_unique<Stream>(connection);
    auto opened = stream->open(fields);
    const size_t streams = connection.streams();
    Result<const h2::Head*> head = Error(h2::Errc::kRefused);
    if (opened) head = co_await stream->head(deadline);
    if (!head) {
      const bool untouched = head.error().code == h2::make_error_code(h2::Errc::kRefused);
      // RFC 9113 section 5.1.2: opened before the peer's SETTINGS were here, and beyond them. That
      // says nothing against the tunnel, and the limit is known now.
      const bool beyond = opened && streams > connection.peer_max_streams();
      if (untouched && beyond && (*tunnel)->usable()) continue;
      if (!untouched || retried) co_return head.error();
      retried = true;
      (*tunnel)->going_away = true;
      continue;
    }
    const int status = parse_status(**head);
    if (status != 200)
      co_return Error(Errc::kStatus, fmt::format("{} {}", status, status_reason(status)));
    co_return Connected{std::move(stream), connection.local_address()};
  }
}

void Pool::retire(const std::shared_ptr<Tunnel>& tunnel) {
  if (tunnel->connection->closed()) return scope_.spawn(let_go(tunnel));
  tunnel->connection->drain();
  retired_.push_back(tunnel);
  sweep_later();
}

net::Task<> Pool::let_go(std::shared_ptr<Tunnel> tunnel) {
  ++lingering_;
  struct Leave {
    Pool& pool;
    ~Leave() {
      --pool.lingering_;
      pool.changed_.wake_all();
    }
  } const leave{*this};
  co_await tunnel->connection->linger();
}

void Pool::sweep_later() {
  if (sweep_timer_.armed()) return;
  sweep_timer_.arm_in(std::max(options_.unused_timeout / 4, kMinSweepInterval));
}

// A closed tunnel is not to keep its descriptor, and what the peer has sent meanwhile, until the
// next sweep that time brings. Not at once: it is the tunnel itself that tells.
void Pool::sweep_soon() {
  if (sweeping_soon_) return;
  sweeping_soon_ = true;
  sweep_timer_.arm_in(kMinSweepInterval);
}

// Tunnels nobody asked for lately leave the pool; those with running streams close after the last
// of them.
void Pool::sweep() {
  sweeping_soon_ = false;
  std::erase_if(retired_, [this](const auto& tunnel) {
    if (!tunnel->connection->closed()) return false;
    scope_.spawn(let_go(tunnel));
    return true;
  });
  const Time now = reactor_.now();
  std::vector<std::shared_ptr<Tunnel>> idle;
  for (auto& [key, entry] : entries_) {
    std::erase_if(entry->tunnels, [&](const auto& tunnel) {
      const bool old = now - tunnel->last_used >= options_.unused_timeout;
      if (old || !tunnel->usable()) {
        retire(tunnel);
        return true;
      }
      if (tunnel->unused()) idle.push_back(tunnel);
      return false;
    });
  }
  if (idle.size() > options_.max_idle) {
    std::sort(idle.begin(), idle.end(),
              [](const auto& a, const auto& b) { return a->last_used < b->last_used; });
    idle.resize(idle.size() - options_.max_idle);
    for (const auto& tunnel : idle) {
      tunnel->going_away = true;
      retire(tunnel);
    }
    for (auto& [key, entry] : entries_)
      std::erase_if(entry->tunnels, [](const auto& tunnel) { return tunnel->going_away; });
  }
  std::erase_if(entries_, [](const auto& item) {
    const Entry& entry = *item.second;
    return entry.tunnels.empty() && !entry.establishing && entry.waiting == 0;
  });
  if (!entries_.empty() || !retired_.empty()) sweep_later();
}

void Pool::drain() {
  draining_ = true;
  for (auto& [key, entry] : entries_) {
    for (auto& tunnel : entry->tunnels) retire(tunnel);
    entry->tunnels.clear();
  }
}

net::Task<> Pool::drained(Time deadline) {
  deadline = std::min(deadline, Clock::now() + kLastWords);
  for (;;) {
    sweep();
    if (retired_.empty() && lingering_ == 0) co_return;
    if (!co_await changed_.wait(deadline)) co_return;
  }
}

size_t Pool::tunnels() const {
  size_t count = 0;
  for (const auto& [key, entry] : entries_) count += entry->tunnels.size();
  for (const auto& tunnel : retired_) count += tunnel->connection->closed() ? 0 : 1;
  return count;
}

}  // namespace culvert::hbone
