#include "waypoint/codec/http2_transport.h"

#include <chrono>

namespace culvert::waypoint {
namespace {

constexpr size_t kInput = 16 * 1024;  // one DATA frame of a default peer
constexpr size_t kBatch = 64 * 1024;
constexpr uint32_t kStreamWindow = 256 * 1024;
constexpr uint32_t kConnectionWindow = 1024 * 1024;
constexpr uint32_t kMaxFrame = 16 * 1024;  // RFC 9113 section 4.2: the least; more gains nothing
constexpr auto kPartingTime = std::chrono::seconds(2);

}  // namespace

h2::Settings http2_settings(uint32_t max_header_bytes, uint32_t max_header_fields) {
  h2::Settings settings;
  settings.stream_window = kStreamWindow;
  settings.connection_window = kConnectionWindow;
  settings.max_frame_size = kMaxFrame;
  settings.max_header_list = 2 * max_header_bytes + 32 * max_header_fields;
  return settings;
}

Http2Transport::Http2Transport(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
                               h2::Role role, const h2::Settings& settings,
                               h2::SessionHandler& handler, std::function<void()> after_input)
    : reactor_(reactor),
      stream_(std::move(stream)),
      session_(role, settings, handler),
      after_input_(std::move(after_input)),
      wake_(reactor),
      over_event_(reactor),
      tasks_(reactor) {}

Http2Transport::~Http2Transport() { abandon(); }

void Http2Transport::abandon() {
  tasks_.cancel();
  over_ = true;
  if (!closed_) stream_->reset();
  closed_ = true;
  if (!streams_told_) session_.fail(h2::ErrorCode::kInternalError);
  streams_told_ = true;
}

net::Task<> Http2Transport::run() {
  struct Guard {
    Http2Transport& transport;
    ~Guard() { transport.abandon(); }
  } const guard{*this};
  tasks_.spawn(read_all());
  tasks_.spawn(write_all());
  while (!over_) co_await over_event_.wait();
  tasks_.cancel();
  streams_told_ = true;
  session_.fail(h2::ErrorCode::kInternalError);
  // After half a frame no other can follow.
  if (writing_) co_return;
  tasks_.spawn(part());
  co_await tasks_.drained(Clock::now() + kPartingTime);
}

void Http2Transport::flush() {
  if (!over_) reactor_.at_turn_end(*this);
}

void Http2Transport::end(h2::ErrorCode code) {
  if (over_) return;
  session_.goaway(code);
  finish();
}

void Http2Transport::finish() {
  over_ = true;
  over_event_.wake_all();
}

net::Task<> Http2Transport::read_all() {
  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(kInput);
  const MutableBytes buffer(memory.get(), kInput);
  while (!over_) {
    const auto got = co_await stream_->read(buffer);
    if (!got || *got == 0) {
      input_over_ = true;
      writing_ |= !got;
      break;
    }
    const bool taken = session_.feed(buffer.first(*got)).has_value();
    after_input_();
    if (!taken) break;
    if (session_.wants_write() || session_.finished()) flush();
  }
  finish();
}

net::Task<> Http2Transport::write_all() {
  while (!over_) {
    const bool drained = session_.drain(out_, kBatch).has_value();
    if (!drained) break;
    if (out_.empty()) {
      out_.shrink();
      if (session_.finished()) break;
      co_await wake_.wait();
      continue;
    }
    writing_ = true;
    if (const auto written = co_await stream_->write(out_.readable()); !written) break;
    writing_ = false;
    out_.clear();
  }
  finish();
}

net::Task<> Http2Transport::part() {
  // Whatever of it cannot be sent any more: the peer learns the same from the end.
  (void)session_.drain(out_, kBatch);
  if (!out_.empty() && !co_await stream_->write(out_.readable())) co_return;
  if (!co_await stream_->shutdown_write()) co_return;
  uint8_t ignored[1024];
  while (!input_over_) {
    const auto got = co_await stream_->read(ignored);
    input_over_ = !got || *got == 0;
  }
  closed_ = true;
}

}  // namespace culvert::waypoint
