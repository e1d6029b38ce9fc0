#include "waypoint/tunnel/prefixed_stream.h"

#include <algorithm>

namespace culvert::waypoint {

net::Task<Result<size_t>> PrefixedStream::read(MutableBytes to, Time deadline) {
  if (prefix_.empty()) co_return co_await stream_->read(to, deadline);
  const Bytes kept = prefix_.readable();
  const size_t n = std::min(kept.size(), to.size());
  std::copy_n(kept.begin(), n, to.begin());
  prefix_.consume(n);
  prefix_.shrink();
  co_return n;
}

}  // namespace culvert::waypoint
