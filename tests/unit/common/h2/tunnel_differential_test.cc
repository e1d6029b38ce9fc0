#include "tests/unit/common/h2/session_fixture.h"
#include "tests/unit/common/h2/tunnel_fixture.h"

#include <random>

// A TunnelSession and nghttp2's session talk to each other, in both roles, about anything.
namespace culvert::h2 {
namespace {

// One face for both kinds of side.
void resume(TunnelSide& side, TestTunnel& stream) { side.session.resume(stream); }
void resume(Side& side, TestStream& stream) { side.session.resume(stream.id); }
void reset(TunnelSide& side, TestTunnel& stream, ErrorCode code) {
  side.session.reset(stream, code);
}
void reset(Side& side, TestStream& stream, ErrorCode code) { side.session.reset(stream.id, code); }
void answer(TunnelSide& side, TestTunnel& stream) {
  side.session.respond(stream, kTunnelOk, false);
}
void answer(Side& side, TestStream& stream) { side.session.respond(stream.id, kOk, false); }
void consume(TunnelSide& side, TestTunnel& stream, size_t n) { side.session.consume(stream, n); }
void consume(Side& side, TestStream& stream, size_t n) { side.session.consume(stream.id, n); }
std::string output_of(TunnelSide& side, std::mt19937& random) {
  constexpr size_t kMost = tls::RecordBatch::kFullRecords * tls::RecordBatch::kPlain;
  return random() % 4 == 0 ? side.fill_once(kMost - random() % 3000) : side.fill_once();
}
std::string output_of(Side& side, std::mt19937& random) {
  ByteQueue out;
  EXPECT_TRUE(side.session.drain(out, 1 + random() % 200'000));
  return std::string(as_text(Bytes(out.readable())));
}
Result<> input_to(TunnelSide& side, std::string_view bytes) { return side.feed(bytes); }
Result<> input_to(Side& side, std::string_view bytes) { return side.session.feed(as_bytes(bytes)); }

template <class Client, class Server>
class Traffic {
 public:
  // `holds`: the server takes so few streams that requests are held back. Those are not reset, so
  // that ids are given in the order of open().
  Traffic(Client& client, Server& server, uint32_t seed, bool holds = false)
      : client_(client), server_(server), random_(seed), holds_(holds) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
    finish();
    for (const auto& [id, plan] : plans_) check(id, plan);
    EXPECT_EQ(client_.session.streams(), 0U);
    EXPECT_EQ(server_.session.streams(), 0U);
  }

 private:
  struct Plan {
    std::string up, down;  // everything given to send
    bool up_ends = false, down_ends = false, answered = false;
    std::optional<ErrorCode> client_reset, server_reset;
    size_t client_taken = 0, server_taken = 0;
  };

  void step() {
    switch (random_() % 10) {
      case 0:
        if (plans_.size() < 60 && random_() % 3 == 0) {
          auto& stream = client_.open();
          stream.consume = false;
          plans_[stream.id];
        }
        break;
      case 1:
      case 2:
        say();
        break;
      case 3:
        take();
        break;
      case 4:
        if (random_() % 8 == 0) client_.session.ping();
        if (random_() % 8 == 0) server_.session.ping();
        break;
      case 5:
        if (random_() % 16 == 0) break_one();
        break;
      default:
        carry();
    }
  }
  int pick() {
    auto at = plans_.begin();
    std::advance(at, random_() % plans_.size());
    return at->first;
  }
  bool served(StreamId id) const { return server_.streams.contains(id); }
  std::string some() {
    static constexpr size_t kSizes[] = {1, 10, 1000, 20'000, 300'000};
    std::string out(1 + random_() % kSizes[random_() % 5], '\0');
    for (char& c : out) c = static_cast<char>(random_());
    return out;
  }
  void say() {
    if (plans_.empty()) return;
    const StreamId id = pick();
    Plan& plan = plans_[id];
    const bool end = random_() % 8 == 0;
    auto& stream = client_.at(id);
    if (random_() % 2 == 0 && !plan.up_ends && !plan.client_reset && !stream.closed) {
      say(client_, stream, plan.up, plan.up_ends, end);
    } else if (served(id) && !plan.down_ends && !plan.server_reset && !server_.at(id).closed) {
      auto& down = server_.at(id);
      if (down.log.empty()) return;
      if (!plan.answered) {
        answer(server_, down);
        down.consume = false;
      }
      plan.answered = true;
      say(server_, down, plan.down, plan.down_ends, end);
    }
  }
  void say(auto& side, auto& stream, std::string& all, bool& ends, bool end) {
    const std::string more = random_() % 8 == 0 ? "" : some();
    all += more;
    stream.output += more;
    stream.finish = ends = end;
    resume(side, stream);
  }
  void take() {
    if (plans_.empty()) return;
    const StreamId id = pick();
    Plan& plan = plans_[id];
    take(client_, client_.at(id), plan.client_taken, plan.client_reset.has_value());
    if (served(id) && plan.answered)
      take(server_, server_.at(id), plan.server_taken, plan.server_reset.has_value());
  }
  void take(auto& side, auto& stream, size_t& taken, bool was_reset) {
    if (stream.closed || was_reset || stream.input.size() == taken) return;
    const size_t n = 1 + random_() % (stream.input.size() - taken);
    consume(side, stream, n);
    taken += n;
  }
  void break_one() {
    if (plans_.empty()) return;
    const StreamId id = pick();
    const auto code = static_cast<ErrorCode>(random_() % 14);
    Plan& plan = plans_[id];
    if (random_() % 2 == 0) {
      if (client_.at(id).closed || plan.client_reset) return;
      if (holds_ && client_.at(id).log.empty()) return;
      reset(client_, client_.at(id), code);
      plan.client_reset = code;
    } else if (served(id) && !server_.at(id).closed && !plan.server_reset) {
      reset(server_, server_.at(id), code);
      plan.server_reset = code;
    }
  }
  void carry() {
    if (random_() % 2 == 0) up_ += output_of(client_, random_);
    if (random_() % 2 == 0) down_ += output_of(server_, random_);
    deliver(server_, up_);
    deliver(client_, down_);
  }
  void deliver(auto& side, std::string& wire) {
    size_t n = std::min<size_t>(wire.size(), 1 + random_() % 40'000);
    std::string_view part = std::string_view(wire).substr(0, n);
    while (!part.empty()) {
      const size_t piece = random_() % 3 == 0 ? 1 + random_() % 20 : part.size();
      const auto now = part.substr(0, piece);
      const auto result = input_to(side, now);
      ASSERT_TRUE(result) << result.error().message();
      part.remove_prefix(now.size());
    }
    wire.erase(0, n);
  }
  // Everything ends, in peace.
  void finish() {
    for (int i = 0; i < 100'000 && !testing::Test::HasFailure(); ++i) {
      bool quiet = up_.empty() && down_.empty() && !client_.session.wants_write() &&
                   !server_.session.wants_write();
      for (auto& [id, plan] : plans_) {
        auto& stream = client_.at(id);
        if (!stream.closed && !plan.client_reset && !plan.up_ends) {
          stream.finish = plan.up_ends = true;
          resume(client_, stream);
          quiet = false;
        }
        take_all(client_, stream, plan.client_taken, plan.client_reset.has_value(), quiet);
        if (!served(id)) continue;
        auto& down = server_.at(id);
        if (!down.closed && !plan.server_reset && !down.log.empty() && !plan.down_ends) {
          if (!plan.answered) answer(server_, down);
          down.finish = plan.down_ends = plan.answered = true;
          resume(server_, down);
          quiet = false;
        }
        take_all(server_, down, plan.server_taken, plan.server_reset.has_value(), quiet);
      }
      if (quiet) return;
      carry();
    }
    FAIL() << "does not come to rest";
  }
  void take_all(auto& side, auto& stream, size_t& taken, bool was_reset, bool& quiet) {
    if (stream.closed || was_reset || stream.input.size() == taken || stream.consume) return;
    consume(side, stream, stream.input.size() - taken);
    taken = stream.input.size();
    quiet = false;
  }
  void check(StreamId id, const Plan& plan) {
    SCOPED_TRACE(id);
    const auto& up = client_.at(id);
    ASSERT_TRUE(up.closed);
    EXPECT_TRUE(plan.down.starts_with(up.input));
    if (!served(id)) {
      EXPECT_TRUE(plan.client_reset);  // before it left
      return;
    }
    const auto& down = server_.at(id);
    EXPECT_TRUE(plan.up.starts_with(down.input));
    ASSERT_TRUE(down.closed);
    if (!plan.client_reset && !plan.server_reset) {
      EXPECT_EQ(up.closed, ErrorCode::kNoError);
      EXPECT_EQ(down.closed, ErrorCode::kNoError);
      EXPECT_EQ(up.log, "head end closed:NO_ERROR");
      EXPECT_EQ(down.log, "head end closed:NO_ERROR");
      EXPECT_TRUE(up.input == plan.down);
      EXPECT_TRUE(down.input == plan.up);
    } else if (!plan.server_reset) {
      expect_reset(up, down, *plan.client_reset);
    } else if (!plan.client_reset) {
      expect_reset(down, up, *plan.server_reset);
    }
  }
  // `by` reset the stream; the other heard of it unless it had both ends already.
  static void expect_reset(const auto& by, const auto& other, ErrorCode code) {
    if (by.closed != ErrorCode::kNoError) EXPECT_EQ(by.closed, code);
    if (other.closed != ErrorCode::kNoError) EXPECT_EQ(other.closed, code);
  }

  Client& client_;
  Server& server_;
  std::mt19937 random_;
  const bool holds_;
  std::map<StreamId, Plan> plans_;
  std::string up_, down_;
};

class TunnelDifferential : public testing::TestWithParam<uint32_t> {};

TEST_P(TunnelDifferential, AsClientOfNghttp2) {
  Settings settings = server_settings();
  settings.stream_window = 100'000;
  settings.connection_window = 300'000;
  TunnelSide client(Role::kClient, {});
  Side server(Role::kServer, settings);
  Traffic(client, server, GetParam()).run(3000);
}
TEST_P(TunnelDifferential, AsServerOfNghttp2) {
  Settings settings;
  settings.stream_window = 100'000;
  settings.connection_window = 300'000;
  Side client(Role::kClient, settings);
  TunnelSide server(Role::kServer, tunnel_settings());
  Traffic(client, server, GetParam()).run(3000);
}
TEST_P(TunnelDifferential, WithItself) {
  TunnelSettings settings = tunnel_settings(5);
  settings.initial_window = 70'000;
  settings.max_window = 200'000;
  settings.connection_window = 300'000;
  TunnelSide client(Role::kClient, settings);
  TunnelSide server(Role::kServer, settings);
  Traffic(client, server, GetParam(), true).run(3000);
}
INSTANTIATE_TEST_SUITE_P(Seeds, TunnelDifferential, testing::Range<uint32_t>(0, 20));

}  // namespace
}  // namespace culvert::h2
