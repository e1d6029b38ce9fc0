#pragma once

#include "common/authz/evaluate.h"
#include "common/base/log.h"
#include "common/net/event.h"
#include "common/state/snapshot.h"
#include "ztunnel/mesh_view.h"

#include <boost/intrusive/list.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel {

// One line of /config_dump's workloadState.connections.
struct ConnectionInfo {
  std::string src, original_dst, actual_dst, protocol;
  bool has_original_dst = false;
};

// The open user connections of one pod on one worker: shown by the admin server, and incoming ones
// checked again whenever policies change.
class OpenConnections {
 public:
  // Links a connection while it lives; a member of its coroutine's frame.
  class Entry : public boost::intrusive::list_base_hook<
                    boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
   public:
    Entry(OpenConnections& owner, bool inbound, ConnectionInfo info);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // Incoming: what policies look at. From now on the connection is checked at every change.
    void guard(authz::Connection connection) { guarded_ = std::move(connection); }
    // A policy change closed it: the owner ends the connection.
    [[nodiscard]] bool revoked() const { return revoked_; }
    // Woken when revoked() turns true; the owner may also wake it for its own ends.
    [[nodiscard]] net::Event& changed() { return changed_; }

   private:
    friend class OpenConnections;
    ConnectionInfo info_;
    std::optional<authz::Connection> guarded_;
    bool revoked_ = false;
    net::Event changed_;
  };

  // `policy_level`: at which level decisions are logged, see check_policies().
  OpenConnections(net::Reactor& reactor, std::string uid, log::Level policy_level)
      : reactor_(reactor), uid_(std::move(uid)), policy_level_(policy_level) {}

  // Evaluates every guarded connection against `mesh`; `local`: the pod's workload as it is now.
  void check_policies(const state::Snapshot& mesh, const state::Workload& local);
  [[nodiscard]] std::vector<ConnectionInfo> inbound() const { return list(inbound_); }
  [[nodiscard]] std::vector<ConnectionInfo> outbound() const { return list(outbound_); }

 private:
  using List = boost::intrusive::list<Entry, boost::intrusive::constant_time_size<false>>;
  static std::vector<ConnectionInfo> list(const List& entries);

  net::Reactor& reactor_;
  std::string uid_;
  log::Level policy_level_;
  List inbound_, outbound_;
};

// The decision for a connection to `local`: its policies, evaluated and logged at `level` (debug,
// or info with AUTHZ_POLICY_INFO_LOGGING=true), with a warning for policies the mesh names but does
// not have.
authz::Decision check_policies(const state::Snapshot& mesh, const state::Workload& local,
                               const authz::Connection& connection, log::Level level);

}  // namespace culvert::ztunnel
