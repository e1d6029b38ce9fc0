#pragma once

#include "common/hbone/stream.h"
#include "common/net/byte_stream.h"

namespace culvert::hbone {

// A tunnel stream as a ByteStream for coroutines (the waypoint's protocols, a tunnel within a
// tunnel). One copy more per byte than Relay.
class StreamIo final : public net::ByteStream, private Stream::Observer {
 public:
  explicit StreamIo(std::unique_ptr<Stream> stream);
  ~StreamIo() override;
  StreamIo(const StreamIo&) = delete;
  StreamIo& operator=(const StreamIo&) = delete;

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline = kNever) override;
  // Returns when all of `from` is in frames on their way, so a peer that does not read stops the
  // writer.
  net::Task<Result<>> write(Bytes from, Time deadline = kNever) override;
  net::Task<Result<>> shutdown_write() override;
  void reset() override;

 private:
  size_t on_data(std::span<const iovec> pieces) override;
  void on_end() override;
  void on_reset(const Error& error) override;
  h2::TunnelStream::Produced produce(std::span<const iovec> to) override;

  std::unique_ptr<Stream> stream_;
  MutableBytes reading_;  // where a pending read wants its bytes
  size_t read_bytes_ = 0;
  Bytes writing_;  // what a pending write has left
  bool input_ended_ = false;
  bool finish_ = false;    // END_STREAM is wanted
  bool finished_ = false;  // and was sent
  std::optional<Error> failure_;
  net::Event readable_, written_;
};

}  // namespace culvert::hbone
