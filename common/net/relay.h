#pragma once

#include "common/base/bytes.h"
#include "common/base/memory_account.h"
#include "common/base/result.h"
#include "common/net/event.h"
#include "common/net/pipe.h"
#include "common/net/socket.h"
#include "common/net/task.h"

#include <cstdint>
#include <memory>

namespace culvert::net {

// Counts bytes of one direction, where they come in or go out.
class Meter {
 public:
  virtual void add(size_t bytes) = 0;

 protected:
  ~Meter() = default;
};

// How a relayed connection ended. Peers that go away (reset, broken pipe) are a normal end and
// leave no error.
struct RelayOutcome {
  Error error;  // code 0: normal
  [[nodiscard]] bool ok() const { return !error.code; }
};

// A relay that can be ended from outside: run() returns soon, with both sides left as they are.
class Abandonable {
 public:
  virtual void abandon() = 0;

 protected:
  ~Abandonable() = default;
};

// True for errors that only say the peer went away.
bool is_disconnect(int errno_value);

// Copies between two TCP sockets, both directions at once, until both have ended. Half-close is
// carried: a FIN on one side becomes a FIN on the other after every byte before it, and the other
// direction goes on. A reset becomes a reset, after what came before it. When one side stops taking
// bytes, the other direction is still carried to its end.
//
// A state machine, not coroutines per direction: per chunk one recv into the worker's scratch
// buffer and one send; only what a socket could not take is kept, and that stops reading from the
// other. A direction that has carried kSpliceAfter goes on through a pipe, without copies
// (splice(2)). What is kept, in a pipe too, is in an account: where that has no room only a little
// is read at a time, and where it refuses both sides are reset (culvert::Errc::kMemory).
class Relay final : public Abandonable, private Socket::Observer, private TurnHook {
 public:
  static constexpr uint64_t kSpliceAfter = 1024 * 1024;

  // `scratch` and `pipes`: the worker's, used only within one call. References must outlive the
  // relay.
  Relay(Socket& client, Socket& server, MutableBytes scratch, PipePool& pipes,
        MemoryAccount& memory, Meter& to_server, Meter& to_client);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Returns when both directions have ended. Destroying the task abandons the copy.
  Task<RelayOutcome> run();
  void abandon() override;

 private:
  struct Direction {
    Socket& from;
    Socket& to;
    Meter& meter;
    ByteQueue pending;           // read, not yet taken by `to`
    std::unique_ptr<Pipe> pipe;  // likewise
    HeldBytes held;              // for what waits in either
    uint64_t moved = 0;
    bool read_ended = false;  // FIN or reset seen on `from`
    bool reset = false;       // it was a reset
    bool write_failed = false;
    bool done = false;
  };
  void on_ready() override { pump(); }
  void on_turn() override { pump(); }
  void pump();
  bool move(Direction& direction);  // true: has more to do now, but let others go first
  bool splice(Direction& direction);
  void take_end(Direction& direction, const IoResult& result);
  void lost(Direction& direction, int error);
  void write(Direction& direction, Bytes bytes);
  void hold(Direction& direction, size_t bytes);
  void finish(Direction& direction);

  MutableBytes scratch_;
  PipePool& pipes_;
  const MemoryAccount& memory_;
  Direction to_server_, to_client_;
  bool abandoned_ = false;
  Event done_;
  Error error_;
};

// Waits until the peer has acknowledged everything that was sent, or `deadline`, reading and
// dropping what it still sends. Closing with unread input makes the kernel reset the connection and
// drop what it has not sent.
Task<> linger(Socket& socket, MutableBytes scratch, Time deadline);

}  // namespace culvert::net
