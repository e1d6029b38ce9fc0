#pragma once

#include "common/base/once_a_second.h"
#include "common/hbone/server.h"
#include "common/net/fd.h"
#include "common/net/listener.h"
#include "common/net/scope.h"
#include "waypoint/tunnel/connection.h"

#include <memory>
#include <vector>

namespace culvert::waypoint {

// One worker's port 15008: accepts the tunnels of clients with the worker's certificate, answers
// each CONNECT, and serves what comes out of it. 400: not a CONNECT, or without a usable authority;
// 404: an address that is not served here (Envoy answers 200 and closes; a status says more); 503:
// there is no configuration yet, or memory is short, when new tunnels are reset as well; else 200,
// before anything else is known of the connection. Worker thread.
//
// Shutdown, in this order, each step optional: drain(), stop_accepting(), finish().
class TunnelServer {
 public:
  // `listening`: a non-blocking listening socket. References outlive it. Throws std::system_error
  // when epoll refuses the socket.
  TunnelServer(Services services, net::Fd listening);
  ~TunnelServer();
  TunnelServer(const TunnelServer&) = delete;
  TunnelServer& operator=(const TunnelServer&) = delete;

  // Worker::model has been replaced: raw connections that are no longer allowed end.
  void model_changed() { open_.model_changed(services_.worker.model); }

  // Clients of the tunnels that are open are told to go elsewhere (GOAWAY); requests in progress
  // are answered. Clients that do not know better yet may still come, and are served.
  void drain();
  // Takes what waits in the kernel's queue (closing the socket would reset it), closes it, drains.
  void stop_accepting();
  // After stop_accepting(): waits until everything has ended, at most until `deadline`, then cuts
  // what is left, and calls `done` once, later, with how many tunnels were cut.
  void finish(Time deadline, UniqueFunction<void(size_t)> done);

 private:
  net::Task<> serve_tunnel(net::Fd accepted, net::SocketAddress client);
  net::Task<> serve_stream(net::SocketAddress client, std::unique_ptr<hbone::Stream> stream,
                           const tls::Peer& peer);
  net::Task<> wait_and_cut(Time deadline, UniqueFunction<void(size_t)> done);

  Services services_;
  OpenConnections open_;
  std::vector<hbone::Server*> servers_;  // those of accepted_'s tasks
  std::unique_ptr<net::Listener> listener_;
  OnceASecond shed_log_;
  net::Scope accepted_;  // a task per tunnel; dies before what it uses
  net::Scope finishing_;
};

}  // namespace culvert::waypoint
