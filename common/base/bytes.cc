#include "common/base/bytes.h"

#include <algorithm>

namespace culvert {

MutableBytes ByteQueue::prepare(size_t n) {
  if (capacity_ - end_ < n) {
    const size_t queued = size();
    if (capacity_ - queued >= n) {
      std::memmove(data_.get(), data_.get() + begin_, queued);
    } else {
      const size_t wanted = std::max(queued + n, capacity_ * 2);
      auto grown = std::make_unique_for_overwrite<uint8_t[]>(wanted);
      if (queued > 0) std::memcpy(grown.get(), data_.get() + begin_, queued);
      data_ = std::move(grown);
      capacity_ = wanted;
    }
    begin_ = 0;
    end_ = queued;
  }
  return {data_.get() + end_, capacity_ - end_};
}

}  // namespace culvert
