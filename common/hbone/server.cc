#include "common/hbone/server.h"

#include "common/base/log.h"
#include "common/h2/errors.h"
#include "common/h2/handshake.h"

namespace culvert::hbone {
namespace {

const log::Target kLog{"proxy::hbone"};

}  // namespace

Server::Server(net::Reactor& reactor, const ServerOptions& options, h2::Buffers& buffers,
               MemoryAccount& memory, Serve serve)
    : options_(options),
      buffers_(buffers),
      memory_(memory),
      serve_(std::move(serve)),
      closed_(reactor),
      streams_(reactor) {}

Server::~Server() { streams_.cancel(); }

net::Task<Result<>> Server::run(std::unique_ptr<net::Socket> socket,
                                std::unique_ptr<tls::Engine> engine) {
  const Time deadline = Clock::now() + options_.handshake_timeout;
  if (auto done = co_await h2::tls_handshake(*socket, *engine, deadline); !done)
    co_return done.error();
  h2::ConnectionHandler& events = *this;  // a private base, out of make_unique's reach
  connection_ = std::make_unique<h2::Connection>(h2::Role::kServer, std::move(socket),
                                                 std::move(engine), options_.settings,
                                                 options_.keepalive, buffers_, memory_, events);
  connection_->start();
  if (draining_) connection_->drain();
  while (!connection_->closed()) co_await closed_.wait();
  co_await streams_.drained();
  co_await connection_->linger();
  co_return Result<>{};
}

void Server::drain() {
  draining_ = true;
  if (connection_ != nullptr) connection_->drain();
}

void Server::close(h2::ErrorCode code, const Error& reason) {
  if (connection_ != nullptr) connection_->close(code, reason);
}

bool Server::on_stream(h2::StreamId id) {
  auto stream = std::make_unique<Stream>(*connection_);
  stream->accept(id);
  streams_.spawn(serve_(std::move(stream), connection_->peer()));
  return true;
}

void Server::on_closed(const Error& reason) {
  if (reason.code == culvert::make_error_code(culvert::Errc::kMemory))
    kLog.warn("tunnel closed, as the peer does not read: {}", reason.message());
  else
    kLog.debug("tunnel closed: {}", reason.message());
  closed_.wake_all();
}

}  // namespace culvert::hbone
