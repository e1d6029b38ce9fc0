#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/tls/context_impl.h"
#include "common/tls/engine.h"
#include "common/tls/session.h"

// The established connection's records, by the TLS library: what Engine::open, seal and
// close_notify promise. Post-handshake messages are the library's too: new session tickets are
// dropped, a KeyUpdate is obeyed (our answer goes out before our next record, RFC 8446
// section 4.6.3) and more than 32 of them without application data between are an error. For
// common/tls only.
namespace culvert::tls::library_record {

Result<bool> open(Session& session, Context::Impl& context, MutableBytes in, PlaintextSink& sink,
                  ByteQueue& out);
Result<> seal(Session& session, Bytes plain, ByteQueue& out);
void close_notify(Session& session, ByteQueue& out);

}  // namespace culvert::tls::library_record
