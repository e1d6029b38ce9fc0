#include "waypoint/tunnel/tunnel_server.h"

#include "common/base/log.h"
#include "common/hbone/connect.h"
#include "common/hbone/stream_io.h"
#include "waypoint/telemetry/access_log.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace culvert::waypoint {
namespace {

const log::Target kLog{"proxy::tunnel"};
constexpr auto kHeadTimeout = std::chrono::seconds(30);

void answer(hbone::Stream& stream, int status) {
  const std::string text = std::to_string(status);
  const h2::Field fields[] = {{":status", text}};
  stream.respond(fields, status != 200);
}

struct Refusal {
  int status = 0;
  std::string details;
};

// Who asks for what, or why not.
boost::system::result<ClientTunnelPtr, Refusal> admit(const ModelPtr& model,
                                                      const net::SocketAddress& client,
                                                      const h2::Head& head, const tls::Peer& peer) {
  // With :protocol it is an extended CONNECT (RFC 8441), which asks for something else.
  if (head.get(":method").value_or("") != "CONNECT" || head.get(":protocol")) {
    return Refusal{400, "not_connect"};
  }
  const std::string authority(head.get(":authority").value_or(""));
  if (!hbone::parse_authority(authority)) return Refusal{400, "invalid_authority"};
  if (model == nullptr) return Refusal{503, "no_configuration"};
  auto destination = model->resolve(authority);
  if (!destination) return Refusal{404, "route_not_found"};
  auto tunnel = std::make_shared<ClientTunnel>();
  tunnel->client = client;
  tunnel->identity = peer.identity;
  if (peer.identity) tunnel->principal = peer.identity->to_string();
  tunnel->authority = authority;
  tunnel->model = model;
  tunnel->destination = std::move(*destination);
  return ClientTunnelPtr(std::move(tunnel));
}

// Refused CONNECTs have a line in the access log, as Envoy's listener for tunnels writes one for
// status 400 and above.
void log_refusal(const Options& options, const Refusal& refusal, const net::SocketAddress& client,
                 const h2::Head& head) {
  AccessEntry entry;
  entry.start_time = WallClock::now();
  entry.method = head.get(":method").value_or("");
  entry.protocol = "HTTP/2";
  entry.response_code = refusal.status;
  if (refusal.status == 404) entry.response_flags = "NR";
  entry.response_code_details = refusal.details;
  entry.authority = head.get(":authority").value_or("");
  entry.downstream_remote_address = client.to_string();
  if (is_logged(entry, options.access_log)) {
    log::write_line(format_access_log(entry, options.access_log.format));
  }
}

// Counts a tunnel, and knows it for the shutdown, while it is served.
class Registration {
 public:
  Registration(std::vector<hbone::Server*>& servers, hbone::Server& server, Telemetry& telemetry)
      : servers_(servers), server_(server), telemetry_(telemetry) {
    servers_.push_back(&server_);
    telemetry_.tunnel_opened();
  }
  ~Registration() {
    std::erase(servers_, &server_);
    telemetry_.tunnel_closed();
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  std::vector<hbone::Server*>& servers_;
  hbone::Server& server_;
  Telemetry& telemetry_;
};

}  // namespace

TunnelServer::TunnelServer(Services services, net::Fd listening)
    : services_(services),
      open_(services.worker.reactor),
      accepted_(services.worker.reactor),
      finishing_(services.worker.reactor) {
  listener_ = std::make_unique<net::Listener>(
      services.worker.reactor, std::move(listening), [this](net::Fd fd, net::SocketAddress client) {
        accepted_.spawn(serve_tunnel(std::move(fd), client));
      });
}

TunnelServer::~TunnelServer() {
  listener_.reset();
  finishing_.cancel();
  accepted_.cancel();
}

net::Task<> TunnelServer::serve_tunnel(net::Fd accepted, net::SocketAddress client) {
  Worker& worker = services_.worker;
  if (worker.credential == nullptr) {
    kLog.warn("tunnel from {} refused: there is no certificate yet", client.to_string());
    co_return;
  }
  if (const MemoryAccount* full = worker.memory.full()) {
    if (const auto more = shed_log_.left_out(worker.reactor.now()))
      kLog.warn(
          "tunnel from {} refused: {}; raise CULVERT_MEMORY_BUDGET and the memory limit ({} more "
          "were refused since this was said last)",
          client.to_string(), full->used_up().message(), *more);
    co_return net::close_with_reset(std::move(accepted));
  }
  auto socket = std::make_unique<net::Socket>(worker.reactor, std::move(accepted));
  hbone::ServerOptions options;
  if (worker.model != nullptr) {
    options.settings.max_concurrent_streams = worker.model->options().limits.max_tunnel_streams;
  }
  hbone::Server server(
      worker.reactor, options, worker.buffers, worker.memory,
      [this, client](std::unique_ptr<hbone::Stream> stream, const tls::Peer& peer) {
        return serve_stream(client, std::move(stream), peer);
      });
  const Registration registration(servers_, server, services_.telemetry);
  auto engine = tls::Engine::server(worker.tls, worker.credential);
  if (auto served = co_await server.run(std::move(socket), std::move(engine)); !served) {
    kLog.warn("tunnel from {} refused: {}", client.to_string(), served.error().message());
  }
}

net::Task<> TunnelServer::serve_stream(net::SocketAddress client,
                                       std::unique_ptr<hbone::Stream> stream,
                                       const tls::Peer& peer) {
  const auto head = co_await stream->head(Clock::now() + kHeadTimeout);
  if (!head) co_return;
  const ModelPtr model = services_.worker.model;
  const auto tunnel = services_.worker.memory.full() == nullptr ? admit(model, client, **head, peer)
                                                                : Refusal{503, "overload"};
  if (!tunnel) {
    const Refusal& refusal = tunnel.error();
    answer(*stream, refusal.status);
    services_.telemetry.connect_refused(refusal.status);
    if (model != nullptr) log_refusal(model->options(), refusal, client, **head);
    co_return;
  }
  answer(*stream, 200);
  auto io = std::make_unique<hbone::StreamIo>(std::move(stream));
  co_await serve_connection(services_, open_, *tunnel, std::move(io));
}

void TunnelServer::drain() {
  for (hbone::Server* server : servers_) server->drain();
  open_.drain();
}

void TunnelServer::stop_accepting() {
  if (listener_ == nullptr) return;
  listener_->accept_all();
  listener_.reset();
  drain();
}

void TunnelServer::finish(Time deadline, UniqueFunction<void(size_t)> done) {
  finishing_.spawn(wait_and_cut(deadline, std::move(done)));
}

net::Task<> TunnelServer::wait_and_cut(Time deadline, UniqueFunction<void(size_t)> done) {
  co_await accepted_.drained(deadline);
  const size_t cut = accepted_.size();
  accepted_.cancel();
  // The caller may destroy this server, and with it this very task: not from inside it.
  services_.worker.reactor.post([done = std::move(done), cut]() mutable { done(cut); });
}

}  // namespace culvert::waypoint
