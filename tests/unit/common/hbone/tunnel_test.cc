#include "common/h2/handshake.h"
#include "tests/support/seal.h"
#include "tests/unit/common/hbone/tunnel_fixture.h"

#include <sys/socket.h>

#include <algorithm>
#include <thread>

namespace culvert::hbone {
namespace {

// A tunnel whose server side ends where the test wants it: the stream is relayed to `app`.
class RelayOverTunnel : public TunnelTest {
 protected:
  RelayOverTunnel() {
    serve_ = [this](std::unique_ptr<Stream> stream, const tls::Peer&) {
      return relay(std::move(stream));
    };
    auto [near, far] = test::tcp_pair();
    app_ = std::make_unique<net::Socket>(reactor_, std::move(near));
    upstream_ = std::make_unique<net::Socket>(reactor_, std::move(far));
  }
  net::Task<> relay(std::unique_ptr<Stream> stream) {
    static_cast<void>(co_await stream->head(kNever));
    stream->respond(kOk, false);
    auto socket = std::move(upstream_);
    Relay copy(*stream, *socket, scratch_, to_stream_, to_socket_);
    copy.prepend(as_bytes(prefix_));
    outcome_ = co_await copy.run();
  }
  // So that the kernel's buffers hold little of what the application does not read. Much less, and
  // TCP would wait for a larger window before every segment.
  void narrow(int receive = 1 << 18, int send = 1 << 18) {
    ::setsockopt(app_->fd(), SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive);
    ::setsockopt(upstream_->fd(), SOL_SOCKET, SO_SNDBUF, &send, sizeof send);
  }
  std::vector<uint8_t> scratch_ = std::vector<uint8_t>(1 << 16);
  Count to_stream_, to_socket_;
  std::string prefix_;
  std::unique_ptr<net::Socket> app_, upstream_;
  std::optional<net::RelayOutcome> outcome_;
};

TEST_F(RelayOverTunnel, HalfCloseBothWays) {
  StreamIo io(connect());
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("request"))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  EXPECT_EQ(read_all(*app_), "request");
  EXPECT_FALSE(outcome_);
  ASSERT_TRUE(run(reactor_, app_->write(as_bytes("answer"))));
  app_->finish_output();
  EXPECT_EQ(read_all(io), "answer");
  wait([&] { return outcome_.has_value(); });
  EXPECT_TRUE(outcome_->ok());
  EXPECT_EQ(to_socket_.total, 7U);
  EXPECT_EQ(to_stream_.total, 6U);
}

TEST_F(RelayOverTunnel, ThePrefixGoesFirst) {
  prefix_ = "PROXY ";
  StreamIo io(connect());
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("data"))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  EXPECT_EQ(read_all(*app_), "PROXY data");
}

TEST_F(RelayOverTunnel, NothingOvertakesAPrefixThatTheSocketDoesNotTakeAtOnce) {
  narrow();
  prefix_.assign(3U << 20, 'p');
  StreamIo io(connect());
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("data"))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  for (int i = 0; i < 20; ++i) reactor_.turn(1ms);
  EXPECT_EQ(read_all(*app_), prefix_ + "data");
}

// The relay has its data in the kernel only, which would drop it if the socket were closed.
TEST_F(RelayOverTunnel, AnApplicationThatGoesOnSendingStillReadsEverything) {
  narrow(1 << 16);
  const std::string data(250'000, 'd');
  auto io = std::make_unique<StreamIo>(connect());
  ASSERT_TRUE(run(reactor_, io->write(as_bytes(data))));
  ASSERT_TRUE(run(reactor_, io->shutdown_write()));
  wait([&] { return to_socket_.total == data.size(); });
  io.reset();  // the peer has said all it had to say, and reads no more
  for (int i = 0; i < 20; ++i) reactor_.turn(1ms);
  ASSERT_TRUE(run(reactor_, app_->write(as_bytes("nobody reads this"))));
  for (int i = 0; i < 20; ++i) reactor_.turn(1ms);
  EXPECT_EQ(read_all(*app_), data);
  app_.reset();
  wait([&] { return outcome_.has_value(); });
}

TEST_F(RelayOverTunnel, ASlowReaderStopsTheWriterAndEverythingArrives) {
  const std::string data(24U << 20, 'd');
  StreamIo io(connect());
  bool written = false;
  const auto write = [](StreamIo& to, const std::string& text, bool& done) -> net::Task<> {
    EXPECT_TRUE(co_await to.write(as_bytes(text)));
    EXPECT_TRUE(co_await to.shutdown_write());
    done = true;
  };
  net::Scope scope(reactor_);
  scope.spawn(write(io, data, written));
  for (int i = 0; i < 200; ++i) reactor_.turn(1ms);
  EXPECT_FALSE(written);
  EXPECT_EQ(read_all(*app_), data);
  EXPECT_TRUE(written);
}

TEST_F(RelayOverTunnel, EverythingBeforeTheEndArrivesThoughTheTunnelDiesRightAfter) {
  narrow();
  server_options_.settings.initial_window = 4U << 20;
  const std::string data(3U << 20, 'd');  // within the window: all of it is on the far side
  auto io = std::make_unique<StreamIo>(connect());
  ASSERT_TRUE(run(reactor_, io->write(as_bytes(data))));
  ASSERT_TRUE(run(reactor_, io->shutdown_write()));
  for (int i = 0; i < 50; ++i) reactor_.turn(1ms);  // what the socket did not take at once
  io.reset();
  pool_.reset();  // closes the connection
  EXPECT_EQ(read_all(*app_), data);
  app_.reset();
  wait([&] { return outcome_.has_value(); });
}

TEST_F(RelayOverTunnel, AnAnswerBeforeTheApplicationClosesArrivesWhole) {
  StreamIo io(connect());
  const std::string answer(100'000, 'a');
  ASSERT_TRUE(run(reactor_, app_->write(as_bytes(answer))));
  app_->finish_output();
  app_.reset();
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("nobody reads this"))));
  EXPECT_EQ(read_all(io), answer);
  // Not a failure: what else the client sends is only not wanted any more (RFC 9113 section 8.1).
  Result<> written;
  for (int i = 0; written && i < 1000; ++i) {
    written = run(reactor_, io.write(as_bytes("nor this")));
    reactor_.turn(1ms);
  }
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message(), "stream reset by the peer: NO_ERROR");
}

// The same, but that it takes nothing more is known before its answer is read to the end.
TEST_F(RelayOverTunnel, AnAnswerArrivesWholeThoughAWriteFailsBeforeItsEnd) {
  const int much = 1 << 20;
  ::setsockopt(app_->fd(), SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
  ::setsockopt(upstream_->fd(), SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
  StreamIo io(connect());
  const std::string answer(500'000, 'a');  // more than a window: the rest waits in the kernel
  ASSERT_TRUE(run(reactor_, app_->write(as_bytes(answer))));
  app_.reset();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(run(reactor_, io.write(as_bytes("nobody reads this"))));
    reactor_.turn(1ms);
  }
  const std::string got = read_all(io);
  EXPECT_TRUE(got == answer) << got.size() << " bytes that end in " << got.substr(got.size() - 60);
  wait([&] { return outcome_.has_value(); });
  EXPECT_TRUE(outcome_->ok());
}

TEST_F(RelayOverTunnel, AResetOfTheApplicationResetsTheStream) {
  StreamIo io(connect());
  app_->abort();
  std::vector<uint8_t> buffer(10);
  auto got = run(reactor_, io.read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message(), "stream reset by the peer: CONNECT_ERROR");
  wait([&] { return outcome_.has_value(); });
  EXPECT_TRUE(outcome_->ok());
}

// Though it is learnt by sending to it: a part is not taken for the whole.
TEST_F(RelayOverTunnel, AResetOfTheApplicationUnderASenderResetsTheStream) {
  StreamIo io(connect());
  std::vector<uint8_t> buffer(10);
  ASSERT_TRUE(run(reactor_, app_->write(as_bytes("part"))));
  ASSERT_EQ(*run(reactor_, io.read(buffer)), 4U);
  ASSERT_TRUE(run(reactor_, io.write(as_bytes("more"))));
  app_->abort();
  auto got = run(reactor_, io.read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message(), "stream reset by the peer: CONNECT_ERROR");
  wait([&] { return outcome_.has_value(); });
  EXPECT_TRUE(outcome_->ok());
}

TEST_F(RelayOverTunnel, AResetOfTheStreamResetsTheApplication) {
  StreamIo io(connect());
  io.reset();
  std::vector<uint8_t> buffer(10);
  auto got = run(reactor_, app_->read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code.value(), ECONNRESET);
  wait([&] { return outcome_.has_value(); });
  EXPECT_TRUE(outcome_->ok());
}

TEST_F(RelayOverTunnel, ALostTunnelResetsTheApplication) {
  StreamIo io(connect());
  servers_.front()->close(h2::ErrorCode::kNoError, Error(h2::Errc::kDraining));
  std::vector<uint8_t> buffer(10);
  auto got = run(reactor_, app_->read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code.value(), ECONNRESET);
  auto end = run(reactor_, io.read(buffer));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, h2::make_error_code(h2::Errc::kConnectionLost));
}

// What comes before somebody takes it is kept, and its memory given back.
TEST_F(RelayOverTunnel, AStreamThatIsReadHoldsNoMemory) {
  auto stream = connect();
  EXPECT_EQ(stream->held_bytes(), 0U);
  ASSERT_TRUE(run(reactor_, app_->write(as_bytes(std::string(10'000, 'x')))));
  wait([&] { return stream->held_bytes() >= 10'000; });
  struct Sink final : Stream::Observer {
    size_t on_data(std::span<const iovec> pieces) override {
      const size_t n = std::min(net::total(pieces), most);
      taken += n;
      return n;
    }
    void on_end() override {}
    void on_reset(const Error&) override {}
    h2::TunnelStream::Produced produce(std::span<const iovec>) override { return {}; }
    size_t most = 100, taken = 0;
  } sink;
  stream->attach(&sink);
  EXPECT_EQ(sink.taken, 100U);
  EXPECT_GT(stream->held_bytes(), 0U);
  sink.most = SIZE_MAX;
  stream->take_input();
  EXPECT_GE(sink.taken, 10'000U);
  EXPECT_EQ(stream->held_bytes(), 0U);
  stream->attach(nullptr);
}

// Neither the peer nor the budget waits for an application that does not read.
TEST_F(RelayOverTunnel, WhereTheBudgetRefusesTheApplicationAndTheStreamAreReset) {
  HeldBytes others(server_memory_);
  ASSERT_TRUE(others.resize(server_memory_.budget() / 8 * 7));
  StreamIo io(connect());
  const std::string much(32 << 20, 'x');
  const auto written = run(reactor_, io.write(as_bytes(much)));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message(), "connection lost: ENHANCE_YOUR_CALM");
  wait([&] { return outcome_.has_value(); });
  EXPECT_EQ(outcome_->error.code, make_error_code(culvert::Errc::kMemory));
  EXPECT_EQ(outcome_->error.message().find("memory budget of the server is used up"), 0U);
  std::vector<uint8_t> buffer(1 << 16);
  Result<size_t> got = size_t{1};
  while (got && *got > 0) got = run(reactor_, app_->read(buffer));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code.value(), ECONNRESET);
  EXPECT_EQ(server_memory_.held(), others.bytes());
  EXPECT_EQ(server_memory_.refusals(), 1U);
  // The tunnel is as good as before.
  serve_ = echo;
  EXPECT_NE(connect(), nullptr);
  EXPECT_EQ(dials_, 1);
}

TEST_F(RelayOverTunnel, WhoFlowsNeedsNoBudget) {
  ASSERT_EQ(server_memory_.try_take(server_memory_.budget(), 1), nullptr);
  StreamIo io(connect());
  const std::string text(20'000, 'x');
  std::vector<uint8_t> buffer(1 << 16);
  for (int round = 0; round < 100; ++round) {
    ASSERT_TRUE(run(reactor_, io.write(as_bytes(text))));
    for (size_t got = 0; got < text.size();) {
      const auto part = run(reactor_, app_->read(buffer));
      ASSERT_TRUE(part);
      got += *part;
    }
    ASSERT_TRUE(run(reactor_, app_->write(as_bytes(text))));
    for (size_t got = 0; got < text.size();) {
      const auto part = run(reactor_, io.read(buffer));
      ASSERT_TRUE(part);
      got += *part;
    }
  }
  EXPECT_EQ(server_memory_.refusals(), 0U);
  server_memory_.give_back(server_memory_.budget());
}

// Whoever reads, however slowly, holds his window and keeps his connection.
TEST_F(RelayOverTunnel, WhatTheApplicationDoesNotTakeIsChargedUntilItDoes) {
  StreamIo io(connect());
  const std::string much(32 << 20, 'x');
  const auto write = [](StreamIo& to, const std::string& text) -> net::Task<> {
    EXPECT_TRUE(co_await to.write(as_bytes(text)));
  };
  net::Scope scope(reactor_);
  scope.spawn(write(io, much));
  wait([&] { return server_memory_.held() > 0; });
  std::vector<uint8_t> buffer(1 << 16);
  size_t got = 0;
  while (got < much.size()) {
    const auto part = run(reactor_, app_->read(buffer));
    ASSERT_TRUE(part);
    got += *part;
  }
  EXPECT_EQ(server_memory_.held(), 0U);
  EXPECT_EQ(memory_.held(), 0U);
}

class ServerTest : public TunnelTest {
 protected:
  // A TCP connection to a server of ours that stays plain until the test does something with it.
  std::unique_ptr<net::Socket> plain() {
    auto [near, far] = test::tcp_pair();
    auto& server = servers_.emplace_back(
        std::make_unique<Server>(reactor_, server_options_, buffers_, server_memory_,
                                 [this](std::unique_ptr<Stream> s, const tls::Peer& p) {
                                   ++streams_served_;
                                   return serve_(std::move(s), p);
                                 }));
    tasks_.spawn(run_server(*server, std::make_unique<net::Socket>(reactor_, std::move(far))));
    return std::make_unique<net::Socket>(reactor_, std::move(near));
  }
  std::unique_ptr<tls::Engine> handshake(net::Socket& socket) {
    auto engine =
        tls::Engine::client(context_, credential("client"), {test::identity("demo", "server")});
    EXPECT_TRUE(run(reactor_, h2::tls_handshake(socket, *engine, Clock::now() + 5s)));
    return engine;
  }
  void send(net::Socket& socket, tls::Engine& engine, std::string_view text) {
    ByteQueue out;
    ASSERT_TRUE(test::seal(engine, as_bytes(text), out));
    ASSERT_TRUE(run(reactor_, socket.write(out.readable())));
  }
};

TEST_F(ServerTest, ASilentClientTimesOut) {
  server_options_.handshake_timeout = 30ms;
  auto socket = plain();
  wait([&] { return servers_ended_ == 1; });
  ASSERT_FALSE(server_result_);
  EXPECT_EQ(server_result_.error().code, make_error_code(culvert::Errc::kTimedOut));
}

TEST_F(ServerTest, AClientThatAnswersNoPingIsClosed) {
  server_options_.keepalive = {.interval = 20ms, .timeout = 20ms};
  auto socket = plain();
  auto engine = handshake(*socket);
  wait([&] { return servers_ended_ == 1; });
  EXPECT_TRUE(server_result_);
}

TEST_F(ServerTest, EndsWithTheInputWithAndWithoutCloseNotify) {
  for (const bool notify : {true, false}) {
    const int before = servers_ended_;
    auto socket = plain();
    auto engine = handshake(*socket);
    send(*socket, *engine, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    if (notify) {
      ByteQueue out;
      engine->close_notify(out);
      ASSERT_TRUE(run(reactor_, socket->write(out.readable())));
    } else {
      socket->finish_output();
    }
    wait([&] { return servers_ended_ == before + 1; });
  }
}

TEST_F(ServerTest, ACloseNotifyWithTheHandshakesLastFlightIsAnEnd) {
  auto socket = plain();
  auto engine =
      tls::Engine::client(context_, credential("client"), {test::identity("demo", "server")});
  ByteQueue out;
  std::vector<uint8_t> in(1 << 14);
  for (size_t got = 0;;) {
    const auto progress = engine->handshake(Bytes(in).first(got), out);
    ASSERT_TRUE(progress);
    const bool done = *progress == tls::Engine::Handshake::kDone;
    if (done) engine->close_notify(out);
    ASSERT_TRUE(run(reactor_, socket->write(out.readable())));
    out.clear();
    if (done) break;
    got = *run(reactor_, socket->read(in));
  }
  wait([&] { return servers_ended_ == 1; });
}

TEST_F(ServerTest, SomethingElseThanHttp2EndsTheTunnel) {
  auto socket = plain();
  auto engine = handshake(*socket);
  send(*socket, *engine, "GET / HTTP/1.1\r\nHost: example\r\n\r\n");
  wait([&] { return servers_ended_ == 1; });
}

TEST_F(ServerTest, ServesTwoHundredStreamsAtOnce) {
  options_.max_streams = 1000;
  auto first = connect();  // SETTINGS are known now
  std::vector<Got*> got;
  for (int i = 1; i < 200; ++i) got.push_back(&start());
  wait([&] { return std::ranges::all_of(got, [](Got* one) { return one->has_value(); }); });
  for (Got* one : got) EXPECT_TRUE(**one);
  EXPECT_EQ(streams_served_, 200);
  EXPECT_EQ(dials_, 1);
  auto more = connect();
  EXPECT_EQ(dials_, 2);
}

TEST_F(ServerTest, ATaskMayDropItsStreamAtOnce) {
  serve_ = [](std::unique_ptr<Stream>, const tls::Peer&) -> net::Task<> { co_return; };
  for (int i = 0; i < 3; ++i) {
    Got& got = start();
    wait([&] { return got.has_value(); });
    ASSERT_FALSE(*got);
    EXPECT_EQ(got->error().code, h2::make_error_code(h2::Errc::kStreamReset));
  }
}

// A server that leaves closes its tunnel behind the last answer. What the client sends meanwhile
// (WINDOW_UPDATE) is not to make the kernel reset the connection, and drop what it has not sent.
TEST_F(ServerTest, TheLastAnswerArrivesWholeThoughTheTunnelClosesBehindIt) {
  drop_ended_ = true;
  receive_buffer_ = 1 << 14;
  options_.settings.max_window = server_options_.settings.max_window = 1U << 18;
  const std::string answer(7 * (1U << 17) + 20'000, 'a');
  bool said = false;
  serve_ = [&](std::unique_ptr<Stream> stream, const tls::Peer&) -> net::Task<> {
    if (!co_await stream->head(kNever)) co_return;
    stream->respond(kOk, false);
    StreamIo io(std::move(stream));
    std::vector<uint8_t> buffer(100);
    auto end = co_await io.read(buffer);
    EXPECT_TRUE(end && *end == 0);
    EXPECT_TRUE(co_await io.write(as_bytes(answer)));
    EXPECT_TRUE(co_await io.shutdown_write());
    said = true;
  };
  StreamIo io(connect());
  pool().drain();
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  const std::string got = read_all(io);
  EXPECT_TRUE(said);
  EXPECT_TRUE(got == answer) << got.size() << " bytes that end in " << got.substr(got.size() - 60);
  wait([&] { return servers_ended_ == 1; });
}

// The same for what a client said last.
TEST_F(ServerTest, TheLastRequestArrivesWholeThoughTheTunnelClosesBehindIt) {
  drop_ended_ = true;
  receive_buffer_ = 1 << 14;
  options_.settings.max_window = server_options_.settings.max_window = 1U << 18;
  const std::string request(7 * (1U << 17) + 20'000, 'r');
  std::optional<std::string> got;
  serve_ = [&](std::unique_ptr<Stream> stream, const tls::Peer&) -> net::Task<> {
    if (!co_await stream->head(kNever)) co_return;
    stream->respond(kOk, false);
    StreamIo io(std::move(stream));
    EXPECT_TRUE(co_await io.shutdown_write());
    std::string all;
    std::vector<uint8_t> buffer(1 << 16);
    for (;;) {
      auto part = co_await io.read(buffer);
      if (!part) all += "!" + part.error().message();
      if (!part || *part == 0) break;
      all += as_text(Bytes(buffer).first(*part));
    }
    got = all;
  };
  StreamIo io(connect());
  pool().drain();
  EXPECT_EQ(read_all(io), "");
  ASSERT_TRUE(run(reactor_, io.write(as_bytes(request))));
  ASSERT_TRUE(run(reactor_, io.shutdown_write()));
  // The worker is busy with something else until a sweep is due: the first thing that it does then.
  std::this_thread::sleep_for(150ms);
  wait([&] { return got.has_value(); });
  EXPECT_TRUE(*got == request) << got->size() << " bytes that end in "
                               << got->substr(got->size() - std::min<size_t>(got->size(), 60));
  wait([&] { return servers_ended_ == 1; });
}

TEST_F(ServerTest, DestroyingItEndsItsStreams) {
  StreamIo io(connect());
  tasks_.cancel();
  servers_.clear();
  std::vector<uint8_t> buffer(10);
  EXPECT_FALSE(run(reactor_, io.read(buffer)));
}

// What a peer that does not read makes us keep is bounded by one batch: nothing is produced.
TEST_F(ServerTest, APeerThatDoesNotReadGetsNoMoreThanTheSocketTakes) {
  size_t produced = 0;
  serve_ = [&](std::unique_ptr<Stream> stream, const tls::Peer&) {
    return [](std::unique_ptr<Stream> held, size_t& count) -> net::Task<> {
      static_cast<void>(co_await held->head(kNever));
      held->respond(kOk, false);
      StreamIo io(std::move(held));
      const std::string chunk(16384, 'x');
      while (co_await io.write(as_bytes(chunk))) count += chunk.size();
    }(std::move(stream), produced);
  };
  auto socket = plain();
  const int small = 4096;
  ::setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  auto engine = handshake(*socket);
  const std::string block = std::string(
                                "\0\x07:method\x07"
                                "CONNECT",
                                17) +
                            std::string(
                                "\0\x0a:authority\x03"
                                "a:1",
                                16);
  const auto frame = [](size_t length, char type, char flags, char id, const std::string& payload) {
    return std::string{'\0', '\0', static_cast<char>(length), type, flags, 0, 0, 0, id} + payload;
  };
  const std::string window("\x00\x04\x3f\xff\xff\xff", 6);  // SETTINGS_INITIAL_WINDOW_SIZE: huge
  send(*socket, *engine,
       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(6, 4, 0, 0, window) +
           frame(4, 8, 0, 0, std::string("\x3f\xff\x00\x00", 4)) +
           frame(block.size(), 1, 4, 1, block));
  wait([&] { return produced > 0; });
  size_t before = 0;
  for (int quiet = 0; quiet < 20; quiet = produced == before ? quiet + 1 : 0) {
    before = produced;
    reactor_.turn(2ms);
  }
  EXPECT_LT(produced, 8U << 20);  // the kernel's buffers
}

}  // namespace
}  // namespace culvert::hbone
