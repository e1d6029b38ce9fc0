#pragma once

#include "common/base/bytes.h"
#include "common/net/byte_stream.h"

#include <memory>

namespace culvert::waypoint {

// A stream of which something was read already, to find out what it carries: those bytes come
// first.
class PrefixedStream final : public net::ByteStream {
 public:
  PrefixedStream(std::unique_ptr<net::ByteStream> stream, ByteQueue prefix)
      : stream_(std::move(stream)), prefix_(std::move(prefix)) {}

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline) override;
  net::Task<Result<>> write(Bytes from, Time deadline) override {
    return stream_->write(from, deadline);
  }
  net::Task<Result<>> shutdown_write() override { return stream_->shutdown_write(); }
  void reset() override { stream_->reset(); }

 private:
  std::unique_ptr<net::ByteStream> stream_;
  ByteQueue prefix_;
};

}  // namespace culvert::waypoint
