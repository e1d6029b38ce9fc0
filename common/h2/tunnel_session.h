#pragma once

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/memory_account.h"
#include "common/base/result.h"
#include "common/h2/forced_resets.h"
#include "common/h2/frame_reader.h"
#include "common/h2/headers.h"
#include "common/h2/hpack.h"
#include "common/h2/role.h"
#include "common/h2/tunnel_stream.h"
#include "common/h2/window_growth.h"
#include "common/tls/record_batch.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

// HTTP/2 (RFC 9113) for tunnels, without I/O: what HBONE needs and nothing else, made for moving
// bytes. Received DATA is handed on as it arrives, wherever frames begin and end; output is read
// from applications straight into TLS records; a stream is one object; an idle session holds no
// buffer. General HTTP/2, as the waypoint's requests need it, is h2::Session.
namespace culvert::h2 {

// Told about the connection. Called from feed() only.
class TunnelHandler {
 public:
  // Server: a request begins; its head follows. True: it was given its stream by accept(); false
  // refuses it (REFUSED_STREAM).
  virtual bool on_stream(StreamId id) = 0;
  virtual void on_goaway(ErrorCode code, StreamId last) = 0;
  virtual void on_ping_ack() = 0;  // of ping()
  // Server: the peer has read notify_shutdown(), and whatever it sent before is here.
  virtual void on_shutdown_noticed() = 0;

 protected:
  ~TunnelHandler() = default;
};

struct TunnelSettings {
  // SETTINGS_INITIAL_WINDOW_SIZE, and how far a stream's window grows as the measured need does.
  uint32_t initial_window = 256U << 10;
  uint32_t max_window = 4U << 20;
  // Returned when bytes arrive, so a stalled stream does not stall the others: bounds only what is
  // on the way.
  uint32_t connection_window = 16U << 20;
  uint32_t max_frame_size = 1U << 20;
  uint32_t max_header_list = 16384;
  std::optional<uint32_t> max_concurrent_streams;  // announced and enforced; server
  uint32_t assumed_peer_streams = 100;             // until the peer's SETTINGS; client
};

// Limits, beyond which the peer floods us and the connection ends with ENHANCE_YOUR_CALM: 1,000
// acknowledgements (SETTINGS, PING) that it makes us send and does not read; 10,000 frames in all;
// 1,000 DATA frames in a row that carry nothing; 1,000 streams that it reset before we answered, or
// that its errors made us reset, beyond those that ended well; 64 CONTINUATION frames for one head.
class TunnelSession final : private FrameSink {
 public:
  // `memory` outlives it: asked how much of it is left, which decides how far windows grow and how
  // large batches are.
  TunnelSession(Role role, const TunnelSettings& settings, const MemoryAccount& memory,
                TunnelHandler& handler);
  ~TunnelSession();
  TunnelSession(const TunnelSession&) = delete;
  TunnelSession& operator=(const TunnelSession&) = delete;

  // Takes all of `bytes`, which stay where they are until end_of_read(). Error: the peer broke the
  // protocol or flooded us; GOAWAY is queued, fill once more and close.
  Result<> feed(MutableBytes bytes);
  // What was fed is about to go: the rest of it is handed on. After each read.
  void end_of_read();
  // Frames into `batch`, control frames first, then streams that have little to say, then the
  // others in turn. Stops when the batch is full; sooner where bulk could keep others waiting, or
  // memory is short, as we hold what the socket does not take of it.
  void fill(tls::RecordBatch& batch);
  [[nodiscard]] bool wants_write() const;
  // GOAWAY was sent (not only the notice) or has come, and no stream is left.
  [[nodiscard]] bool finished() const;

  // Client. Error kGoingAway after GOAWAY or when stream ids ran out. Beyond the peer's limit of
  // streams the request is held back until others end.
  Result<> open(std::span<const Field> fields, TunnelStream& stream);
  // Server, within on_stream: `stream` serves the request. All calls for it may follow at once.
  void accept(StreamId id, TunnelStream& stream);
  // Server: the response head; with `end` the stream's output is over, and a request that is still
  // being sent is stopped with RST_STREAM(NO_ERROR) behind it.
  void respond(TunnelStream& stream, std::span<const Field> fields, bool end);
  // `n` bytes of on_data were taken.
  void consume(TunnelStream& stream, size_t n);
  // produce() has something again.
  void resume(TunnelStream& stream);
  void reset(TunnelStream& stream, ErrorCode code);
  // No more callbacks for this stream; it is reset unless it had ended or was reset: with
  // CONNECT_ERROR once it carries bytes (RFC 9113 section 8.5), as Istio's ztunnel takes CANCEL for
  // a clean end, else with CANCEL.
  void detach(TunnelStream& stream);

  void ping();
  // Server. Graceful shutdown, first step (RFC 9113 section 6.8): see Session::notify_shutdown.
  void notify_shutdown();
  // Second step, or at once: GOAWAY with the last stream taken. Streams in progress go on.
  void goaway(ErrorCode code);
  // The transport is gone: on_closed(code) for every stream.
  void fail(ErrorCode code);

  [[nodiscard]] size_t streams() const { return streams_.size() + held_.size(); }
  [[nodiscard]] uint32_t peer_max_streams() const { return peer_max_streams_; }
  // Client: open() would work, now or after others end.
  [[nodiscard]] bool accepts_requests() const;
  // At most kIdleBytes when idle: room for the window updates and pings of a turn of bulk, which
  // would otherwise be an allocation in every turn.
  static constexpr size_t kIdleBytes = 64;
  [[nodiscard]] size_t held_bytes() const {
    return control_.capacity() + block_.capacity() + reader_.held_bytes();
  }

 private:
  using StreamList = net::intrusive::list<TunnelStream, net::intrusive::constant_time_size<false>>;

  // ---- input (tunnel_input.cc)
  Result<> on_frame_header(const FrameHeader& header) override;
  Result<> on_data_piece(MutableBytes piece) override;
  Result<> on_data_end(const FrameHeader& header, size_t overhead) override;
  Result<> on_frame(const FrameHeader& header, Bytes payload) override;
  Result<> begin_data(const FrameHeader& header);
  Result<> take_headers(const FrameHeader& header, Bytes payload);
  Result<> take_continuation(const FrameHeader& header, Bytes payload);
  Result<> take_block(Bytes block);
  Result<> take_request(DecodedHead decoded, bool end);
  Result<> take_head_of(TunnelStream& stream, DecodedHead decoded, bool end);
  Result<> take_settings(const FrameHeader& header, Bytes payload);
  Result<> apply_setting(Setting id, uint32_t value);
  Result<> take_ping(const FrameHeader& header, Bytes payload);
  Result<> take_goaway(Bytes payload);
  Result<> take_window_update(const FrameHeader& header, Bytes payload);
  Result<> take_priority(const FrameHeader& header, Bytes payload);
  Result<> take_rst_stream(const FrameHeader& header, Bytes payload);
  void end_input_of(TunnelStream& stream);
  void hand_on();
  Result<> reset_by_error(TunnelStream& stream, ErrorCode code);
  Result<> forced_reset();
  Result<> break_off(ErrorCode code, const char* what);
  Result<> flood();

  // ---- output (tunnel_output.cc)
  void fill_control(tls::RecordBatch& batch);
  bool fill_data(tls::RecordBatch& batch, TunnelStream& stream);
  void schedule(TunnelStream& stream);
  [[nodiscard]] TunnelStream* next_ready(const tls::RecordBatch& batch);
  [[nodiscard]] bool small_batches() const;
  void note_produced(TunnelStream& stream, size_t bytes, size_t offered);

  // ---- streams (tunnel_session.cc)
  struct Held {
    TunnelStream* stream;
    std::vector<std::pair<Head::Entry, bool>> fields;  // with Field::no_index
  };
  void send_request(std::span<const Field> fields, TunnelStream& stream);
  void release_held();
  bool drop_held(TunnelStream& stream);
  TunnelStream* find(StreamId id);
  void add(StreamId id, TunnelStream& stream);
  void close_if_over(TunnelStream& stream);
  void forget(TunnelStream& stream);
  void remove(TunnelStream& stream, ErrorCode code);
  void tell_closed();
  void queue_reset(TunnelStream& stream, ErrorCode code);
  void close_later(TunnelStream& stream, ErrorCode code);
  [[nodiscard]] bool was_used(StreamId id) const;
  void skip_to(StreamId id);
  [[nodiscard]] bool was_skipped(StreamId id) const;
  void measure();
  Result<> count_queued(bool acknowledgement);

  const Role role_;
  const TunnelSettings settings_;
  const MemoryAccount& memory_;
  TunnelHandler& handler_;
  FrameReader reader_;
  HeadEncoder encoder_;
  HeadDecoder decoder_;
  boost::unordered_flat_map<StreamId, TunnelStream*> streams_;
  std::vector<Held> held_;  // requests beyond the peer's limit

  // ---- input
  TunnelStream* data_stream_ = nullptr;   // of the DATA frame that is arriving; null: nobody's
  TunnelStream* gathered_for_ = nullptr;  // whose pieces are to be handed on
  std::array<iovec, 64> gathered_;
  size_t gathered_count_ = 0;
  ByteQueue block_;            // a header block in several frames
  StreamId block_stream_ = 0;  // whose; 0: none is open
  bool block_end_ = false;     // with END_STREAM
  int continuations_ = 0;
  StreamId last_peer_stream_ = 0;
  // Server: ids that the peer passed over; no stream may come of them any more (RFC 9113
  // section 5.1.1). The last such ranges; peers that use more than one or two are not honest.
  struct Skipped {
    StreamId first = 0, last = -1;
  };
  std::array<Skipped, 4> skipped_;
  StreamId last_taken_ = 0;  // of the peer's, before goaway_sent_
  int useless_ = 0;
  ForcedResets forced_resets_;
  bool settings_received_ = false;

  // ---- output
  ByteQueue control_;                         // whole frames, in order
  size_t queued_ = 0, acknowledgements_ = 0;  // frames the peer caused, since control_ was empty
  StreamList light_, bulk_;                   // that can produce now
  StreamList closing_;                        // reset: told once the reset is on its way
  uint64_t bulk_in_a_row_ = UINT64_MAX;       // bytes of bulk since another stream spoke
  bool saving_ = false;                       // memory is short: batches are small
  TunnelStream* producing_ = nullptr;         // asked for output; null again if that was its end
  int64_t send_window_ = kDefaultWindow;
  int64_t peer_initial_window_ = kDefaultWindow;
  uint32_t peer_max_frame_size_ = kDefaultMaxFrameSize;
  uint32_t peer_max_streams_;
  StreamId next_id_ = 1;

  // ---- the connection
  int64_t receive_window_;         // what the peer may still send
  uint32_t unreturned_ = 0;        // of it, arrived
  const uint32_t initial_window_;  // of a stream, as announced
  WindowGrowth growth_;            // what streams' windows grow to as they are given back
  uint64_t received_ = 0;          // bytes of DATA
  bool noticing_ = false;          // the PING of notify_shutdown() is not answered
  bool goaway_sent_ = false;       // other than the notice
  bool goaway_received_ = false;
  bool failed_ = false;
};

}  // namespace culvert::h2
