#pragma once

#include "common/base/bytes.h"
#include "common/base/memory_account.h"
#include "common/h2/connection.h"
#include "common/net/event.h"
#include "common/net/task.h"

#include <cstdint>
#include <optional>
#include <span>

namespace culvert::hbone {

// One CONNECT stream of a tunnel, on either side: a byte pipe with a head in each direction. Owned
// by the coroutine of its user connection. Destroying it before both ends are over resets it
// (CANCEL).
//
// Bytes go through an Observer: what it does not take at once is kept here, and the peer's window
// stays closed by that much. Without an observer everything is kept, so nothing is lost between the
// head and attach(). What is kept is in the connection's account; where that refuses, the stream
// fails with its error (culvert::Errc::kMemory), and the peer gets ENHANCE_YOUR_CALM: Istio's
// ztunnel takes NO_ERROR and CANCEL for a clean end, and CONNECT_ERROR is the application's own
// reset.
class Stream final : private h2::TunnelStream {
 public:
  class Observer {
   public:
    // Takes from the front of `pieces`, which follow each other, what it can now; returns how many
    // bytes. The rest comes again after Stream::take_input().
    virtual size_t on_data(std::span<const iovec> pieces) = 0;
    // Clean end of input, after all data.
    virtual void on_end() = 0;
    // The stream is gone before its time, after all data that came first; last call. `error` says
    // why.
    virtual void on_reset(const Error& error) = 0;
    // See h2::TunnelStream::produce. Stream::more_output() asks for another call.
    virtual h2::TunnelStream::Produced produce(std::span<const iovec> to) = 0;

   protected:
    ~Observer() = default;
  };

  // A stream of `connection`, which may die before it: then it behaves as reset.
  explicit Stream(h2::Connection& connection);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Client: sends the request head. Error: the connection takes no streams (retry on another one).
  Result<> open(std::span<const h2::Field> fields);
  // Server: the stream that ConnectionHandler::on_stream announced.
  void accept(h2::StreamId id);

  // The peer's head, when it has come. Errors: kStreamReset, kRefused, kConnectionLost, kTimedOut,
  // culvert::Errc::kMemory.
  net::Task<Result<const h2::Head*>> head(Time deadline);
  // It will not be asked for again: its memory goes. Pointers to it are invalid from now on.
  void drop_head() { head_.emplace(); }
  // Server: answers. With `end` no data follows and the input that may still come is refused.
  void respond(std::span<const h2::Field> fields, bool end);

  // Starts (nullptr: stops) the exchange of bytes; hands over what was kept.
  void attach(Observer* observer);
  void take_input();
  void more_output();
  void reset(h2::ErrorCode code);

  // Of input that nobody took yet, with its memory; none once it is taken.
  [[nodiscard]] size_t held_bytes() const { return kept_.capacity(); }
  [[nodiscard]] net::Reactor& reactor() const { return changed_.reactor(); }

 private:
  void on_head(h2::Head head, bool end) override;
  void on_data(std::span<const iovec> pieces) override;
  void on_end() override;
  void on_closed(h2::ErrorCode code) override;
  Produced produce(std::span<const iovec> to) override;
  void deliver_end();
  void give_up(const Error& refusal);

  h2::Connection* connection_;  // null once the stream is closed
  bool opened_ = false;
  Observer* observer_ = nullptr;
  std::optional<h2::Head> head_;
  ByteQueue kept_;
  HeldBytes held_;  // for it
  bool input_ended_ = false;
  bool output_ended_ = false;
  bool end_delivered_ = false;
  std::optional<Error> failure_;  // closed before both directions were over
  net::Event changed_;
};

}  // namespace culvert::hbone
