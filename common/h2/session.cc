#include "common/h2/session.h"

#include "common/h2/errors.h"
#include "common/h2/forced_resets.h"
#include "common/h2/frame.h"
#include "common/h2/limits.h"
#include "common/h2/nghttp2_field.h"
#include "common/h2/pings.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

namespace culvert::h2 {
namespace {

// With its frame header, one DATA frame fills exactly one TLS record (RFC 8446 section 5.1: 2^14
// bytes).
constexpr size_t kDataPayload = 16384 - kFrameHeaderSize;
// nghttp2 would refuse to send a head beyond 64 KiB, and heads grow on their way through a proxy.
constexpr size_t kMaxSentHeaderBlock = 512 * 1024;

struct SessionDeleter {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};

}  // namespace

struct Session::State {
  struct Stream {
    StreamHandler* handler = nullptr;
    Head incoming;  // the block being received
    size_t incoming_size = 0;
    bool head_done = false;
    bool too_large = false;
    bool input_ended = false;
    int informational = 0;  // 1xx heads
    bool detached = false;
  };

  State(Role role_in, const Settings& settings_in, SessionHandler& handler_in)
      : role(role_in), settings(settings_in), handler(handler_in) {}

  Stream* find(StreamId id) {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : &found->second;
  }
  int useless_frame() {
    return ++useless > limits::kUselessFrames ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  // A peer that makes us reset streams works around limits on its own resets. A new head does not
  // clear the count, as each reset needs one.
  int forced_reset() {
    return !failed && !forced_resets.count(Clock::now()) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  // ---- nghttp2 callbacks
  int begin_headers(const nghttp2_frame& frame);
  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  int frame_received(const nghttp2_frame& frame);
  void head_received(const nghttp2_frame& frame);
  void refuse_after(StreamId last);
  void ping_answered(const uint8_t* payload);
  int data_chunk(StreamId id, Bytes data);
  int frame_sent(const nghttp2_frame& frame);
  int invalid_field(StreamId id);
  int stream_closed(StreamId id, uint32_t code);
  ssize_t read_data(StreamId id, size_t length, uint32_t* flags);
  int send_data(const uint8_t* frame_header, size_t length);

  Role role;
  Settings settings;
  SessionHandler& handler;
  std::unique_ptr<nghttp2_session, SessionDeleter> session;
  std::unordered_map<StreamId, Stream> streams;
  ByteQueue* out = nullptr;  // while draining
  size_t out_limit = 0;
  int useless = 0;  // frames since the last useful one
  ForcedResets forced_resets;
  bool failed = false;
};

namespace {

Session::State& state_of(void* user) { return *static_cast<Session::State*>(user); }

ssize_t on_read_data(nghttp2_session*, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                     nghttp2_data_source*, void* user) {
  return state_of(user).read_data(id, length, flags);
}

nghttp2_data_provider provider() {
  nghttp2_data_provider data{};
  data.read_callback = on_read_data;
  return data;
}

nghttp2_session_callbacks* make_callbacks() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        return state_of(user).begin_headers(*frame);
      });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks,
      [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
         const uint8_t* value, size_t value_size, uint8_t, void* user) {
        return state_of(user).header(*frame, as_text({name, name_size}),
                                     as_text({value, value_size}));
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        return state_of(user).frame_received(*frame);
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* user) { return state_of(user).data_chunk(id, {data, size}); });
  nghttp2_session_callbacks_set_on_frame_send_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
        return state_of(user).frame_sent(*frame);
      });
  nghttp2_session_callbacks_set_on_invalid_header_callback2(
      callbacks,
      [](nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf*, nghttp2_rcbuf*, uint8_t,
         void* user) { return state_of(user).invalid_field(frame->hd.stream_id); });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t id, uint32_t code, void* user) {
        return state_of(user).stream_closed(id, code);
      });
  nghttp2_session_callbacks_set_send_data_callback(
      callbacks,
      [](nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length, nghttp2_data_source*,
         void* user) { return state_of(user).send_data(head, length); });
  nghttp2_session_callbacks_set_data_source_read_length_callback(
      callbacks,
      [](nghttp2_session*, uint8_t, int32_t, int32_t session_window, int32_t stream_window,
         uint32_t, void*) -> ssize_t {
        return std::min({static_cast<ssize_t>(kDataPayload), static_cast<ssize_t>(session_window),
                         static_cast<ssize_t>(stream_window)});
      });
  return callbacks;
}

nghttp2_option* make_options(const Settings& settings) {
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_peer_max_concurrent_streams(options, settings.assumed_peer_streams);
  nghttp2_option_set_max_send_header_block_length(options, kMaxSentHeaderBlock);
  return options;
}

}  // namespace

Session::Session(Role role, const Settings& settings, SessionHandler& handler)
    : state_(std::make_unique<State>(role, settings, handler)) {
  // The table of callbacks is the same for every session.
  static nghttp2_session_callbacks* const callbacks = make_callbacks();
  nghttp2_option* options = make_options(settings);
  nghttp2_session* raw = nullptr;
  const int made = role == Role::kClient
                       ? nghttp2_session_client_new2(&raw, callbacks, state_.get(), options)
                       : nghttp2_session_server_new2(&raw, callbacks, state_.get(), options);
  nghttp2_option_del(options);
  CULVERT_CHECK(made == 0);  // only out of memory
  state_->session.reset(raw);

  std::array<nghttp2_settings_entry, 6> entries{};
  size_t count = 0;
  const auto add = [&](int32_t id, uint32_t value) { entries[count++] = {id, value}; };
  add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window);
  add(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, settings.max_frame_size);
  add(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings.max_header_list);
  if (role == Role::kClient) add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  if (settings.max_concurrent_streams)
    add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, *settings.max_concurrent_streams);
  if (settings.extended_connect) add(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
  nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, entries.data(), count);
  nghttp2_session_set_local_window_size(raw, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(settings.connection_window));
}

Session::~Session() = default;

// ---- receiving

int Session::State::begin_headers(const nghttp2_frame& frame) {
  const StreamId id = frame.hd.stream_id;
  if (role == Role::kServer && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    streams[id];  // the handler may be gone before on_stream returns, and detach then finds it
    StreamHandler* target = handler.on_stream(id);
    Stream* stream = find(id);
    if (target == nullptr) {
      streams.erase(id);
      nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    if (stream != nullptr && !stream->detached) stream->handler = target;
  }
  if (Stream* stream = find(id)) {
    stream->incoming = {};
    stream->incoming_size = 0;
  }
  return 0;
}

int Session::State::header(const nghttp2_frame& frame, std::string_view name,
                           std::string_view value) {
  Stream* stream = find(frame.hd.stream_id);
  if (stream == nullptr) return 0;
  // RFC 9113 section 6.5.2: a field counts its name, its value and 32. Decoded size, so that
  // compression cannot multiply a small block into a large one.
  stream->incoming_size += name.size() + value.size() + 32;
  if (stream->incoming_size > settings.max_header_list) {
    stream->too_large = true;
    stream->incoming.fields.clear();
    return 0;
  }
  if (!stream->too_large)
    stream->incoming.fields.push_back({std::string(name), std::string(value)});
  return 0;
}

// nghttp2 would drop the field and go on with the rest of the head. RFC 9113 section 8.2.1: the
// message is malformed.
int Session::State::invalid_field(StreamId id) {
  nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void Session::State::head_received(const nghttp2_frame& frame) {
  const StreamId id = frame.hd.stream_id;
  Stream* stream = find(id);
  if (stream == nullptr) return;
  if (stream->too_large) {
    const bool answerable = !stream->head_done && stream->handler != nullptr;
    if (answerable && stream->handler->on_head_too_large()) return;
    nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  const bool end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  Head head = std::move(stream->incoming);
  stream->incoming = {};
  StreamHandler* target = stream->handler;
  if (target == nullptr) return;
  if (stream->head_done) return target->on_trailers(std::move(head));
  if (role == Role::kClient) {
    // 1xx is not the answer; another head follows (RFC 9110 section 15.2).
    const auto status = head.get(":status");
    if (status && status->size() == 3 && status->front() == '1') {
      if (++stream->informational > limits::kInformational)
        nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
  }
  stream->head_done = true;
  target->on_head(std::move(head), end);
}

int Session::State::frame_received(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      head_received(frame);
      break;
    case NGHTTP2_DATA:
      if (frame.hd.length == 0 && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return useless_frame();
      break;
    case NGHTTP2_RST_STREAM:
      if (Stream* stream = find(frame.hd.stream_id);
          stream != nullptr && stream->handler != nullptr)
        stream->handler->on_reset_received();
      return 0;
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) handler.on_settings();
      return 0;
    case NGHTTP2_PING:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) ping_answered(frame.ping.opaque_data);
      return 0;
    case NGHTTP2_GOAWAY:
      refuse_after(frame.goaway.last_stream_id);
      handler.on_goaway(static_cast<ErrorCode>(frame.goaway.error_code),
                        frame.goaway.last_stream_id);
      return 0;
    default:
      return 0;
  }
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    Stream* stream = find(frame.hd.stream_id);
    if (stream != nullptr) stream->input_ended = true;
    if (stream != nullptr && stream->handler != nullptr && stream->head_done)
      stream->handler->on_end();
  }
  return 0;
}

void Session::State::ping_answered(const uint8_t* payload) {
  if (std::equal(pings::kShutdown.begin(), pings::kShutdown.end(), payload))
    handler.on_shutdown_noticed();
  else
    handler.on_ping_ack();
}

// Requests the peer did not take. Of those it holds back nghttp2 would tell only once there is room
// for them.
void Session::State::refuse_after(StreamId last) {
  std::vector<StreamId> refused;
  for (const auto& [id, stream] : streams)
    if (role == Role::kClient && id > last) refused.push_back(id);
  for (const StreamId id : refused) stream_closed(id, NGHTTP2_REFUSED_STREAM);
}

int Session::State::data_chunk(StreamId id, Bytes data) {
  useless = 0;
  nghttp2_session_consume_connection(session.get(), data.size());
  Stream* stream = find(id);
  if (stream != nullptr && stream->handler != nullptr)
    stream->handler->on_data(data);
  else
    nghttp2_session_consume_stream(session.get(), id, data.size());
  return 0;
}

int Session::State::stream_closed(StreamId id, uint32_t code) {
  const auto found = streams.find(id);
  if (found == streams.end()) return 0;
  StreamHandler* target = found->second.handler;
  streams.erase(found);
  if (code == NGHTTP2_NO_ERROR) forced_resets.ended_well();
  if (target != nullptr) target->on_closed(static_cast<ErrorCode>(code));
  return 0;
}

Result<> Session::feed(Bytes bytes) {
  if (state_->failed) return Error(Errc::kProtocol);
  const ssize_t taken = nghttp2_session_mem_recv(state_->session.get(), bytes.data(), bytes.size());
  const bool unread =
      state_->role == Role::kServer &&
      nghttp2_session_get_outbound_queue_size(state_->session.get()) > limits::kQueuedFrames;
  if (taken >= 0 && !unread) return {};
  state_->failed = true;
  if (unread || taken == NGHTTP2_ERR_CALLBACK_FAILURE || taken == NGHTTP2_ERR_FLOODED) {
    goaway(ErrorCode::kEnhanceYourCalm);
    return Error(Errc::kFlood);
  }
  if (taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC) return Error(Errc::kHandshake, "no HTTP/2 preface");
  return Error(Errc::kProtocol, nghttp2_strerror(static_cast<int>(taken)));
}

// ---- sending

ssize_t Session::State::read_data(StreamId id, size_t length, uint32_t* flags) {
  if (out->size() + kFrameHeaderSize + length > out_limit + kDataPayload) return NGHTTP2_ERR_PAUSE;
  Stream* stream = find(id);
  if (stream == nullptr || stream->handler == nullptr) return NGHTTP2_ERR_DEFERRED;
  // The payload is written where it will be sent from; send_data puts the frame header before it.
  const MutableBytes room =
      out->prepare(kFrameHeaderSize + length).subspan(kFrameHeaderSize, length);
  const StreamHandler::Produced produced = stream->handler->produce(room);
  if (produced.end) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (produced.trailers) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
  } else if (produced.bytes == 0) {
    return NGHTTP2_ERR_DEFERRED;
  }
  if (produced.bytes > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  return static_cast<ssize_t>(produced.bytes);
}

int Session::State::send_data(const uint8_t* frame_header, size_t length) {
  std::memcpy(out->prepare(kFrameHeaderSize + length).data(), frame_header, kFrameHeaderSize);
  out->commit(kFrameHeaderSize + length);
  return 0;
}

int Session::State::frame_sent(const nghttp2_frame& frame) {
  if (role == Role::kServer && frame.hd.type == NGHTTP2_HEADERS &&
      (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    // RFC 9113 section 8.1: the answer is complete without the rest of the request. Only now, as a
    // reset that is queued together with the answer would overtake it.
    const Stream* stream = find(frame.hd.stream_id);
    if (stream != nullptr && !stream->input_ended)
      nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, frame.hd.stream_id,
                                NGHTTP2_NO_ERROR);
  }
  // Only behind the notice: nghttp2 sends a PING before everything that is queued.
  if (frame.hd.type == NGHTTP2_GOAWAY && frame.goaway.last_stream_id == kNoticeId)
    nghttp2_submit_ping(session.get(), NGHTTP2_FLAG_NONE, pings::kShutdown.data());
  // Not those the application asked for: they may be many on a long-lived tunnel.
  if (frame.hd.type == NGHTTP2_RST_STREAM && role == Role::kServer) {
    switch (frame.rst_stream.error_code) {
      case NGHTTP2_PROTOCOL_ERROR:
      case NGHTTP2_FLOW_CONTROL_ERROR:
      case NGHTTP2_STREAM_CLOSED:
      case NGHTTP2_FRAME_SIZE_ERROR:
      case NGHTTP2_REFUSED_STREAM:
      case NGHTTP2_ENHANCE_YOUR_CALM:
        return forced_reset();
      default:
        break;
    }
  }
  return 0;
}

Result<> Session::drain(ByteQueue& out, size_t limit) {
  state_->out = &out;
  state_->out_limit = limit;
  Result<> result;
  while (out.size() < limit) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(state_->session.get(), &data);
    if (size < 0) {
      const bool flood = size == NGHTTP2_ERR_CALLBACK_FAILURE && !state_->failed;
      state_->failed = true;
      result = flood ? Error(Errc::kFlood)
                     : Error(Errc::kProtocol, nghttp2_strerror(static_cast<int>(size)));
      if (flood) goaway(ErrorCode::kEnhanceYourCalm);
      break;
    }
    if (size == 0) break;
    out.append({data, static_cast<size_t>(size)});
  }
  state_->out = nullptr;
  return result;
}

bool Session::wants_write() const { return nghttp2_session_want_write(state_->session.get()) != 0; }

bool Session::finished() const {
  return nghttp2_session_want_read(state_->session.get()) == 0 &&
         nghttp2_session_want_write(state_->session.get()) == 0;
}

// ---- streams

Result<StreamId> Session::open(std::span<const Field> fields, bool end, StreamHandler& handler) {
  if (!accepts_requests()) return Error(Errc::kGoingAway);
  const auto nv = to_nv(fields);
  const nghttp2_data_provider data = provider();
  const int32_t id = nghttp2_submit_request(state_->session.get(), nullptr, nv.data(), nv.size(),
                                            end ? nullptr : &data, nullptr);
  if (id < 0) return Error(Errc::kGoingAway, nghttp2_strerror(id));
  state_->streams[id].handler = &handler;
  return id;
}

void Session::respond(StreamId id, std::span<const Field> fields, bool end) {
  const auto nv = to_nv(fields);
  const nghttp2_data_provider data = provider();
  nghttp2_submit_response(state_->session.get(), id, nv.data(), nv.size(), end ? nullptr : &data);
}

void Session::respond_informational(StreamId id, std::span<const Field> fields) {
  const auto nv = to_nv(fields);
  nghttp2_submit_headers(state_->session.get(), NGHTTP2_FLAG_NONE, id, nullptr, nv.data(),
                         nv.size(), nullptr);
}

void Session::submit_trailers(StreamId id, std::span<const Field> fields) {
  const auto nv = to_nv(fields);
  nghttp2_submit_trailer(state_->session.get(), id, nv.data(), nv.size());
}

void Session::consume(StreamId id, size_t n) {
  nghttp2_session_consume_stream(state_->session.get(), id, n);
}

void Session::resume(StreamId id) { nghttp2_session_resume_data(state_->session.get(), id); }

void Session::reset(StreamId id, ErrorCode code) {
  nghttp2_submit_rst_stream(state_->session.get(), NGHTTP2_FLAG_NONE, id,
                            static_cast<uint32_t>(code));
}

void Session::detach(StreamId id) {
  if (auto* stream = state_->find(id)) {
    stream->handler = nullptr;
    stream->detached = true;
  }
}

// ---- connection

void Session::ping() { nghttp2_submit_ping(state_->session.get(), NGHTTP2_FLAG_NONE, nullptr); }

void Session::notify_shutdown() {
  if (state_->role == Role::kServer) nghttp2_submit_shutdown_notice(state_->session.get());
}

void Session::goaway(ErrorCode code) {
  nghttp2_submit_goaway(state_->session.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(state_->session.get()),
                        static_cast<uint32_t>(code), nullptr, 0);
}

void Session::fail(ErrorCode code) {
  state_->failed = true;
  // One by one: a handler may detach another.
  while (!state_->streams.empty()) {
    StreamHandler* target = state_->streams.begin()->second.handler;
    state_->streams.erase(state_->streams.begin());
    if (target != nullptr) target->on_closed(code);
  }
}

size_t Session::streams() const { return state_->streams.size(); }

uint32_t Session::peer_max_streams() const {
  return nghttp2_session_get_remote_settings(state_->session.get(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool Session::peer_extended_connect() const {
  return nghttp2_session_get_remote_settings(state_->session.get(),
                                             NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool Session::accepts_requests() const {
  return !state_->failed && nghttp2_session_check_request_allowed(state_->session.get()) != 0;
}

}  // namespace culvert::h2
