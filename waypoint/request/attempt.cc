#include "waypoint/request/attempt.h"

#include "waypoint/request/local_reply.h"

namespace culvert::waypoint {
namespace {

TryOutcome::Kind kind_of(const Error& error, TryOutcome::Kind otherwise) {
  if (error.code == ExchangeErrc::kConnectFailed) return TryOutcome::Kind::kConnectFailure;
  if (error.code == ExchangeErrc::kRefused) return TryOutcome::Kind::kRefusedStream;
  if (error.code == ExchangeErrc::kOverflow) return TryOutcome::Kind::kOverflow;
  return otherwise;
}

}  // namespace

Attempt::Attempt(net::Reactor& reactor, Upstreams& upstreams, Input input, RequestBody& body,
                 net::Event& changed)
    : upstreams_(upstreams),
      input_(std::move(input)),
      body_(body),
      changed_(changed),
      started_(Clock::now()),
      last_activity_(started_),
      tasks_(reactor) {}

void Attempt::start() { tasks_.spawn(run()); }

void Attempt::give_up(TryOutcome::Kind kind) {
  tasks_.cancel();
  if (connection_.exchange != nullptr) connection_.exchange->reset();
  outcome_ = TryOutcome{.kind = kind, .head_sent = head_sent_};
}

void Attempt::fail(const Error& error, TryOutcome::Kind otherwise) {
  error_ = error;
  outcome_ = TryOutcome{.kind = kind_of(error, otherwise), .head_sent = head_sent_};
  changed_.wake_all();
}

net::Task<> Attempt::run() {
  const Time connect_by = started_ + input_.upstream->limits.connect_timeout;
  auto opened =
      co_await upstreams_.open(input_.upstream, input_.endpoint, input_.http2, connect_by);
  if (!opened) co_return fail(opened.error(), TryOutcome::Kind::kConnectFailure);
  connection_ = std::move(*opened);
  changed_.wake_all();

  ClientExchange& exchange = *connection_.exchange;
  const bool upgrade = !input_.upgrade.empty();
  const bool bodiless = upgrade || input_.size.kind == BodySize::Kind::kNone;
  const BodySize size = upgrade ? BodySize{} : input_.size;
  if (auto done = co_await exchange.send(input_.head, size, input_.upgrade, kNever); !done)
    co_return fail(done.error(), TryOutcome::Kind::kReset);
  head_sent_ = true;
  last_activity_ = Clock::now();
  if (bodiless) {
    sent_ = true;
  } else {
    tasks_.spawn(send_body());
  }
  auto response = co_await exchange.response(kNever);
  if (!response) co_return fail(response.error(), TryOutcome::Kind::kReset);
  last_activity_ = Clock::now();
  response_ = std::move(*response);
  outcome_ = TryOutcome{.status = response_.status};
  if (exchange.trailers_only()) outcome_->grpc_status = grpc_status(response_.headers);
  changed_.wake_all();
}

void Attempt::start_tunnel() {
  sent_ = false;
  tasks_.spawn(send_body());
}

// When the endpoint does not take the body, what it answers decides; if it does not answer
// either, waiting for the response fails as well. When the client does not give it, the request is
// over, and whoever owns the attempt sees that in the body.
net::Task<> Attempt::send_body() {
  ClientExchange& exchange = *connection_.exchange;
  for (uint64_t position = 0;;) {
    const auto part = co_await body_.next(position);
    if (!part) co_return;
    if (!part->data.empty()) {
      if (auto done = co_await exchange.write(part->data, kNever); !done) co_return;
      position += part->data.size();
      last_activity_ = Clock::now();
    }
    if (!part->end) continue;
    if (auto done = co_await exchange.finish(body_.trailers(), kNever); !done) co_return;
    sent_ = true;
    changed_.wake_all();
    co_return;
  }
}

}  // namespace culvert::waypoint
