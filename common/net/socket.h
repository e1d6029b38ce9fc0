#pragma once

#include "common/net/address.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "common/net/fd.h"
#include "common/net/pipe.h"

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>

namespace culvert::net {

// What one non-blocking read or write did.
struct IoResult {
  enum class Status : uint8_t { kDone, kWouldBlock, kEof, kError };
  Status status = Status::kDone;
  size_t bytes = 0;
  int error = 0;  // errno when kError
  [[nodiscard]] bool done() const { return status == Status::kDone; }
};

// Bytes of all parts together.
[[nodiscard]] size_t total(std::span<const iovec> parts);

// Closes an accepted socket with a reset: nobody serves it.
void close_with_reset(Fd socket);

// A connected TCP socket, registered once with the reactor (edge-triggered), used in one of two
// ways: by coroutines (ByteStream), or by a state machine that moves bytes (an Observer with
// recv/send), never both at a time. Closes on destruction; if input was left unread the kernel
// sends a reset.
class Socket final : public ByteStream, private Watch {
 public:
  // Takes over a connected, non-blocking descriptor. Throws std::system_error when epoll refuses
  // it.
  Socket(Reactor& reactor, Fd fd);
  ~Socket() override;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Starts a connect on `fd` (non-blocking, its family fits `address`) and waits for it at most
  // until `deadline`. Errors: the system's, or std::errc::timed_out.
  static Task<Result<std::unique_ptr<Socket>>> connect(Reactor& reactor, Fd fd,
                                                       SocketAddress address, Time deadline);

  // ---- state machines: no waiting, no allocation.
  class Observer {
   public:
    // readable() or writable() turned true. May destroy the socket.
    virtual void on_ready() = 0;

   protected:
    ~Observer() = default;
  };
  // nullptr: back to coroutine use. Edges that came before are kept in readable() and writable().
  void observe(Observer* observer) { observer_ = observer; }
  // False only when the last read showed there is nothing, or the last write that there is no room.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] bool writable() const { return writable_; }
  IoResult recv(MutableBytes to);
  IoResult recv(std::span<const iovec> to);
  IoResult send(Bytes from);
  IoResult send(std::span<const iovec> from);
  // TCP urgent data came at some time. Its one byte is left out of what is read, as for every
  // application that does not ask for it: in place it would corrupt protocols that use it as a mere
  // signal. Nothing goes into a pipe any more.
  [[nodiscard]] bool urgent() const { return urgent_; }
  // From and to a pipe; the pipe is empty before the one and holds something before the other.
  // Not from a socket with urgent data.
  IoResult recv(Pipe& to);
  IoResult send(Pipe& from);
  // FIN after what was sent.
  void finish_output();
  // Sends a reset now and gives up both directions; what was not sent yet is lost.
  void abort();
  // How much the kernel takes beyond what it can send now; what is given later can still be chosen
  // later.
  void limit_unsent(size_t bytes);
  // Bytes of payload in one TCP segment, as the path is known now; 0: unknown.
  [[nodiscard]] size_t segment_size() const;
  // Bytes the kernel still has to get acknowledged, the FIN included.
  [[nodiscard]] size_t unacknowledged() const;

  // ---- coroutines.
  Task<Result<size_t>> read(MutableBytes to, Time deadline = kNever) override;
  Task<Result<>> write(Bytes from, Time deadline = kNever) override;
  Task<Result<>> shutdown_write() override;
  void reset() override { abort(); }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Reactor& reactor() const { return reactor_; }
  [[nodiscard]] SocketAddress local_address() const;

 private:
  struct Connecting {};
  Socket(Reactor& reactor, Fd fd, Connecting);
  void on_events(uint32_t events) override;
  IoResult after_recv(ssize_t n, size_t wanted);
  IoResult after_send(ssize_t n, size_t wanted);

  Reactor& reactor_;
  Fd fd_;
  bool readable_ = true, writable_ = true;
  bool input_closed_ = false;  // FIN or error seen: a short read does not mean "nothing more"
  bool output_finished_ = false;
  bool urgent_ = false;  // seen: a short read does not mean "nothing more" either
  int lost_ = 0;         // why a send failed, if input that ends then was cut off
  Observer* observer_ = nullptr;
  Event changed_;
};

}  // namespace culvert::net
