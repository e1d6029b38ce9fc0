#include "ztunnel/inpod/manager.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "ztunnel/inpod/errors.h"

#include <algorithm>
#include <utility>

namespace culvert::ztunnel::inpod {
namespace {

const log::Target kLog{"inpod::workloadmanager"};

}  // namespace

WorkloadManager::WorkloadManager(net::Reactor& reactor, PodProxies& proxies, Options options,
                                 Callbacks callbacks)
    : reactor_(reactor),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      hello_backoff_(options_.hello_delay, options_.max_delay),
      reconnect_backoff_(options_.reconnect_delay, options_.max_delay),
      stop_(reactor),
      replied_(reactor),
      timer_(reactor, [this] { state_.poll(); }),
      state_(
          proxies, [] { return Clock::now(); }, [this] { changed(); }, options_.timing),
      scope_(reactor) {}

WorkloadManager::~WorkloadManager() = default;

void WorkloadManager::start() {
  if (stopping_) return;
  loop_ended_ = false;
  scope_.spawn(run());
}

net::Task<> WorkloadManager::run() {
  while (!stopping_) {
    const std::unique_ptr<Transport> transport = co_await connect();
    if (transport == nullptr) break;
    const Time connected_at = Clock::now();
    state_.begin_connection();
    if (!co_await announce(*transport)) continue;

    connected_ = true;
    transport_ = transport.get();
    const End end = co_await serve(*transport);
    transport_ = nullptr;
    connected_ = false;
    update_ready();
    if (!stopping_) co_await pause_after(end, connected_at);
  }
  loop_ended_ = true;
  finish();
}

// Nothing when ztunnel stops.
net::Task<std::unique_ptr<Transport>> WorkloadManager::connect() {
  Backoff backoff(options_.connect_delay, options_.max_delay);
  while (!stopping_) {
    auto connected = Transport::connect(reactor_, options_.path);
    if (connected) {
      kLog.info("connected to the Istio CNI node agent over {}", options_.path);
      co_return std::move(*connected);
    }
    const Duration delay = backoff.next();
    kLog.warn(
        "failed to connect to the Istio CNI node agent over {}, is the node agent healthy? "
        "details: {}. "
        "retrying in {}",
        options_.path, connected.error().message(), to_text(delay));
    co_await pause(delay);
  }
  co_return nullptr;
}

net::Task<bool> WorkloadManager::announce(Transport& transport) {
  std::string hello = encode_hello();
  auto sent = co_await transport.send(std::move(hello), Clock::now() + options_.send_limit);
  if (sent) co_return true;
  const Duration delay = hello_delay();
  kLog.error("node agent announcement failed ({}), retrying in {}", sent.error().message(),
             to_text(delay));
  co_await pause(delay);
  co_return false;
}

net::Task<WorkloadManager::End> WorkloadManager::serve(Transport& transport) {
  for (;;) {
    if (stopping_) co_return End::kStopped;
    auto received = co_await transport.receive();
    if (stopping_) co_return End::kStopped;
    if (!received) {
      Error error(Errc::kReadMessage, received.error().message());
      co_return co_await reject(transport, std::move(error));
    }
    if (!received->has_value()) {
      kLog.info("process stream ended with eof");
      co_return End::kClosed;
    }
    Result<Request> request = parse(std::move(**received));
    if (!request) co_return co_await reject(transport, request.error());
    const End end = co_await answer(transport, std::move(*request));
    if (end != End::kStopped) co_return end;
  }
}

// kStopped: no reason to end the connection.
net::Task<WorkloadManager::End> WorkloadManager::answer(Transport& transport, Request request) {
  reply_.reset();
  state_.handle(std::move(request), [this](Result<> result) {
    reply_.emplace(std::move(result));
    replied_.wake_all();
  });
  while (!reply_) co_await replied_.wait();  // bounded by StateManager
  const Result<> result = std::move(*reply_);
  update_ready();  // before the agent hears of it

  if (!result && result.error().code == Errc::kProcessMessage)
    co_return co_await reject(transport, result.error());
  std::string ack = encode_ack(result ? std::string() : nack_text(result.error()));
  auto sent = co_await transport.send(std::move(ack), Clock::now() + options_.send_limit);
  if (sent) co_return End::kStopped;
  kLog.warn("failed to answer the node agent: {}; reconnecting", sent.error().message());
  co_return End::kClosed;
}

// Tells the agent why the connection ends.
net::Task<WorkloadManager::End> WorkloadManager::reject(Transport& transport, Error error) {
  const std::string text = nack_text(error);
  const bool protocol_error = error.code == Errc::kProcessMessage;
  if (protocol_error)
    kLog.error(
        "protocol mismatch error while processing stream: {}. Do the versions of ztunnel and "
        "istio-cni fit? "
        "Running pods are served on; reconnecting",
        text);
  else
    kLog.error("{}; reconnecting to the node agent", text);
  // Not ready from here on, whatever becomes of the answer.
  connected_ = false;
  update_ready();
  std::string nack = encode_ack(text);
  auto sent = co_await transport.send(std::move(nack), Clock::now() + options_.send_limit);
  if (!sent) kLog.debug("the node agent did not take the answer: {}", sent.error().message());
  co_return protocol_error ? End::kProtocolError : End::kClosed;
}

net::Task<> WorkloadManager::pause(Duration delay) {
  const Time until = Clock::now() + delay;
  while (!stopping_ && co_await stop_.wait(until)) {
  }
}

net::Task<> WorkloadManager::pause_after(End end, Time connected_at) {
  if (end != End::kProtocolError && Clock::now() - connected_at >= options_.stable_after) {
    reconnect_backoff_.reset();
    co_return;
  }
  const Duration delay = reconnect_backoff_.next();
  kLog.warn("the connection to the node agent ended too soon, reconnecting in {}", to_text(delay));
  co_await pause(delay);
}

Duration WorkloadManager::hello_delay() {
  const double jitter = callbacks_.jitter ? std::clamp(callbacks_.jitter(), -1.0, 1.0) : 0.0;
  const Duration delay = hello_backoff_.next();
  const auto varied = std::chrono::duration<double, Duration::period>(
      static_cast<double>(delay.count()) * (1 + 0.2 * jitter));
  return std::min(std::chrono::duration_cast<Duration>(varied), options_.max_delay);
}

void WorkloadManager::changed() {
  const Time next = state_.next_wakeup();
  if (next == kNever)
    timer_.disarm();
  else
    timer_.arm_at(next);
  update_ready();
  const StateManager::Counts counts = state_.counts();
  if (counts == reported_) return;
  reported_ = counts;
  if (callbacks_.counts) callbacks_.counts(counts);
}

void WorkloadManager::update_ready() {
  const bool ready = connected_ && !stopping_ && state_.ready();
  if (ready == ready_) return;
  ready_ = ready;
  if (ready) hello_backoff_.reset();
  if (callbacks_.ready) callbacks_.ready(ready);
}

void WorkloadManager::drain(UniqueFunction<void()> done) {
  CULVERT_CHECK(!stopping_);
  stopping_ = true;
  drained_ = std::move(done);
  update_ready();
  if (transport_ != nullptr) transport_->interrupt();
  stop_.wake_all();
  state_.drain([this] {
    state_drained_ = true;
    finish();
  });
}

void WorkloadManager::finish() {
  if (!loop_ended_ || !state_drained_ || !drained_) return;
  // Not from here: `done` may destroy this, which a task or the state machine may be in the middle
  // of.
  reactor_.post(std::exchange(drained_, {}));
}

}  // namespace culvert::ztunnel::inpod
