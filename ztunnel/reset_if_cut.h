#pragma once

#include "common/net/fd.h"
#include "common/net/socket.h"

#include <utility>

namespace culvert::ztunnel {

// An application's socket while it is relayed. If the relay is cut short (a policy change, a
// removed pod, the deadline of a drain), the socket is reset and not just closed: a FIN would tell
// the application that it has everything. A local of the relaying coroutine, declared before the
// relay and after the socket.
class ResetIfCut {
 public:
  explicit ResetIfCut(net::Socket& socket) : socket_(socket) {}
  ~ResetIfCut() {
    if (!ended_) socket_.abort();
  }
  ResetIfCut(const ResetIfCut&) = delete;
  ResetIfCut& operator=(const ResetIfCut&) = delete;

  // The relay ran to its own end.
  void ended() { ended_ = true; }

 private:
  net::Socket& socket_;
  bool ended_ = false;
};

// An accepted connection until there is something to relay. If nothing ever is (it was refused, its
// destination cannot be reached, the pod was removed meanwhile), it is reset, as a refused
// connection would be without us: to a client that waits for the server to speak first, a FIN is an
// empty answer.
class ResetUnlessServed {
 public:
  explicit ResetUnlessServed(net::Fd socket) : socket_(std::move(socket)) {}
  ~ResetUnlessServed() {
    if (socket_) net::close_with_reset(std::move(socket_));
  }
  ResetUnlessServed(const ResetUnlessServed&) = delete;
  ResetUnlessServed& operator=(const ResetUnlessServed&) = delete;

  [[nodiscard]] int get() const { return socket_.get(); }
  // It is served from now on.
  [[nodiscard]] net::Fd take() { return std::move(socket_); }

 private:
  net::Fd socket_;
};

}  // namespace culvert::ztunnel
