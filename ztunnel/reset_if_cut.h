#pragma once

#include "common/net/socket.h"

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

}  // namespace culvert::ztunnel
