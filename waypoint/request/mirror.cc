#include "waypoint/request/mirror.h"

#include "common/base/log.h"
#include "waypoint/model/request_parts.h"

namespace culvert::waypoint {
namespace {

const log::Target kLog{"proxy::mirror"};
const std::string kNoUpgrade;

}  // namespace

std::string shadow_host(std::string_view authority) {
  const std::string_view host = host_of(authority);
  return std::string(host) + "-shadow" + std::string(authority.substr(host.size()));
}

Mirrors::Mirrors(Worker& worker, Upstreams& upstreams)
    : worker_(worker), upstreams_(upstreams), running_(worker.reactor) {}

void Mirrors::send(UpstreamPtr upstream, http::RequestHead head,
                   std::shared_ptr<const std::vector<uint8_t>> body, Millis timeout, bool http2) {
  if (running_.size() >= kMaxRunning) {
    kLog.debug("not mirrored to {}: {} copies are running", upstream->name, running_.size());
    return;
  }
  head.authority = shadow_host(head.authority);
  const Time deadline = Clock::now() + (timeout.count() > 0 ? timeout : kDefaultTimeout);
  running_.spawn(run(std::move(upstream), std::move(head), std::move(body), deadline, http2));
}

net::Task<> Mirrors::run(UpstreamPtr upstream, http::RequestHead head,
                         std::shared_ptr<const std::vector<uint8_t>> body, Time deadline,
                         bool http2) {
  const auto index = upstream->balancer.pick(upstreams_.active(*upstream), {}, *worker_.random);
  if (!index) co_return;
  auto opened = co_await upstreams_.open(upstream, upstream->endpoints[*index], http2, deadline);
  if (!opened) {
    kLog.debug("not mirrored to {}: {}", upstream->name, opened.error().message());
    co_return;
  }
  ClientExchange& exchange = *opened->exchange;
  const BodySize size =
      body == nullptr ? BodySize{} : BodySize{BodySize::Kind::kLength, body->size()};
  if (!co_await exchange.send(head, size, kNoUpgrade, deadline)) co_return;
  if (body != nullptr) {
    if (!body->empty() && !co_await exchange.write(*body, deadline)) co_return;
    if (!co_await exchange.finish({}, deadline)) co_return;
  }
  if (!co_await exchange.response(deadline)) co_return;
  // Read to its end, so that the connection can be used again.
  if (exchange.response_size().kind == BodySize::Kind::kNone) co_return;
  for (;;) {
    const auto piece = co_await exchange.body().read(deadline);
    if (!piece || piece->end) co_return;
  }
}

}  // namespace culvert::waypoint
