#pragma once

#include "common/tls/engine.h"
#include "common/tls/errors.h"
#include "tests/support/seal.h"
#include "tests/support/test_ca.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::tls {

inline std::error_code code(Errc value) { return make_error_code(value); }

// Everything that was decrypted, and in how many pieces.
struct Collector final : PlaintextSink {
  Result<> on_plaintext(MutableBytes plaintext) override {
    ++calls;
    text.append(as_text(plaintext));
    // The bytes are ours meanwhile: a later user of the same memory must not depend on them.
    std::fill(plaintext.begin(), plaintext.end(), uint8_t{0xee});
    return {};
  }
  std::string text;
  int calls = 0;
};

inline std::vector<uint8_t> take(ByteQueue& queue) {
  const Bytes bytes = std::as_const(queue).readable();
  std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  queue.clear();
  return copy;
}

inline Result<> seal(Engine& engine, std::string_view text, ByteQueue& out) {
  return test::seal(engine, as_bytes(text), out);
}

// One side of a connection with what it said last.
struct Side {
  Side() = default;
  explicit Side(std::unique_ptr<Engine> made) : engine(std::move(made)) {}

  std::unique_ptr<Engine> engine;
  ByteQueue out;
  Collector got;
  bool done = false;
  bool open = true;
  std::optional<Error> error;

  // Feeds `bytes` in pieces of at most `piece`, as handshake or as data.
  void feed(std::vector<uint8_t> bytes, size_t piece) {
    size_t at = 0;
    do {
      const size_t n = std::min(piece, bytes.size() - at);
      step({bytes.data() + at, n});
      at += n;
    } while (at < bytes.size() && !error);
  }

  void step(MutableBytes bytes) {
    if (done) return data(bytes);
    auto result = engine->handshake(bytes, out);
    if (!result) {
      error = result.error();
    } else if (*result == Engine::Handshake::kDone) {
      done = true;
      data({});
    }
  }

  void data(MutableBytes bytes) {
    auto result = engine->open(bytes, got, out);
    if (!result) {
      error = result.error();
    } else {
      open = *result;
    }
  }

  void send(std::string_view text) { ASSERT_TRUE(seal(*engine, text, out)); }
};

// A client and a server and the wire between them.
struct Wire {
  std::unique_ptr<Context> client_context, server_context;
  Side client, server;

  Wire(CredentialPtr client_credential, CredentialPtr server_credential,
       std::vector<state::Identity> expected, const Options& client_options,
       const Options& server_options)
      : client_context(std::make_unique<Context>(client_options)),
        server_context(std::make_unique<Context>(server_options)) {
    connect(std::move(client_credential), std::move(server_credential), std::move(expected));
  }

  // A new connection in the same contexts.
  void connect(CredentialPtr client_credential, CredentialPtr server_credential,
               std::vector<state::Identity> expected) {
    client =
        Side{Engine::client(*client_context, std::move(client_credential), std::move(expected))};
    server = Side{Engine::server(*server_context, std::move(server_credential))};
  }

  // Moves bytes until both are silent or a bound is hit.
  void run(size_t piece = SIZE_MAX) {
    if (!client.done && !client.error) client.step({});
    for (int i = 0; i < 20; ++i) {
      if (client.out.empty() && server.out.empty()) return;
      if (!client.out.empty() && !server.error) server.feed(take(client.out), piece);
      if (!server.out.empty() && !client.error) client.feed(take(server.out), piece);
      if (client.error) take(server.out);
      if (server.error) take(client.out);
    }
    FAIL() << "the two sides do not come to rest";
  }
};

// All of it with either record layer.
class EngineTest : public ::testing::TestWithParam<RecordLayer> {
 protected:
  static Options options(Options rest = {}) {
    rest.record_layer = GetParam();
    return rest;
  }

  const std::string client_id_ = test::spiffe("demo", "client");
  const std::string server_id_ = test::spiffe("demo", "server");
  const std::vector<state::Identity> expected_{test::identity("demo", "server")};

  CredentialPtr client_credential() { return ca_.credential(client_id_); }
  CredentialPtr server_credential() { return ca_.credential(server_id_); }
  Wire wire(const Options& rest = {}) {
    return {client_credential(), server_credential(), expected_, options(rest), options(rest)};
  }

  // The server as `spec` (and `issuer`) say, seen by a good client, and the other way round.
  Wire with_server(const test::CertSpec& spec, const test::TestCa& issuer) {
    return {client_credential(), issuer.credential(spec, ca_.pem()), expected_, options(),
            options()};
  }
  Wire with_client(const test::CertSpec& spec, const test::TestCa& issuer) {
    return {issuer.credential(spec, ca_.pem()), server_credential(), expected_, options(),
            options()};
  }

  static test::CertSpec spec(const std::string& uri) {
    test::CertSpec made;
    made.uris = {uri};
    return made;
  }

  test::TestCa ca_;
};

#define CULVERT_WITH_BOTH_RECORD_LAYERS(test)                                     \
  INSTANTIATE_TEST_SUITE_P(                                                       \
      Records, test, ::testing::Values(RecordLayer::kOwn, RecordLayer::kLibrary), \
      [](const auto& tested) { return tested.param == RecordLayer::kOwn ? "Own" : "Library"; })

}  // namespace culvert::tls
