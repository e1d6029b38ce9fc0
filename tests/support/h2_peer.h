#pragma once

#include "common/h2/session.h"
#include "common/net/byte_stream.h"
#include "common/net/event.h"
#include "common/net/reactor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::test {

// Both directions of a byte stream in memory: the codec under test has a ByteStream of it, the
// script has the queues. Outlives the stream.
struct Wire {
  explicit Wire(net::Reactor& of) : reactor(of), readable(of), writable(of) {}
  // What the codec reads and writes through; begins afresh with empty queues.
  std::unique_ptr<net::ByteStream> stream();
  void wake() {
    readable.wake_all();
    writable.wake_all();
  }

  net::Reactor& reactor;
  ByteQueue to_codec, to_peer;
  size_t capacity = SIZE_MAX;  // of to_peer: the codec's writes wait beyond it
  size_t max_read = SIZE_MAX;  // the codec gets at most so much at a time
  bool end_input = false;      // the codec reads the end after what is queued
  bool fail_input = false;     // its reads fail instead
  bool fail_output = false;
  bool shut_down = false;  // by the codec
  bool reset = false;      // likewise
  bool destroyed = false;
  net::Event readable, writable;
};

using FieldList = std::vector<std::pair<std::string, std::string>>;

// A scripted peer in HTTP/2, client or server, at the other end of a Wire: nothing moves but by
// pump(). Answers nothing by itself.
class H2Peer final : private h2::SessionHandler {
 public:
  class Stream final : public h2::StreamHandler {
   public:
    Stream(H2Peer& peer, h2::StreamId id) : peer_(peer), id_(id) {}
    // Body, and its end.
    void send(std::string_view data);
    void end(const FieldList& trailers = {});
    void respond(const FieldList& fields, bool end_stream = false);
    void inform(const FieldList& fields);
    void reset(h2::ErrorCode code);

    [[nodiscard]] std::string get(std::string_view name) const;
    [[nodiscard]] std::string trailer(std::string_view name) const;
    [[nodiscard]] h2::StreamId id() const { return id_; }
    [[nodiscard]] size_t unsent() const { return out_.size(); }

    std::optional<h2::Head> head, trailers;
    bool head_ended = false;
    std::string data;
    bool ended = false;
    bool reset_received = false;
    std::optional<h2::ErrorCode> closed;

   private:
    friend class H2Peer;
    void on_head(h2::Head received, bool end) override;
    void on_data(Bytes bytes) override;
    void on_trailers(h2::Head received) override { trailers = std::move(received); }
    void on_end() override { ended = true; }
    void on_reset_received() override { reset_received = true; }
    void on_closed(h2::ErrorCode code) override { closed = code; }
    Produced produce(MutableBytes to) override;

    H2Peer& peer_;
    h2::StreamId id_;
    std::string out_;
    bool end_ = false;
    FieldList trailers_out_;
  };

  H2Peer(Wire& wire, h2::Role role, const h2::Settings& settings = {});

  // Client.
  Stream& open(const FieldList& fields, bool end);
  // Server: the n-th request that came.
  [[nodiscard]] Stream& request(size_t n) { return *requests_.at(n); }
  [[nodiscard]] size_t requests() const { return requests_.size(); }

  // Moves what there is, both ways. False: the session broke.
  bool pump();
  // Turns the reactor and pumps until `done`; false (and a failure) after 10 s.
  template <class Condition>
  bool until(Condition done) {
    const Time limit = Clock::now() + std::chrono::seconds(10);
    for (;;) {
      pump();
      if (done()) return true;
      if (Clock::now() >= limit) break;
      wire_.reactor.turn(std::chrono::milliseconds(1));
    }
    ADD_FAILURE() << "the condition did not come true within 10 s";
    return false;
  }
  // A few rounds, for what must not happen.
  void settle();

  h2::Session session;
  bool auto_consume = true;
  size_t goaways = 0;
  std::optional<h2::ErrorCode> goaway_code;
  size_t settings = 0;
  std::optional<Error> broken;

 private:
  h2::StreamHandler* on_stream(h2::StreamId id) override;
  void on_goaway(h2::ErrorCode code, h2::StreamId last) override;
  void on_ping_ack() override {}
  void on_settings() override { ++settings; }

  Wire& wire_;
  std::map<h2::StreamId, std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> requests_;
};

}  // namespace culvert::test
