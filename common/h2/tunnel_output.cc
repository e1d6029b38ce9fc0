// TunnelSession: what leaves.
#include "common/h2/tunnel_session.h"

#include <algorithm>
#include <utility>

namespace culvert::h2 {
namespace {

// Where less than this is left of a record, a new one begins: a frame that carries next to nothing
// costs as much as any other.
constexpr size_t kLeastPayload = 1024;
// Of bulk, per batch, while other streams speak as well: what one of them wants to say next waits
// behind no more than this and what the kernel has not sent. They do while one spoke within the
// last kAttention bytes of bulk (some milliseconds of a fast network); else batches are whole, as
// small ones cost a quarter more. While memory is short everything goes in such batches: what the
// socket does not take of one is a little in the sense of MemoryAccount.
constexpr size_t kSharedBatch = 4 * tls::RecordBatch::kPlain;
constexpr uint64_t kAttention = 4U << 20;
// A stream that gave so much at once is bulk until it has said so many smaller things in a row.
constexpr size_t kBulkPiece = 3 * tls::RecordBatch::kPlain;
constexpr uint8_t kSmallPieces = 16;

}  // namespace

void TunnelSession::fill(tls::RecordBatch& batch) {
  saving_ = !memory_.has_room(tls::RecordBatch::kSize);
  release_held();
  fill_control(batch);
  while (control_.empty()) {
    TunnelStream* stream = next_ready(batch);
    if (stream == nullptr || !fill_data(batch, *stream)) break;
    fill_control(batch);
  }
  if (control_.empty()) tell_closed();
}

void TunnelSession::fill_control(tls::RecordBatch& batch) {
  while (!control_.empty()) {
    const MutableBytes space = batch.prepare(1);
    if (space.empty()) return;
    const size_t n = std::min(space.size(), control_.size());
    std::copy_n(control_.readable().begin(), n, space.begin());
    batch.commit(n);
    control_.consume(n);
  }
  control_.shrink(kIdleBytes);
  queued_ = acknowledgements_ = 0;
}

TunnelStream* TunnelSession::next_ready(const tls::RecordBatch& batch) {
  if (send_window_ <= 0 || (saving_ && batch.plain_bytes() >= kSharedBatch)) return nullptr;
  if (!light_.empty()) return &light_.front();
  if (bulk_.empty()) return nullptr;
  return !small_batches() || batch.plain_bytes() < kSharedBatch ? &bulk_.front() : nullptr;
}

bool TunnelSession::small_batches() const {
  return saving_ || (streams_.size() > 1 && bulk_in_a_row_ < kAttention);
}

void TunnelSession::note_produced(TunnelStream& stream, size_t bytes, size_t offered) {
  if (bytes == 0) return;
  if (bytes >= kBulkPiece)
    stream.small_pieces_ = 0;
  else if (bytes < offered && stream.small_pieces_ < kSmallPieces)
    ++stream.small_pieces_;
  if (stream.small_pieces_ >= kSmallPieces)
    bulk_in_a_row_ = 0;
  else if (bulk_in_a_row_ < kAttention)
    bulk_in_a_row_ += bytes;
}

void TunnelSession::schedule(TunnelStream& stream) {
  if (stream.id_ == 0 || !stream.can_produce_ || stream.output_ended_ || stream.closing_) return;
  if (!stream.answered_) return;  // its head comes first
  if (stream.send_window_ <= 0 || stream.is_linked()) return;
  (stream.has_more_ ? bulk_ : light_).push_back(stream);
}

// The application's bytes are read into the records: each part of `to` lies behind the space of
// the DATA header that will describe it. False: the batch has no room.
bool TunnelSession::fill_data(tls::RecordBatch& batch, TunnelStream& stream) {
  std::array<MutableBytes, tls::RecordBatch::kFullRecords> spaces;
  std::array<iovec, tls::RecordBatch::kFullRecords> to;
  size_t most = stream.has_more_ ? spaces.size() : 1;
  if (stream.has_more_ && small_batches()) {  // next_ready() found room for one
    const size_t room = kSharedBatch - std::min(kSharedBatch, batch.plain_bytes());
    most = std::clamp<size_t>(room / tls::RecordBatch::kPlain, 1, most);
  }
  const size_t given =
      batch.prepare(kFrameHeaderSize + kLeastPayload, std::span(spaces).first(most));
  if (given == 0) return false;
  if (stream.send_window_ <= 0) {  // SETTINGS took it away; WINDOW_UPDATE schedules it again
    stream.unlink();
    return true;
  }
  const auto allowed = static_cast<size_t>(std::min(stream.send_window_, send_window_));
  size_t offered = 0, parts = 0;
  while (parts < given && offered < allowed) {
    const size_t room = spaces[parts].size() - kFrameHeaderSize;
    const size_t n = std::min({room, size_t{peer_max_frame_size_}, allowed - offered});
    to[parts] = {spaces[parts].data() + kFrameHeaderSize, n};
    offered += n;
    ++parts;
    if (n < room) break;  // the next record begins where this one is full
  }

  stream.unlink();
  stream.can_produce_ = false;  // unless resume() is called from within
  producing_ = &stream;
  const TunnelStream::Produced produced = stream.produce(std::span(to).first(parts));
  if (std::exchange(producing_, nullptr) == nullptr) return true;  // given up: so are its bytes
  // Also of a stream that was reset meanwhile: the reset goes behind it. Who has said all and takes
  // nothing more ends so (RFC 9113 section 8.1), and what it said is whole.
  const bool end = produced.end;
  size_t left = produced.bytes;
  for (size_t i = 0; i < parts && (left > 0 || (i == 0 && end)); ++i) {
    const size_t n = std::min(left, to[i].iov_len);
    left -= n;
    const FrameHeader header{.length = static_cast<uint32_t>(n),
                             .type = FrameType::kData,
                             .flags = end && left == 0 ? flags::kEndStream : uint8_t{0},
                             .stream = stream.id_};
    header.write(spaces[i].data());
    batch.commit(kFrameHeaderSize + n);
  }
  stream.send_window_ -= static_cast<int64_t>(produced.bytes);
  send_window_ -= static_cast<int64_t>(produced.bytes);
  if (end) {
    stream.output_ended_ = true;
    if (!stream.closing_ && stream.is_linked()) stream.unlink();  // resumed from within
    close_if_over(stream);
    return true;
  }
  note_produced(stream, produced.bytes, offered);
  stream.has_more_ = produced.bytes == offered;
  stream.can_produce_ |= stream.has_more_ || produced.again;
  schedule(stream);
  return true;
}

}  // namespace culvert::h2
