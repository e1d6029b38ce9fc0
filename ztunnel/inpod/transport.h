#pragma once

#include "common/base/result.h"
#include "common/net/event.h"
#include "common/net/fd.h"
#include "common/net/reactor.h"
#include "common/net/task.h"
#include "ztunnel/inpod/protocol.h"

#include <memory>
#include <optional>
#include <string>

namespace culvert::ztunnel::inpod {

// A connected SOCK_SEQPACKET Unix socket: packets in, packets out, each whole. Lives on its
// reactor's thread; one coroutine at a time receives, one sends. Closes on destruction.
class Transport final : private net::Watch {
 public:
  // Errors: the system's, with the path. Connecting a Unix socket never is in progress: either it
  // is done, or it fails. EAGAIN means that the agent's backlog is full, and is an error like any
  // other: such a socket polls as writable without being connected, so waiting for that would only
  // hide the failure.
  static Result<std::unique_ptr<Transport>> connect(net::Reactor& reactor, const std::string& path);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // `packet` is not empty: the other side could not tell it from the end of the stream (CHECK).
  // Errors: the system's, Errc::kTimedOut.
  net::Task<Result<>> send(std::string packet, Time deadline);
  // The next packet with all its descriptors (close-on-exec); nothing at the end of the stream.
  // Errors: the system's, Errc::kCancelled after interrupt() even if a packet waits.
  net::Task<Result<std::optional<Packet>>> receive();
  // Ends receiving, now and later; sending goes on.
  void interrupt();

 private:
  Transport(net::Reactor& reactor, net::Fd fd);
  void on_events(uint32_t events) override;

  net::Reactor& reactor_;
  net::Fd fd_;
  net::Event changed_;
  bool interrupted_ = false;
};

}  // namespace culvert::ztunnel::inpod
