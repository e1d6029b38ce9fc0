#include "ztunnel/open_connections.h"

#include <fmt/format.h>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"state"};
const log::Target kManagerLog{"proxy::connection_manager"};

}  // namespace

OpenConnections::Entry::Entry(OpenConnections& owner, bool inbound, ConnectionInfo info)
    : info_(std::move(info)), changed_(owner.reactor_) {
  (inbound ? owner.inbound_ : owner.outbound_).push_back(*this);
}

std::vector<ConnectionInfo> OpenConnections::list(const List& entries) {
  std::vector<ConnectionInfo> all;
  for (const Entry& entry : entries) all.push_back(entry.info_);
  return all;
}

void OpenConnections::check_policies(const state::Snapshot& mesh, const state::Workload& local) {
  for (Entry& entry : inbound_) {
    if (!entry.guarded_ || entry.revoked_) continue;
    if (ztunnel::check_policies(mesh, local, *entry.guarded_, policy_level_).allowed()) continue;
    kManagerLog.info(
        "connection {}->{} ({}) closed because it's no longer allowed after a policy update",
        entry.info_.src, entry.info_.actual_dst, uid_);
    entry.revoked_ = true;
    entry.changed_.wake_all();
  }
}

authz::Decision check_policies(const state::Snapshot& mesh, const state::Workload& local,
                               const authz::Connection& connection, log::Level level) {
  std::vector<std::string> unknown;
  const auto policies = mesh.policies_for(local, &unknown);
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
