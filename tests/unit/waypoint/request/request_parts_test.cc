#include "tests/support/fixed_random.h"
#include "tests/support/loop.h"
#include "tests/support/scripted_upstreams.h"
#include "tests/unit/waypoint/support.h"
#include "waypoint/request/grpc_frames.h"
#include "waypoint/request/local_reply.h"
#include "waypoint/tunnel/prefixed_stream.h"
#include "waypoint/upstream/endpoint_choice.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

// The small parts that requests and connections are made of.
namespace culvert::waypoint {
namespace {

using culvert::test::FixedRandom;
using culvert::test::ScriptedUpstreams;
using culvert::test::StreamEnd;

std::string frame(const std::string& message) {
  std::string out(5, '\0');
  out[3] = static_cast<char>(message.size() >> 8U);
  out[4] = static_cast<char>(message.size() & 0xffU);
  return out + message;
}

TEST(GrpcFrames, WhateverThePieces) {
  const std::string body = frame("a") + frame("") + frame(std::string(300, 'x')) + frame("");
  for (size_t piece = 1; piece <= body.size(); ++piece) {
    GrpcFrames frames;
    for (size_t at = 0; at < body.size(); at += piece)
      frames.feed(as_bytes(std::string_view(body).substr(at, piece)));
    EXPECT_EQ(frames.messages(), 4U) << piece;
  }
}

TEST(GrpcFrames, NothingIsNoMessage) {
  GrpcFrames frames;
  frames.feed({});
  frames.feed(as_bytes(std::string_view("\0\0\0", 3)));
  EXPECT_EQ(frames.messages(), 0U);
}

TEST(LocalReply, GrpcIsKnownByItsContentType) {
  const std::pair<const char*, bool> cases[] = {
      {"application/grpc", true},           {"application/grpc+proto", true},
      {"application/grpc;charset=x", true}, {"Application/GRPC", true},
      {"application/grpc-web", false},      {"application/grpc-web+proto", false},
      {"application/grpcx", false},         {"text/plain", false},
  };
  for (const auto& [type, expected] : cases) {
    http::Headers headers;
    headers.add("content-type", type).value();
    EXPECT_EQ(is_grpc(headers), expected) << type;
  }
  EXPECT_FALSE(is_grpc({}));
}

TEST(LocalReply, GrpcStatusOfHeaders) {
  http::Headers headers;
  EXPECT_EQ(grpc_status(headers), std::nullopt);
  headers.add("grpc-status", "14").value();
  EXPECT_EQ(grpc_status(headers), 14);
  for (const char* bad : {"x", "", "1x", "99999999999999999999"}) {
    headers.set("grpc-status", bad).value();
    EXPECT_EQ(grpc_status(headers), -1) << bad;
  }
}

TEST(LocalReply, HttpToGrpc) {
  // https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
  const std::pair<int, int> cases[] = {{400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14},
                                       {502, 14}, {503, 14}, {504, 14}, {500, 2},  {418, 2}};
  for (const auto& [http, grpc] : cases) EXPECT_EQ(grpc_status_of(http), grpc) << http;
}

TEST(LocalReply, GrpcClientsGetTrailersOnly) {
  const auto request = test::request("POST", "a", "/s/m", {{"content-type", "application/grpc"}});
  const WrittenReply written = write_reply(replies::no_healthy_upstream(), request, WallTime{});
  EXPECT_EQ(written.head.status, 200);
  EXPECT_EQ(written.head.headers.get("content-type"), "application/grpc");
  EXPECT_EQ(written.head.headers.get("grpc-status"), "14");
  EXPECT_EQ(written.head.headers.get("grpc-message"), "no healthy upstream");
  EXPECT_EQ(written.body, "");
  EXPECT_EQ(written.grpc_status, 14);
}

TEST(LocalReply, OthersGetTheText) {
  const WrittenReply written =
      write_reply(replies::denied("d"), test::request("GET", "a", "/"), WallTime{});
  EXPECT_EQ(written.head.status, 403);
  EXPECT_EQ(written.body, "RBAC: access denied");
  EXPECT_EQ(written.head.headers.get("content-length"), "19");
  EXPECT_EQ(written.head.headers.get("content-type"), "text/plain");
  EXPECT_EQ(written.head.headers.get("date"), "Thu, 01 Jan 1970 00:00:00 GMT");
  const WrittenReply empty =
      write_reply(replies::no_route(), test::request("GET", "a", "/"), WallTime{});
  EXPECT_FALSE(empty.head.headers.contains("content-type"));
}

TEST(PrefixedStream, PrefixFirstThenTheStream) {
  net::Reactor reactor;
  auto end = std::make_shared<StreamEnd>(reactor);
  end->say("rest");
  end->end();
  ByteQueue prefix;
  prefix.append(as_bytes("begin"));
  PrefixedStream stream(culvert::test::make_stream(end), std::move(prefix));
  std::string got;
  std::array<uint8_t, 3> buffer{};
  while (true) {
    const auto read = culvert::test::run(reactor, stream.read(buffer, kNever));
    ASSERT_TRUE(read);
    if (*read == 0) break;
    got += as_text(Bytes(buffer).first(*read));
  }
  EXPECT_EQ(got, "beginrest");
  EXPECT_TRUE(culvert::test::run(reactor, stream.write(as_bytes("out"), kNever)));
  EXPECT_EQ(end->output, "out");
  EXPECT_TRUE(culvert::test::run(reactor, stream.shutdown_write()));
  EXPECT_TRUE(end->output_ended);
  stream.reset();
  EXPECT_TRUE(end->reset);
}

TEST(PrefixedStream, WithoutWaitingForTheStream) {
  net::Reactor reactor;
  auto end = std::make_shared<StreamEnd>(reactor);  // says nothing
  ByteQueue prefix;
  prefix.append(as_bytes("x"));
  PrefixedStream stream(culvert::test::make_stream(end), std::move(prefix));
  std::array<uint8_t, 16> buffer{};
  EXPECT_EQ(*culvert::test::run(reactor, stream.read(buffer, kNever)), 1U);
  const auto late =
      culvert::test::run(reactor, stream.read(buffer, Clock::now() + std::chrono::milliseconds(5)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, make_error_code(Errc::kTimedOut));
}

Upstream pods(std::vector<EndpointState> states) {
  Upstream out;
  out.name = "u";
  std::vector<Endpoint> list;
  for (size_t i = 0; i < states.size(); ++i) {
    Endpoint endpoint;
    endpoint.address = test::address("10.0.0." + std::to_string(i + 1) + ":80");
    endpoint.state = states[i];
    list.push_back(endpoint);
  }
  out.set_endpoints(std::move(list));
  return out;
}

TEST(EndpointChoice, PreviousHostsAreAvoidedUntilAllWereTried) {
  net::Reactor reactor;
  ScriptedUpstreams upstreams(reactor);
  const Upstream upstream = pods({{}, {}, {}});
  for (uint64_t seed = 0; seed < 3; ++seed) {
    FixedRandom random({seed});
    std::vector<size_t> tried;
    std::set<std::string> seen;
    for (int i = 0; i < 3; ++i) {
      const auto endpoint = choose_endpoint(upstream, {}, upstreams, tried, random);
      ASSERT_TRUE(endpoint);
      seen.insert(endpoint->address.to_string());
    }
    EXPECT_EQ(seen.size(), 3U);
    EXPECT_TRUE(choose_endpoint(upstream, {}, upstreams, tried, random));  // better than none
  }
}

TEST(EndpointChoice, LessBusyOneOfTwo) {
  net::Reactor reactor;
  ScriptedUpstreams upstreams(reactor);
  const Upstream upstream = pods({{}, {}});
  upstreams.busy["10.0.0.1:80"] = 7;
  test::Sequence random({0, 1});
  std::vector<size_t> tried;
  EXPECT_EQ(choose_endpoint(upstream, {}, upstreams, tried, random)->address,
            test::address("10.0.0.2:80"));
}

TEST(EndpointChoice, NoneUsable) {
  net::Reactor reactor;
  ScriptedUpstreams upstreams(reactor);
  FixedRandom random;
  std::vector<size_t> tried;
  EXPECT_FALSE(choose_endpoint(pods({}), {}, upstreams, tried, random));
  EXPECT_FALSE(choose_endpoint(pods({{Health::kUnhealthy, 1, 0}, {Health::kHealthy, 0, 0}}), {},
                               upstreams, tried, random));
}

TEST(EndpointChoice, Http2) {
  Upstream upstream;
  for (const auto [protocol, old_client, new_client] :
       {std::tuple{AppProtocol::kHttp, false, false}, std::tuple{AppProtocol::kHttp2, true, true},
        std::tuple{AppProtocol::kGrpc, true, true}, std::tuple{AppProtocol::kSniff, false, true}}) {
    upstream.protocol = protocol;
    EXPECT_EQ(speaks_http2(upstream, http::Version::kHttp11), old_client);
    EXPECT_EQ(speaks_http2(upstream, http::Version::kHttp10), old_client);
    EXPECT_EQ(speaks_http2(upstream, http::Version::kHttp2), new_client);
  }
}

}  // namespace
}  // namespace culvert::waypoint
