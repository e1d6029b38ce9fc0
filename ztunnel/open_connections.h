#pragma once

#include "common/authz/evaluate.h"
#include "common/base/log.h"
#include "common/net/relay.h"
#include "common/state/snapshot.h"
#include "ztunnel/mesh_view.h"

#include <boost/intrusive/list.hpp>

#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel {

// One line of /config_dump's workloadState.connections.
struct ConnectionInfo {
  std::string src, original_dst, actual_dst, protocol;
  bool has_original_dst = false;
};

// Who is connected to whom, as it is kept while a connection is open.
struct ConnectionEnds {
  net::SocketAddress client;
  net::SocketAddress dialled;
  std::optional<net::SocketAddress> original;  // what the client dialled; outgoing
  std::optional<std::string> original_host;    // incoming: what it named, if it did
  bool tunnelled = false;
};

// The open user connections of one pod on one worker: shown by the admin server, and incoming ones
// checked again whenever policies change.
class OpenConnections {
 public:
  // Links a connection while it lives; a part of whatever carries it.
  class Entry : public boost::intrusive::list_base_hook<
                    boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
   public:
    Entry(OpenConnections& owner, bool inbound, ConnectionEnds ends);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // Incoming: from now on the connection is checked at every policy change. `identity`: the TLS
    // peer's, null for plaintext; outlives the entry.
    void guard(const state::Identity* identity);
    // A policy change closed it: the owner ends the connection.
    [[nodiscard]] bool revoked() const { return revoked_; }
    // Abandoned when revoked() turns true; nullptr: nothing is.
    void abandon_when_revoked(net::Abandonable* relay) { relay_ = relay; }
    // What policies look at.
    [[nodiscard]] authz::Connection connection() const;

   private:
    friend class OpenConnections;
    [[nodiscard]] ConnectionInfo info() const;
    void revoke();

    const ConnectionEnds ends_;
    const state::Identity* identity_ = nullptr;
    net::Abandonable* relay_ = nullptr;
    bool guarded_ = false, revoked_ = false;
  };

  // `policy_level`: at which level decisions are logged, see check_policies().
  OpenConnections(std::string uid, log::Level policy_level)
      : uid_(std::move(uid)), policy_level_(policy_level) {}

  // Evaluates every guarded connection against `mesh`; `local`: the pod's workload as it is now.
  void check_policies(const state::Snapshot& mesh, const state::Workload& local);
  [[nodiscard]] std::vector<ConnectionInfo> inbound() const { return list(inbound_); }
  [[nodiscard]] std::vector<ConnectionInfo> outbound() const { return list(outbound_); }

 private:
  using List = boost::intrusive::list<Entry, boost::intrusive::constant_time_size<false>>;
  static std::vector<ConnectionInfo> list(const List& entries);

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
