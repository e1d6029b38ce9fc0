#include "waypoint/tunnel/tcp_relay.h"

#include <array>

namespace culvert::waypoint {

TcpRelay::TcpRelay(net::Reactor& reactor, net::ByteStream& client, net::ByteStream& server,
                   std::chrono::milliseconds idle)
    : client_{client, nullptr, 0},
      server_{server, nullptr, 0},
      idle_(idle),
      last_activity_(Clock::now()),
      changed_(reactor),
      tasks_(reactor) {}

void TcpRelay::count(metrics::Counter* from_client, metrics::Counter* from_server) {
  client_.counter = from_client;
  server_.counter = from_server;
}

net::Task<TcpRelay::End> TcpRelay::run() {
  tasks_.spawn(copy(client_, server_));
  if (!ended_) tasks_.spawn(copy(server_, client_));
  while (!ended_ && open_ > 0) {
    const Time deadline = idle_.count() > 0 ? last_activity_ + idle_ : kNever;
    if (Clock::now() >= deadline) {
      end_ = End::kIdle;
      break;
    }
    co_await changed_.wait(deadline);
  }
  tasks_.cancel();
  if (end_ != End::kClosed) {
    client_.stream.reset();
    server_.stream.reset();
  }
  co_return end_;
}

void TcpRelay::failed(const Side& side) {
  if (ended_) return;
  ended_ = true;
  end_ = &side == &client_ ? End::kClientFailed : End::kServerFailed;
  changed_.wake_all();
}

void TcpRelay::takes_no_more(const Side& side) {
  if (--open_ == 0) failed(side);  // else reading from it will say how it ended
}

net::Task<> TcpRelay::copy(Side& from, Side& to) {
  std::array<uint8_t, kBuffer> buffer;
  for (;;) {
    const auto n = co_await from.stream.read(buffer, kNever);
    if (!n) co_return failed(from);
    last_activity_ = Clock::now();
    if (*n == 0) {
      if (!co_await to.stream.shutdown_write()) co_return takes_no_more(to);
      break;
    }
    from.bytes += *n;
    if (from.counter != nullptr) from.counter->add(*n);
    if (!co_await to.stream.write(Bytes(buffer.data(), *n), kNever)) co_return takes_no_more(to);
    last_activity_ = Clock::now();
  }
  --open_;
  changed_.wake_all();
}

}  // namespace culvert::waypoint
