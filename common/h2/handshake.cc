#include "common/h2/handshake.h"

#include "common/tls/errors.h"

#include <array>

namespace culvert::h2 {

net::Task<Result<>> tls_handshake(net::ByteStream& stream, tls::Engine& engine, Time deadline) {
  ByteQueue out;
  // One read takes a usual flight; it lives in the coroutine's frame only during the handshake.
  std::array<uint8_t, 4096> input;
  size_t got = 0;
  for (;;) {
    auto progress = engine.handshake(Bytes(input).first(got), out);
    if (!out.empty()) {
      auto sent = co_await stream.write(out.readable(), deadline);
      out.clear();
      if (progress && !sent) co_return sent.error();
    }
    if (!progress) co_return progress.error();
    if (*progress == tls::Engine::Handshake::kDone) co_return Result<>{};
    auto read = co_await stream.read(input, deadline);
    if (!read) co_return read.error();
    if (*read == 0) co_return Error(tls::Errc::kHandshake, "the peer closed the connection");
    got = *read;
  }
}

}  // namespace culvert::h2
