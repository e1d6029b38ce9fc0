#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/state/identity.h"
#include "common/tls/context.h"
#include "common/tls/credential.h"
#include "common/tls/record_batch.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::tls {

// What the other side proved.
struct Peer {
  // The leaf's first URI SAN that parses as SPIFFE.
  std::optional<state::Identity> identity;
  std::string alpn;  // "h2" or empty
};

// Receives plaintext, possibly several times per call of Engine::open. All bytes of one call stay
// where they are until its on_open_done() returns.
class PlaintextSink {
 public:
  virtual ~PlaintextSink() = default;
  // An error stops Engine::open, which returns it.
  virtual Result<> on_plaintext(MutableBytes plaintext) = 0;
  // The last of every call of Engine::open, also of one that fails.
  virtual void on_open_done() {}
};

// One TLS 1.3 connection without I/O: ciphertext in, ciphertext out, plaintext at the middle.
//   handshake(in, out) until it says done, sending `out` each time (also after an error: it holds
//   the alert); then open(in, sink, out) for what arrives, seal(batch, before) for what leaves,
//   close_notify(out) at the end. Whatever is appended to a queue is sent in the order of the
//   calls.
// Single-threaded; owned by the connection.
class Engine {
 public:
  // Accepts a client that presents a certificate of our trust bundle with a SPIFFE id of our trust
  // domain.
  static std::unique_ptr<Engine> server(Context& context, CredentialPtr credential);
  // Accepts a server whose certificate has one of `expected` among its SPIFFE ids; an empty list
  // refuses all.
  static std::unique_ptr<Engine> client(Context& context, CredentialPtr credential,
                                        std::vector<state::Identity> expected);
  // Accepts a server with any identity of `trust_domain`; an empty one refuses all.
  static std::unique_ptr<Engine> client_in_domain(Context& context, CredentialPtr credential,
                                                  std::string trust_domain);
  // TLS to a server known by DNS name (istiod): one-way, system or given roots. Comes with xDS.

  virtual ~Engine() = default;

  enum class Handshake : uint8_t { kMore, kDone };
  // Takes all of `in` (may be empty at the client's start), appends what to send to `out`. After
  // kDone call open({}, sink, out) once: application data may have come with the last flight.
  virtual Result<Handshake> handshake(Bytes in, ByteQueue& out) = 0;

  // Decrypts all complete records of what was fed so far plus `in`; a partial record is kept
  // inside. `in` may be overwritten. Returns false when the peer sent close_notify (nothing
  // follows). Post-handshake messages are handled inside; what they need to send is appended to
  // `out`.
  virtual Result<bool> open(MutableBytes in, PlaintextSink& sink, ByteQueue& out) = 0;

  // Moves the bytes of an incomplete record that open() has kept to the front of `to`, which has
  // room for kMaxRecord, and returns how many: given back to open() with what is read behind them
  // they need not be copied again. A record layer that cannot give them back returns 0.
  virtual size_t take_partial(MutableBytes to) = 0;
  static constexpr size_t kMaxRecord = 5 + 16384 + 256;  // RFC 8446 section 5.2

  // Encrypts the records of `batch`. The result is what to send, valid until the batch is used
  // again or an engine of the same context seals; what has to be sent before it (a KeyUpdate) is
  // appended to `before`. Clear the batch before filling it again.
  virtual Result<Bytes> seal(RecordBatch& batch, ByteQueue& before) = 0;
  // Appends close_notify, once; later calls do nothing.
  virtual void close_notify(ByteQueue& out) = 0;

  [[nodiscard]] virtual const Peer& peer() const = 0;  // valid after kDone
};

}  // namespace culvert::tls
