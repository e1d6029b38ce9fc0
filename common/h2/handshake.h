#pragma once

#include "common/net/byte_stream.h"
#include "common/tls/engine.h"

namespace culvert::h2 {

// Runs `engine`'s handshake over `stream` until it is done. On error the alert has been sent as far
// as the peer takes it. Errors: tls::Errc, the stream's, culvert::Errc::kTimedOut at `deadline`.
net::Task<Result<>> tls_handshake(net::ByteStream& stream, tls::Engine& engine, Time deadline);

}  // namespace culvert::h2
