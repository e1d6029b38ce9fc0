#include "waypoint/request/forwarding.h"

#include "waypoint/model/rewrite.h"
#include "waypoint/upstream/endpoint_choice.h"

#include <algorithm>
#include <string_view>

namespace culvert::waypoint {
namespace {

// A place among the retries of an upstream, which a limit may bound.
class RetryPlace {
 public:
  RetryPlace(ProxyContext& context, const Upstream& upstream) {
    uint32_t& running = context.retries[upstream.name];
    if (running >= upstream.limits.max_retries) return;
    ++running;
    context_ = &context;
    name_ = upstream.name;
  }
  ~RetryPlace() {
    if (context_ == nullptr) return;
    const auto at = context_->retries.find(name_);
    if (--at->second == 0) context_->retries.erase(at);
  }
  RetryPlace(const RetryPlace&) = delete;
  RetryPlace& operator=(const RetryPlace&) = delete;
  explicit operator bool() const { return context_ != nullptr; }

 private:
  ProxyContext* context_ = nullptr;
  std::string name_;
};

class PendingCount {
 public:
  explicit PendingCount(uint32_t& count) : count_(count) { ++count_; }
  ~PendingCount() { --count_; }
  PendingCount(const PendingCount&) = delete;
  PendingCount& operator=(const PendingCount&) = delete;

 private:
  uint32_t& count_;
};

Time after(Time start, Millis duration) { return duration.count() > 0 ? start + duration : kNever; }

// How an endpoint ended an exchange that it had taken on: Envoy's flag and its name for the reason.
struct ResetName {
  std::string_view flag, reason;
};
ResetName name_reset(const Error& error) {
  if (error.code == ExchangeErrc::kBadMessage || error.code == ExchangeErrc::kTooLarge) {
    return {"UPE", "protocol error"};
  }
  if (error.code == ExchangeErrc::kPeerReset) return {"UR", "remote reset"};
  return {"UC", "connection termination"};
}

std::string reset_details(const Error& error) {
  std::string reason(name_reset(error).reason);
  std::replace(reason.begin(), reason.end(), ' ', '_');
  return "upstream_reset_after_response_started{" + reason + "}";
}

RequestBody::Options body_options(const Limits& limits, const Forward& forward) {
  RequestBody::Options options;
  if (forward.retry.attempts > 0) options.replay_limit = limits.max_buffered_body;
  if (!forward.mirrors.empty()) options.copy_limit = Mirrors::kMaxBody;
  return options;
}

}  // namespace

Forwarding::Forwarding(ProxyContext& context, ServerExchange& exchange, const ClientTunnel& tunnel,
                       RequestRecord& record, const Route& route)
    : context_(context),
      exchange_(exchange),
      tunnel_(tunnel),
      record_(record),
      route_(route),
      forward_(std::get<Forward>(route.rule->action)),
      changed_(context.worker.reactor),
      body_(context.worker.reactor, exchange, record,
            body_options(tunnel.model->options().limits, forward_), changed_),
      relay_(context.worker.reactor) {}

Result<> Forwarding::prepare() {
  head_ = exchange_.request();
  // Ours to keep: the client is told to go on as soon as an endpoint is there.
  head_.headers.remove("expect");
  if (auto done = apply(target_->request_headers, head_.headers); !done) return done;
  if (auto done = apply(route_.rule->request_headers, head_.headers); !done) return done;
  apply_rewrites(forward_, route_.match.path, head_);
  return {};
}

net::Task<std::optional<LocalReply>> Forwarding::run() {
  state::Random& random = *context_.worker.random;
  target_ = choose_target(forward_.targets, forward_.total_weight, random);
  record_.log.upstream_cluster = target_ == nullptr ? "" : target_->name;
  if (target_ == nullptr || target_->upstream == nullptr) {
    co_return replies::unknown_target(forward_.unknown_target_status);
  }
  upstream_ = target_->upstream;
  record_.upstream = upstream_;
  if (!prepare()) co_return replies::headers_too_large();
  mirror();

  std::optional<RetryPlace> place;
  for (uint32_t retries = 0;;) {
    if (!start_attempt()) co_return replies::no_healthy_upstream();
    if (const Stop stop = co_await wait_for_outcome(); stop != Stop::kNone) {
      if (stop != Stop::kTryTimeout) co_return reply_to(stop);
      attempt_->give_up(TryOutcome::Kind::kTryTimeout);
    }
    // An upgrade that was granted is not taken back.
    const TryOutcome& outcome = *attempt_->outcome();
    const auto verdict = should_retry(forward_.retry, retries, outcome, body_.replayable());
    place.reset();
    if (verdict == RetryVerdict::kExhausted) record_.add_flag("URX");
    if (verdict != RetryVerdict::kRetry) break;
    place.emplace(context_, *upstream_);
    if (!*place) {
      record_.add_flag("UO");
      break;
    }
    attempt_.reset();
    ++retries;
    const Time resume = Clock::now() + retry_backoff(forward_.retry, retries, random);
    if (const Stop stop = co_await pause(resume); stop != Stop::kNone) co_return reply_to(stop);
    if (!forward_.retry.avoid_previous_hosts) tried_.clear();
  }
  const auto ended = attempt_->outcome()->kind;
  if (ended == TryOutcome::Kind::kConnectFailure) {
    record_.log.upstream_transport_failure_reason = attempt_->error().context;
  }
  if (ended != TryOutcome::Kind::kResponse) co_return reply_to_failure();
  co_return co_await respond();
}

// False: there is no endpoint.
bool Forwarding::start_attempt() {
  auto endpoint =
      choose_endpoint(*upstream_, tunnel_, context_.upstreams, tried_, *context_.worker.random);
  if (!endpoint) return false;
  record_.destination = endpoint->workload;
  record_.log.upstream_host = endpoint->address.to_string();
  const bool http2 = speaks_http2(*upstream_, exchange_.request().version);
  attempt_ = std::make_unique<Attempt>(
      context_.worker.reactor, context_.upstreams,
      Attempt::Input{upstream_, std::move(*endpoint), head_, exchange_.request_size(),
                     exchange_.upgrade(), http2},
      body_, changed_);
  attempt_->start();
  // A connection at hand is used whatever the number of those who wait for one.
  if (attempt_->connecting() &&
      context_.pending >= tunnel_.model->options().limits.max_pending_requests) {
    attempt_->give_up(TryOutcome::Kind::kOverflow);
  }
  return true;
}

void Forwarding::mirror() {
  if (mirrored_ || forward_.mirrors.empty() || !exchange_.upgrade().empty()) return;
  if (!body_.completed()) return;
  mirrored_ = true;
  const bool bodiless = exchange_.request_size().kind == BodySize::Kind::kNone;
  const auto copy = bodiless ? nullptr : body_.copy();
  if (!bodiless && copy == nullptr) return;
  for (const Mirror& mirror : forward_.mirrors) {
    if (!is_mirrored(mirror, *context_.worker.random)) continue;
    context_.mirrors.send(mirror.upstream, head_, copy, forward_.timeout,
                          speaks_http2(*mirror.upstream, exchange_.request().version));
  }
}

// ---- waiting

net::Task<Forwarding::Stop> Forwarding::wait_for_outcome() {
  std::optional<PendingCount> pending;
  if (attempt_->connecting()) pending.emplace(context_.pending);
  while (!attempt_->outcome()) {
    if (!attempt_->connecting()) pending.reset();
    mirror();
    const Stop failed = body_failure();
    if (failed != Stop::kNone) co_return failed;
    const Stop late = expired(Clock::now());
    if (late != Stop::kNone) co_return late;
    co_await changed_.wait(next_deadline());
  }
  mirror();
  co_return Stop::kNone;
}

net::Task<Forwarding::Stop> Forwarding::pause(Time until) {
  while (Clock::now() < until) {
    const Stop failed = body_failure();
    if (failed != Stop::kNone) co_return failed;
    if (Clock::now() >= request_deadline()) co_return Stop::kRequestTimeout;
    co_await changed_.wait(std::min(until, request_deadline()));
  }
  co_return Stop::kNone;
}

// The route's time begins when the whole request is here, as in Envoy: a long upload is not a slow
// endpoint.
Time Forwarding::request_deadline() const {
  if (tunnelling_ || !body_.completed()) return kNever;
  return after(*body_.completed(), forward_.timeout);
}

Time Forwarding::try_deadline() const {
  if (attempt_ == nullptr || attempt_->outcome() || !body_.completed()) return kNever;
  return after(std::max(*body_.completed(), attempt_->started()), forward_.retry.per_try_timeout);
}

Time Forwarding::idle_deadline() const {
  Time last = std::max(body_.last_activity(), relayed_at_);
  if (attempt_ != nullptr) last = std::max(last, attempt_->last_activity());
  return after(last, forward_.idle_timeout);
}

Time Forwarding::next_deadline() const {
  return std::min({request_deadline(), try_deadline(), idle_deadline()});
}

Forwarding::Stop Forwarding::expired(Time now) const {
  if (now >= request_deadline()) return Stop::kRequestTimeout;
  if (now >= try_deadline()) return Stop::kTryTimeout;
  if (now >= idle_deadline()) return Stop::kIdle;
  return Stop::kNone;
}

Forwarding::Stop Forwarding::body_failure() const {
  if (!body_.error()) return Stop::kNone;
  const auto& code = body_.error()->code;
  if (code == ExchangeErrc::kBadMessage) return Stop::kBadBody;
  if (code == ExchangeErrc::kTooLarge) return Stop::kBodyTooLarge;
  return Stop::kClientGone;
}

// ---- the response

Result<> Forwarding::prepare_response(http::ResponseHead& response) {
  const Time asked =
      body_.completed() ? std::max(*body_.completed(), attempt_->started()) : attempt_->started();
  const auto served = std::chrono::duration_cast<Millis>(attempt_->last_activity() - asked);
  record_.log.upstream_service_time = std::to_string(std::max<int64_t>(0, served.count()));
  http::Headers& headers = response.headers;
  if (auto done = headers.set("x-envoy-upstream-service-time", record_.log.upstream_service_time);
      !done)
    return done;
  const std::string& server = tunnel_.model->options().server_name;
  if (!server.empty()) {
    if (auto done = headers.set("server", server); !done) return done;
  }
  if (auto done = apply(target_->response_headers, headers); !done) return done;
  return apply(route_.rule->response_headers, headers);
}

net::Task<std::optional<LocalReply>> Forwarding::respond() {
  record_.log.upstream_host = attempt_->connection().upstream_host;
  record_.log.upstream_local_address = attempt_->connection().local_address;
  http::ResponseHead& response = attempt_->response();
  if (!prepare_response(response)) {
    co_return replies::upstream_failure(502, "UPE", "protocol error", "");
  }
  record_.answered(response.status, "via_upstream");
  record_.take_grpc_status(response.headers);
  tunnelling_ = response.status == 101 && !exchange_.upgrade().empty();
  if (tunnelling_) attempt_->start_tunnel();
  relayed_at_ = Clock::now();
  relay_.spawn(relay_response());
  while (!relayed_) {
    mirror();
    const Stop stop = body_failure() != Stop::kNone ? body_failure() : expired(Clock::now());
    if (stop != Stop::kNone) {
      relay_.cancel();
      co_return fail_response(stop);
    }
    co_await changed_.wait(next_deadline());
  }
  if (*relayed_ == Relayed::kClientFailed) co_return fail_response(Stop::kClientGone);
  if (*relayed_ == Relayed::kUpstreamFailed) {
    record_.add_flag(name_reset(relay_error_).flag);
    record_.log.response_code_details = reset_details(relay_error_);
    exchange_.reset();
  }
  co_return std::nullopt;
}

// Too late for another answer than the one that has begun, unless it has not.
std::optional<LocalReply> Forwarding::fail_response(Stop stop) {
  LocalReply reply = reply_to(stop);
  if (!exchange_.responded() && stop != Stop::kClientGone) return reply;
  record_.add_flag(reply.flag);
  record_.log.response_code_details = reply.details;
  exchange_.reset();
  return std::nullopt;
}

net::Task<> Forwarding::relay_response() {
  ClientExchange& from = attempt_->exchange();
  const bool plain = !tunnelling_;
  const BodySize size = plain ? from.response_size() : BodySize{BodySize::Kind::kTunnel, 0};
  if (auto done = co_await exchange_.respond(attempt_->response(), size, kNever); !done) {
    relayed_ = Relayed::kClientFailed;
  } else if (size.kind == BodySize::Kind::kNone) {
    relayed_ = Relayed::kComplete;
  } else {
    relay_error_ = Error();
    auto body = co_await relay_body();
    if (!relayed_) relayed_ = body ? Relayed::kComplete : Relayed::kClientFailed;
  }
  changed_.wake_all();
}

// Error: of the client's side; an endpoint's is in relayed_.
net::Task<Result<>> Forwarding::relay_body() {
  ClientExchange& from = attempt_->exchange();
  for (;;) {
    const auto piece = co_await from.body().read(kNever);
    if (!piece) {
      relay_error_ = piece.error();
      relayed_ = Relayed::kUpstreamFailed;
      co_return Result<>{};
    }
    if (record_.grpc()) record_.response_frames.feed(piece->data);
    if (!piece->data.empty()) {
      if (auto done = co_await exchange_.write(piece->data, kNever); !done) co_return done;
    }
    relayed_at_ = Clock::now();
    if (!piece->end) continue;
    record_.take_grpc_status(piece->trailers);
    co_return co_await exchange_.finish(piece->trailers, kNever);
  }
}

// ---- failures

LocalReply Forwarding::reply_to(Stop stop) const {
  switch (stop) {
    case Stop::kRequestTimeout:
      return replies::request_timeout();
    case Stop::kTryTimeout:
      return replies::per_try_timeout();
    case Stop::kIdle:
      return replies::idle_timeout(body_.completed().has_value());
    case Stop::kBadBody:
      return replies::bad_request_body();
    case Stop::kBodyTooLarge:
      return replies::body_too_large();
    case Stop::kClientGone:
    case Stop::kNone:
      break;
  }
  return replies::client_gone();
}

LocalReply Forwarding::reply_to_failure() const {
  using Kind = TryOutcome::Kind;
  const Error& error = attempt_->error();
  switch (attempt_->outcome()->kind) {
    case Kind::kTryTimeout:
      return replies::per_try_timeout();
    case Kind::kOverflow:
      return replies::overflow();
    case Kind::kNoEndpoint:
      return replies::no_healthy_upstream();
    case Kind::kConnectFailure: {
      const bool late = error.code == culvert::Errc::kTimedOut;
      return replies::upstream_failure(
          503, "UF", late ? "connection timeout" : "remote connection failure", error.context);
    }
    case Kind::kRefusedStream:
      return replies::upstream_failure(503, "UR", "remote refused stream reset", "");
    case Kind::kReset:
    case Kind::kResponse:
      break;
  }
  const auto [flag, reason] = name_reset(error);
  return replies::upstream_failure(flag == "UPE" ? 502 : 503, flag, reason, "");
}

}  // namespace culvert::waypoint
