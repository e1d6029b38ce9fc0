#include "waypoint/request/proxy.h"

#include "common/http/path.h"
#include "waypoint/model/rewrite.h"
#include "waypoint/request/forwarded.h"

namespace culvert::waypoint {
namespace {

// The same CONNECT under the newest model; false: it is not served any more, at least not as HTTP.
bool refresh(ClientTunnelPtr& tunnel, const ModelPtr& newest) {
  ClientTunnelPtr renewed = under(tunnel, newest);
  if (renewed == nullptr) return false;
  tunnel = std::move(renewed);
  return tunnel->destination.port.http != nullptr;
}

LocalReply redirect_reply(const Redirect& redirect, const PathMatch& match,
                          const http::RequestHead& request) {
  LocalReply reply;
  reply.status = redirect.status;
  reply.details = "direct_response";
  if (!reply.headers.add("location", redirect_location(redirect, match, request))) {
    return replies::headers_too_large();
  }
  return reply;
}

LocalReply direct_reply(const DirectResponse& response) {
  LocalReply reply;
  reply.status = response.status;
  reply.body = response.body;
  reply.content_type = response.content_type;
  reply.details = "direct_response";
  return reply;
}

// What comes before routing. An answer: the request ends here.
std::optional<LocalReply> admit(ProxyContext& context, const ClientTunnel& tunnel,
                                http::RequestHead& head) {
  const Options& options = tunnel.model->options();
  if (!head.is_connect() && !http::normalize_path(head.path, options.path_normalization)) {
    return replies::bad_path();
  }
  AuthzFacts facts = tunnel.facts();
  facts.remote_ip = remote_address(head.headers, tunnel.client.ip);
  const bool tells_identity = options.xfcc == XfccMode::kIdentity;
  const std::string own = tells_identity ? tunnel.model->self().identity().to_string() : "";
  const ClientFacts client{.address = tunnel.client.ip, .principal = tunnel.principal};
  if (!add_forwarding_headers(head.headers, options, own, client, *context.worker.random)) {
    return replies::headers_too_large();
  }
  facts.request = &head;
  const AuthzDecision decision = authorize(*tunnel.destination.port.http, facts);
  if (!decision.allowed) return replies::denied(decision.detail());
  return std::nullopt;
}

}  // namespace

net::Task<> Proxy::serve(ServerExchange& exchange, ClientTunnelPtr& tunnel) {
  const bool served = refresh(tunnel, context_.worker.model);
  // Its own: another request of the same connection may meet a newer model while this one waits.
  const ClientTunnelPtr mine = tunnel;
  RequestRecord record(context_.worker, context_.telemetry, exchange, *mine);
  const Route* route = nullptr;
  std::optional<LocalReply> reply;
  if (served) {
    reply = co_await handle(exchange, *mine, record, route);
  } else {
    reply = replies::not_served();
  }
  if (reply) co_await answer(exchange, *mine, record, std::move(*reply), route);
  record.finish();
}

net::Task<std::optional<LocalReply>> Proxy::handle(ServerExchange& exchange,
                                                   const ClientTunnel& tunnel,
                                                   RequestRecord& record, const Route*& route) {
  http::RequestHead& head = exchange.request();
  auto refusal = admit(context_, tunnel, head);
  record.take_headers(head);
  if (refusal) co_return refusal;
  route = match_route(tunnel.destination.port.http->routes, head);
  if (route == nullptr) co_return replies::no_route();
  record.log.route_name = route->rule->name;
  const RouteAction& action = route->rule->action;
  if (const auto* redirect = std::get_if<Redirect>(&action)) {
    co_return redirect_reply(*redirect, route->match.path, head);
  }
  if (const auto* direct = std::get_if<DirectResponse>(&action)) co_return direct_reply(*direct);
  Forwarding forwarding(context_, exchange, tunnel, record, *route);
  co_return co_await forwarding.run();
}

net::Task<> Proxy::answer(ServerExchange& exchange, const ClientTunnel& tunnel,
                          RequestRecord& record, LocalReply reply, const Route* route) {
  record.add_flag(reply.flag);
  record.answered(reply.status, reply.details);
  if (reply.status == 0 || exchange.responded()) co_return exchange.reset();
  WrittenReply written = write_reply(reply, exchange.request(), WallClock::now());
  record.answered(written.head.status, reply.details);
  if (written.grpc_status >= 0) record.grpc_status = written.grpc_status;
  const std::string& server = tunnel.model->options().server_name;
  bool complete = true;
  if (!server.empty()) complete = written.head.headers.set("server", server).has_value();
  if (route != nullptr && complete) {
    complete = apply(route->rule->response_headers, written.head.headers).has_value();
  }
  BodySize size;
  if (!written.body.empty()) size = {BodySize::Kind::kLength, written.body.size()};
  auto done = co_await exchange.respond(written.head, size, kNever);
  if (done && !written.body.empty()) {
    done = co_await exchange.write(as_bytes(written.body), kNever);
    if (done) done = co_await exchange.finish({}, kNever);
  }
  if (!done) record.disconnected();
}

}  // namespace culvert::waypoint
