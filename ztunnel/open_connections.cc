#include "ztunnel/open_connections.h"

#include <fmt/format.h>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"state"};
const log::Target kManagerLog{"proxy::connection_manager"};

}  // namespace

OpenConnections::Entry::Entry(OpenConnections& owner, bool inbound, ConnectionEnds ends)
    : ends_(std::move(ends)) {
  (inbound ? owner.inbound_ : owner.outbound_).push_back(*this);
}

void OpenConnections::Entry::guard(const state::Identity* identity) {
  identity_ = identity;
  guarded_ = true;
}

authz::Connection OpenConnections::Entry::connection() const {
  authz::Connection connection{
      .source_identity = std::nullopt, .source = ends_.client, .destination = ends_.dialled};
  if (identity_ != nullptr) connection.source_identity = *identity_;
  return connection;
}

ConnectionInfo OpenConnections::Entry::info() const {
  ConnectionInfo info{.src = ends_.client.to_string(),
                      .original_dst = ends_.original_host.value_or(""),
                      .actual_dst = ends_.dialled.to_string(),
                      .protocol = ends_.tunnelled ? "HBONE" : "TCP",
                      .has_original_dst = ends_.original || ends_.original_host};
  if (ends_.original) info.original_dst = ends_.original->to_string();
  return info;
}

void OpenConnections::Entry::revoke() {
  revoked_ = true;
  if (relay_ != nullptr) relay_->abandon();
}

std::vector<ConnectionInfo> OpenConnections::list(const List& entries) {
  std::vector<ConnectionInfo> all;
  for (const Entry& entry : entries) all.push_back(entry.info());
  return all;
}

void OpenConnections::check_policies(const state::Snapshot& mesh, const state::Workload& local) {
  for (Entry& entry : inbound_) {
    if (!entry.guarded_ || entry.revoked_) continue;
    if (ztunnel::check_policies(mesh, local, entry.connection(), policy_level_).allowed()) continue;
    kManagerLog.info(
        "connection {}->{} ({}) closed because it's no longer allowed after a policy update",
        entry.ends_.client.to_string(), entry.ends_.dialled.to_string(), uid_);
    entry.revoke();
  }
}

authz::Decision check_policies(const state::Snapshot& mesh, const state::Workload& local,
                               const authz::Connection& connection, log::Level level) {
  std::vector<std::string> unknown;
  const auto policies = mesh.policies_for(local, connection.query(), &unknown);
  for (const std::string& key : unknown) kLog.warn("skipping unknown policy {}", key);
  std::vector<authz::DryRunNote> notes;
  auto decision = authz::evaluate(policies, connection, &notes);
  if (!kLog.enabled(level)) return decision;
  for (auto& note : notes) {
    std::vector<log::Field> fields;
    if (!note.policy.empty()) fields.push_back(log::str("policy", std::move(note.policy)));
    kLog.write(level, note.message, fields);
  }
  kLog.write(level, fmt::format("{} -> {}: {}", connection.source.to_string(),
                                connection.destination.to_string(),
                                decision.allowed() ? "allowed" : decision.reason()));
  return decision;
}

}  // namespace culvert::ztunnel
