#include "tests/support/loop.h"
#include "waypoint/tunnel/connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace culvert::waypoint {
namespace {

struct Silence {};
struct Failure {};
using Step = std::variant<std::string, Silence, Failure>;  // "" is the end of input

// Gives what the script says, and notes until when each read would have waited.
class Script final : public net::ByteStream {
 public:
  explicit Script(std::vector<Step> steps) : steps_(steps.begin(), steps.end()) {}

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline) override {
    waits.push_back(deadline == kNever
                        ? Millis(0)
                        : std::chrono::ceil<std::chrono::seconds>(deadline - Clock::now()));
    if (steps_.empty()) co_return Error(culvert::Errc::kInvalid, "read too often");
    const Step step = std::move(steps_.front());
    steps_.pop_front();
    if (std::holds_alternative<Silence>(step)) co_return Error(culvert::Errc::kTimedOut);
    if (std::holds_alternative<Failure>(step)) co_return Error(culvert::Errc::kClosed);
    const auto& text = std::get<std::string>(step);
    std::copy(text.begin(), text.end(), to.begin());
    co_return text.size();
  }
  net::Task<Result<>> write(Bytes, Time) override { co_return Result<>(); }
  net::Task<Result<>> shutdown_write() override { co_return Result<>(); }
  void reset() override {}

  std::vector<Millis> waits;

 private:
  std::deque<Step> steps_;
};

struct Found {
  std::optional<Spoken> spoken;
  std::string read;
  std::vector<Millis> waits;
};

Found detected(AppProtocol protocol, std::vector<Step> steps) {
  net::Reactor reactor;
  Script script(std::move(steps));
  const Limits limits;
  ByteQueue read;
  Found found;
  found.spoken = test::run(reactor, detect(script, protocol, limits, read));
  found.read = as_text(std::as_const(read).readable());
  found.waits = script.waits;
  return found;
}

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

TEST(Detect, DeclaredTcpIsNotRead) {
  for (const auto protocol : {AppProtocol::kTcp, AppProtocol::kTls}) {
    const Found found = detected(protocol, {"GET / HTTP/1.1\r\n"});
    EXPECT_EQ(found.spoken, Spoken::kTcp);
    EXPECT_TRUE(found.waits.empty());
  }
}

TEST(Detect, UndeclaredGoesByTheFirstBytes) {
  EXPECT_EQ(detected(AppProtocol::kSniff, {"GET / HTTP/1.1\r\n"}).spoken, Spoken::kHttp1);
  EXPECT_EQ(detected(AppProtocol::kSniff, {kPreface}).spoken, Spoken::kHttp2);
  EXPECT_EQ(detected(AppProtocol::kSniff, {"\x16\x03\x01"}).spoken, Spoken::kTcp);
  const Found split = detected(AppProtocol::kSniff, {"GE", "T / HT", "TP/1.1\r\n"});
  EXPECT_EQ(split.spoken, Spoken::kHttp1);
  EXPECT_EQ(split.read, "GET / HTTP/1.1\r\n");
}

TEST(Detect, UndeclaredAndSilentIsTcp) {
  const Found silent = detected(AppProtocol::kSniff, {Silence{}});
  EXPECT_EQ(silent.spoken, Spoken::kTcp);
  EXPECT_EQ(silent.waits, std::vector<Millis>{Millis(1000)});  // 200 ms, in whole seconds
  EXPECT_EQ(detected(AppProtocol::kSniff, {"GET /sl", Silence{}}).spoken, Spoken::kTcp);
  EXPECT_EQ(detected(AppProtocol::kSniff, {""}).spoken, Spoken::kTcp);
  const Found ended = detected(AppProtocol::kSniff, {"QUI", ""});
  EXPECT_EQ(ended.spoken, Spoken::kTcp);
  EXPECT_EQ(ended.read, "QUI");
}

TEST(Detect, DeclaredHttpOnlyTellsVersionsApart) {
  for (const auto protocol : {AppProtocol::kHttp, AppProtocol::kHttp2, AppProtocol::kGrpc}) {
    EXPECT_EQ(detected(protocol, {kPreface}).spoken, Spoken::kHttp2);
    EXPECT_EQ(detected(protocol, {"G"}).spoken, Spoken::kHttp1);
    EXPECT_EQ(detected(protocol, {"\x16\x03\x01"}).spoken, Spoken::kHttp1);
    EXPECT_EQ(detected(protocol, {"PRI * HT", "TP/1.1\r\n"}).spoken, Spoken::kHttp1);
    EXPECT_EQ(detected(protocol, {"PR", ""}).spoken, Spoken::kHttp1);
  }
}

TEST(Detect, DeclaredHttpMayBeIdleAndThenHasTheTimeOfAHead) {
  const Found found = detected(AppProtocol::kHttp, {"PRI", Silence{}});
  EXPECT_EQ(found.spoken, Spoken::kHttp1);  // which then answers 408
  EXPECT_EQ(found.waits, (std::vector<Millis>{Millis(3'600'000), Millis(60'000)}));
  EXPECT_EQ(detected(AppProtocol::kHttp, {Silence{}}).spoken, std::nullopt);
}

TEST(Detect, FailedStreams) {
  for (const auto protocol : {AppProtocol::kHttp, AppProtocol::kSniff}) {
    EXPECT_EQ(detected(protocol, {Failure{}}).spoken, std::nullopt);
    EXPECT_EQ(detected(protocol, {"P", Failure{}}).spoken, std::nullopt);
  }
}

}  // namespace
}  // namespace culvert::waypoint
