#pragma once

#include "common/base/once_a_second.h"
#include "common/net/address.h"
#include "common/net/event.h"
#include "common/net/fd.h"

#include <cstdint>

namespace culvert::net {

// Accepts connections from a listening socket on one reactor. Out of descriptors or memory it
// pauses a moment instead of spinning, counts and logs once a second. Destroying it closes the
// socket.
class Listener final : private Watch, private TurnHook {
 public:
  // Called with each accepted socket (non-blocking) and its peer. May destroy the listener.
  using OnAccept = UniqueFunction<void(Fd, SocketAddress)>;
  Listener(Reactor& reactor, Fd fd, OnAccept on_accept);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Accepts everything that waits in the kernel's queue, before the listener is closed: closing
  // resets it.
  void accept_all();
  // Of all listeners that share this port (SO_REUSEPORT), whichever is asked: new connections go to
  // number `index` only, in the order in which they began to listen, as long as there is one of
  // that number. (The kernel puts the last one in the place of one that is closed.) Not possible: a
  // line in the log.
  void divert(uint32_t index);
  // They are shared out again.
  void divert_no_more();
  [[nodiscard]] SocketAddress local_address() const;

 private:
  static constexpr int kAcceptsPerTurn = 64;  // then established connections have their turn
  void on_events(uint32_t events) override;
  void on_turn() override { accept_some(); }
  void accept_some() { accept_up_to(kAcceptsPerTurn); }
  void accept_up_to(int limit);

  Reactor& reactor_;
  Fd fd_;
  OnAccept on_accept_;
  Timer retry_;
  uint64_t errors_ = 0;
  OnceASecond error_log_;
  bool* destroyed_ = nullptr;  // set while calling out
};

}  // namespace culvert::net
