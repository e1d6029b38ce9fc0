#include "waypoint/tunnel/tcp_proxy.h"

#include "common/base/log.h"
#include "waypoint/model/router.h"
#include "waypoint/telemetry/access_log.h"
#include "waypoint/tunnel/tcp_relay.h"
#include "waypoint/upstream/endpoint_choice.h"

#include <string>
#include <utility>
#include <vector>

namespace culvert::waypoint {
namespace {

// What one connection leaves behind; one that is destroyed unfinished was cut off by us.
class TcpRecord {
 public:
  TcpRecord(Worker& worker, Telemetry& telemetry, const ClientTunnel& tunnel)
      : worker_(worker), telemetry_(telemetry), tunnel_(tunnel), started_(Clock::now()) {
    log.start_time = WallClock::now();
    log.downstream_local_address = tunnel.destination.address.to_string();
    log.downstream_remote_address = tunnel.client.to_string();
    source_ = tunnel.model->workload(tunnel.client.ip);
  }
  ~TcpRecord() {
    log.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
    if (!opened_) opened();
    telemetry_.tcp_closed(facts());
    const AccessLogOptions& options = tunnel_.model->options().access_log;
    if (is_logged(log, options)) culvert::log::write_line(format_access_log(log, options.format));
  }
  TcpRecord(const TcpRecord&) = delete;
  TcpRecord& operator=(const TcpRecord&) = delete;

  AccessEntry log;
  UpstreamPtr upstream;
  WorkloadPtr destination;

  Telemetry::TcpBytes opened() {
    opened_ = true;
    return telemetry_.tcp_opened(facts());
  }

 private:
  [[nodiscard]] MetricFacts facts() const {
    MetricFacts out;
    out.source = source_.get();
    out.source_principal = tunnel_.principal;
    out.destination = destination.get();
    out.service = tunnel_.service(upstream);
    out.protocol = RequestProtocol::kTcp;
    out.response_flags = log.response_flags;
    out.own_identity_known = worker_.credential != nullptr;
    return out;
  }

  Worker& worker_;
  Telemetry& telemetry_;
  const ClientTunnel& tunnel_;
  WorkloadPtr source_;
  Time started_;
  bool opened_ = false;
};

// Resets a stream of a task that is destroyed: merely closing a plain socket would look like the
// regular end of what was sent.
class CutOff {
 public:
  explicit CutOff(net::ByteStream& of) : stream_(&of) {}
  ~CutOff() {
    if (stream_ != nullptr) stream_->reset();
  }
  CutOff(const CutOff&) = delete;
  CutOff& operator=(const CutOff&) = delete;
  void disarm() { stream_ = nullptr; }

 private:
  net::ByteStream* stream_;
};

// Who may, and where to; the reason is in the record if the answer is no.
std::optional<Endpoint> admit(const ClientTunnel& tunnel, const Upstreams& upstreams,
                              state::Random& random, TcpRecord& record) {
  const Chain* chain = tunnel.destination.port.tcp.get();
  if (chain == nullptr) {
    record.log.response_flags = "NR";
    return std::nullopt;
  }
  const AuthzDecision decision = authorize(*chain, tunnel.facts());
  if (!decision.allowed) {
    record.log.connection_termination_details = decision.detail();
    return std::nullopt;
  }
  const auto* target = choose_target(chain->tcp_targets, chain->tcp_total_weight, random);
  record.log.upstream_cluster = target == nullptr ? "" : target->name;
  if (target == nullptr || target->upstream == nullptr) {
    record.log.response_flags = target == nullptr ? "NR" : "NC";
    return std::nullopt;
  }
  record.upstream = target->upstream;
  std::vector<size_t> tried;
  auto endpoint = choose_endpoint(*target->upstream, tunnel, upstreams, tried, random);
  if (!endpoint) {
    record.log.response_flags = "UH";
    return std::nullopt;
  }
  record.destination = endpoint->workload;
  record.log.upstream_host = endpoint->address.to_string();
  return endpoint;
}

}  // namespace

net::Task<> serve_tcp(Worker& worker, Upstreams& upstreams, Telemetry& telemetry,
                      ClientTunnelPtr tunnel, std::unique_ptr<net::ByteStream> client) {
  TcpRecord record(worker, telemetry, *tunnel);
  const auto endpoint = admit(*tunnel, upstreams, *worker.random, record);
  if (!endpoint) co_return client->reset();
  const UpstreamLimits& limits = record.upstream->limits;
  const Time connect_by = Clock::now() + limits.connect_timeout;
  CutOff client_cut(*client);
  auto opened = co_await upstreams.open_raw(record.upstream, *endpoint, connect_by);
  if (!opened) {
    const bool overflow = opened.error().code == ExchangeErrc::kOverflow;
    record.log.response_flags = overflow ? "UO" : "UF,URX";
    if (!overflow) record.log.upstream_transport_failure_reason = opened.error().context;
    co_return;
  }
  CutOff server_cut(*opened->stream);
  record.log.upstream_host = opened->upstream_host;
  record.log.upstream_local_address = opened->local_address;
  const auto counters = record.opened();

  TcpRelay relay(worker.reactor, *client, *opened->stream, limits.idle_timeout);
  relay.count(counters.received, counters.sent);
  // Also when the task is destroyed: the record is written after the relay is gone.
  struct TakeBytes {
    AccessEntry& log;
    const TcpRelay& relay;
    ~TakeBytes() {
      log.bytes_received = relay.from_client();
      log.bytes_sent = relay.from_server();
    }
  } const take_bytes{record.log, relay};
  const TcpRelay::End end = co_await relay.run();
  client_cut.disarm();  // the relay has done what this end asks for
  server_cut.disarm();
  switch (end) {
    case TcpRelay::End::kClosed:
      break;
    case TcpRelay::End::kClientFailed:
      record.log.response_flags = "DC";
      break;
    case TcpRelay::End::kServerFailed:
      record.log.response_flags = "UC";
      break;
    case TcpRelay::End::kIdle:
      record.log.response_flags = "SI";
      record.log.connection_termination_details = "idle_timeout";
      break;
  }
}

}  // namespace culvert::waypoint
