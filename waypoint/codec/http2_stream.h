#pragma once

#include "common/net/event.h"
#include "waypoint/codec/exchange.h"
#include "waypoint/codec/http2_transport.h"

#include <optional>

namespace culvert::waypoint {

// One stream of an HTTP/2 connection, what both sides of exchanges have in common: bodies in both
// directions, and how it ends. What arrives is kept until it is read, at most the stream's window;
// the window opens again as it is handed over. Worker thread.
class Http2Stream : public h2::StreamHandler, public BodyReader {
 public:
  // `transport` outlives the stream unless the stream was told of its end (on_closed or lost()).
  explicit Http2Stream(Http2Transport& transport);
  ~Http2Stream() override;  // no more callbacks; does not reset
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  net::Task<Result<BodyPiece>> read(Time deadline) override;
  // Returns when all of `data` is in frames on their way.
  net::Task<Result<>> write_body(Bytes data, Time deadline);
  // Returns when END_STREAM is on its way.
  net::Task<Result<>> finish_body(const http::Headers& trailers, Time deadline);
  // RST_STREAM; both directions fail from now on. Once; later calls do nothing.
  void cancel(h2::ErrorCode code);

 protected:
  // Before anything else: the stream exists in the session from now on.
  void attach(h2::StreamId id) { id_ = id; }
  [[nodiscard]] bool attached() const { return id_ >= 0; }
  void detach();
  // The head said so: nothing follows on our side.
  void end_output() { output_ended_ = true; }
  // The connection is gone, for a stream that is not in the session.
  void lost(Error error);
  void wake();
  [[nodiscard]] bool closed() const { return transport_ == nullptr; }
  [[nodiscard]] bool input_ended() const { return input_ended_; }
  [[nodiscard]] bool output_ended() const { return output_ended_; }
  [[nodiscard]] bool ended_by_data() const { return ended_by_data_; }
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  void fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }
  [[nodiscard]] Http2Transport& transport() { return *transport_; }  // unless closed()
  [[nodiscard]] h2::StreamId id() const { return id_; }
  // The stream is over; `this` must not be destroyed within the call.
  virtual void on_over() = 0;

  net::Event changed_;  // a head came, a byte, an end: one reader waits
  ServerExchange::Counts counts_;

 private:
  void on_data(Bytes data) override;
  void on_trailers(h2::Head trailers) override;
  void on_end() override;
  void on_reset_received() override { reset_received_ = true; }
  void on_closed(h2::ErrorCode code) override;
  Produced produce(MutableBytes to) override;
  [[nodiscard]] Error closed_error(h2::ErrorCode code) const;

  Http2Transport* transport_;  // null once the stream is over
  h2::StreamId id_ = -1;
  ByteQueue arrived_, handed_over_;
  http::Headers trailers_in_, trailers_out_;
  Bytes writing_;  // what a pending write has left
  bool input_ended_ = false;
  bool finish_ = false;         // END_STREAM is wanted
  bool output_ended_ = false;   // and stands in a frame
  bool ended_by_data_ = false;  // in a DATA frame
  bool reset_received_ = false;
  std::optional<Error> failure_;  // over before both directions were
  net::Event written_;
};

}  // namespace culvert::waypoint
