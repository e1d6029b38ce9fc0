#include "common/tls/record_batch.h"

#include "common/base/check.h"

#include <algorithm>
#include <cstring>

namespace culvert::tls {

size_t RecordBatch::whole_packets(size_t segment) {
  constexpr size_t kPacket = 65'200;  // GSO_LEGACY_MAX_SIZE, less what the kernel keeps for headers
  const size_t packet = segment == 0 ? kPacket : std::max<size_t>(kPacket / segment, 1) * segment;
  return std::max<size_t>(kSize / packet, 1) * packet;
}

size_t RecordBatch::capacity(size_t begin) const {
  const size_t with_overhead = begin + kHeader + kTrailer;
  return with_overhead >= most_ ? 0 : std::min(kPlain, most_ - with_overhead);
}

size_t RecordBatch::room() const {
  if (count_ == 0) return 0;
  const Record& last = records_[count_ - 1];
  return capacity(last.begin) - last.plain;
}

bool RecordBatch::open_record() {
  const size_t begin = count_ == 0 ? 0 : sealed_end(records_[count_ - 1]);
  if (count_ == kMaxRecords || capacity(begin) == 0) return false;
  records_[count_++] = {static_cast<uint32_t>(begin), 0};
  return true;
}

MutableBytes RecordBatch::prepare(size_t least) {
  MutableBytes space;
  return prepare(least, {&space, 1}) == 0 ? MutableBytes() : space;
}

size_t RecordBatch::prepare(size_t least, std::span<MutableBytes> spaces) {
  CULVERT_CHECK(least > 0 && least <= kPlain && !spaces.empty());
  if (room() < least) {
    // An empty last record is shorter than `least` only at the batch's end.
    const bool fresh = count_ > 0 && records_[count_ - 1].plain == 0;
    if (fresh || !open_record()) return 0;
    if (room() < least) return 0;
  }
  const Record& last = records_[count_ - 1];
  spaces[0] = {memory_.get() + last.begin + kHeader + last.plain, room()};
  size_t begin = last.begin + kHeader + capacity(last.begin) + kTrailer;
  size_t given = 1;
  const size_t most = std::min(spaces.size(), 1 + kMaxRecords - count_);
  while (given < most && capacity(begin) >= least) {
    spaces[given++] = {memory_.get() + begin + kHeader, capacity(begin)};
    begin += kHeader + capacity(begin) + kTrailer;
  }
  return given;
}

void RecordBatch::commit(size_t n) {
  plain_bytes_ += n;
  while (n > 0) {
    if (room() == 0) CULVERT_CHECK(open_record());
    const size_t taken = std::min(n, room());
    records_[count_ - 1].plain += static_cast<uint32_t>(taken);
    n -= taken;
  }
}

bool RecordBatch::append(Bytes bytes) {
  std::array<MutableBytes, kFullRecords> spaces;  // there are never more
  const size_t given = bytes.empty() ? 0 : prepare(1, spaces);
  size_t room = 0;
  for (size_t i = 0; i < given; ++i) room += spaces[i].size();
  if (room < bytes.size()) return false;
  Bytes rest = bytes;
  for (size_t i = 0; !rest.empty(); ++i) {
    const size_t n = std::min(rest.size(), spaces[i].size());
    std::memcpy(spaces[i].data(), rest.data(), n);
    rest = rest.subspan(n);
  }
  commit(bytes.size());
  return true;
}

std::span<const RecordBatch::Record> RecordBatch::records() const {
  const bool trailing = count_ > 0 && records_[count_ - 1].plain == 0;
  return {records_.data(), trailing ? count_ - 1 : count_};
}

}  // namespace culvert::tls
