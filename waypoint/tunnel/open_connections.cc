#include "waypoint/tunnel/open_connections.h"

#include "common/base/log.h"

#include <string>
#include <utility>

namespace culvert::waypoint {
namespace {

const log::Target kLog{"proxy::connection_manager"};

// Why a raw connection may not go on; empty: it may.
std::string objection(const ClientTunnelPtr& tunnel) {
  if (tunnel == nullptr || tunnel->destination.port.tcp == nullptr) return "not served any more";
  const AuthzDecision decision = authorize(*tunnel->destination.port.tcp, tunnel->facts());
  return decision.allowed ? std::string() : decision.detail();
}

}  // namespace

OpenConnections::Tcp::Tcp(OpenConnections& owner, ClientTunnelPtr tunnel)
    : tunnel_(std::move(tunnel)), changed_(owner.reactor_) {
  owner.tcp_.push_back(*this);
}

OpenConnections::Http::Http(OpenConnections& owner, ServerConnection& connection)
    : connection_(connection) {
  owner.http_.push_back(*this);
  if (owner.draining_) connection.drain();
}

void OpenConnections::model_changed(const ModelPtr& newest) {
  for (Tcp& entry : tcp_) {
    if (entry.revoked_) continue;
    const std::string reason = objection(under(entry.tunnel_, newest));
    if (reason.empty()) continue;
    kLog.info("connection {}->{} closed because of a change of the configuration: {}",
              entry.tunnel_->client.to_string(), entry.tunnel_->authority, reason);
    entry.revoked_ = true;
    entry.changed_.wake_all();
  }
}

void OpenConnections::drain() {
  draining_ = true;
  for (Http& entry : http_) entry.connection_.drain();
}

}  // namespace culvert::waypoint
