#include "ztunnel/inpod/protocol.h"

#include "proto/zds.pb.h"
#include "ztunnel/inpod/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace culvert::ztunnel::inpod {
namespace {

net::Fd some_fd() { return net::Fd(::memfd_create("netns", MFD_CLOEXEC)); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0 || errno != EBADF; }

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

Packet packet(std::string payload, size_t fds = 0) {
  Packet out{std::move(payload), {}, false};
  out.fds.reserve(fds);
  for (size_t i = 0; i < fds; ++i) out.fds.push_back(some_fd());
  return out;
}

// The text of the refusal; empty when the packet is a request.
std::string refusal(Packet raw) {
  const auto request = parse(std::move(raw));
  if (request) return "";
  EXPECT_EQ(request.error().code, Errc::kReadMessage);
  return request.error().context;
}

std::string add_bytes(const std::string& uid) {
  istio::workload::zds::WorkloadRequest message;
  message.mutable_add()->set_uid(uid);
  message.mutable_add()->mutable_workload_info()->set_name("client");
  return message.SerializeAsString();
}

const std::string kDel = from_hex("120412027531");  // the uid of a DelWorkload is field 2
const std::string kKeep = from_hex("2a040a027531");
const std::string kSnapshotSent = from_hex("1a00");

TEST(ZdsParse, WhatARealAgentSent) {
  std::ifstream file("tests/fixtures/zds/packets.txt");
  ASSERT_TRUE(file) << "run from the top of the tree";
  size_t requests = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string from, hex;
    size_t fds = 0;
    if (line.starts_with('#') || !(words >> from >> fds >> hex)) continue;
    if (from == "ztunnel") {
      const std::string ours = hex == "0801" ? encode_hello() : encode_ack("");
      EXPECT_EQ(ours, from_hex(hex));
      continue;
    }
    ++requests;
    EXPECT_TRUE(parse(packet(from_hex(hex), fds))) << line;
  }
  EXPECT_GE(requests, 8U);
}

TEST(ZdsParse, Add) {
  Packet raw = packet(
      from_hex("0a3e0a2432666566373838632d326639382d346566392d393432622d36663838356466666133663312"
               "160a06636c69656e74120464656d6f1a06636c69656e74"),
      1);
  const int fd = raw.fds.front().get();
  const auto request = parse(std::move(raw));
  ASSERT_TRUE(request);
  const auto& add = std::get<Add>(*request);
  EXPECT_EQ(add.uid, "2fef788c-2f98-4ef9-942b-6f885dffa3f3");
  ASSERT_TRUE(add.info);
  EXPECT_EQ(*add.info, (PodInfo{"client", "demo", "client"}));
  EXPECT_EQ(add.netns.get(), fd);
}

TEST(ZdsParse, AddWithoutInfoIsForTheStateMachineToRefuse) {
  const auto request = parse(packet(from_hex("0a040a027531"), 1));
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<Add>(*request).uid, "u1");
  EXPECT_FALSE(std::get<Add>(*request).info);
}

TEST(ZdsParse, TheOthers) {
  EXPECT_EQ(std::get<Del>(*parse(packet(kDel))).uid, "u1");
  EXPECT_EQ(std::get<Keep>(*parse(packet(kKeep))).uid, "u1");
  EXPECT_TRUE(std::holds_alternative<SnapshotSent>(*parse(packet(kSnapshotSent))));
}

TEST(ZdsParse, UnknownFieldsOfALaterAgentAreSkipped) {
  EXPECT_TRUE(parse(packet(kKeep + from_hex("a20603616263"))));
}

TEST(ZdsParse, Malformed) {
  const std::string add = add_bytes("u1");
  const struct {
    const char* what;
    std::string payload;
    size_t fds;
    const char* refusal;
  } cases[] = {
      {"no oneof", "", 0, "no payload"},
      {"only an unknown field", from_hex("220161"), 0, "no payload"},
      {"add without descriptor", add, 0, "No control message"},
      {"add with two", add, 2, "Expected 1 FD, got 2"},
      {"del with one", kDel, 1, "Unexpected control message"},
      {"keep with one", kKeep, 1, "Unexpected control message"},
      {"snapshot with one", kSnapshotSent, 1, "Unexpected control message"},
      {"snapshot with 253", kSnapshotSent, 253, "Expected 1 FD, got 253"},
      {"garbage and two descriptors", "\xff\xff", 2, "Expected 1 FD, got 2"},
  };
  for (const auto& c : cases) EXPECT_EQ(refusal(packet(c.payload, c.fds)), c.refusal) << c.what;
}

TEST(ZdsParse, NotProtobuf) {
  const std::string add = add_bytes("u1");
  const std::string cases[] = {"\xff",
                               std::string(10, '\xff'),
                               "GET / HTTP/1.1\r\n\r\n",
                               add.substr(0, add.size() - 1),
                               from_hex("0a05"),  // a length beyond the end
                               from_hex("0a03"
                                        "0a0161"
                                        "00"),                          // field number 0
                               from_hex("2a030a01ff"),                  // a uid that is not UTF-8
                               from_hex("0a0b0affffffffffffffffff01"),  // a length of 64 bits
                               from_hex("13")};                         // an end without a start
  for (const std::string& payload : cases)
    EXPECT_EQ(refusal(packet(payload)), "not a workload request of the ZDS protocol")
        << ::testing::PrintToString(payload);
}

TEST(ZdsParse, EveryPrefixOfAnAddIsRefusedOrARequestAndNeverCrashes) {
  const std::string add = add_bytes(std::string(200, 'u'));
  for (size_t i = 0; i < add.size(); ++i) EXPECT_NE(refusal(packet(add.substr(0, i), 1)), "") << i;
}

TEST(ZdsParse, Truncated) {
  for (const bool with_fd : {false, true}) {
    Packet raw = packet(with_fd ? add_bytes("u1") : kKeep, with_fd ? 1 : 0);
    raw.truncated = true;
    EXPECT_EQ(refusal(std::move(raw)), "received truncated message");
  }
  EXPECT_EQ(refusal(packet(std::string(kMaxPacket + 1, 'x'))), "received truncated message");
}

TEST(ZdsParse, DescriptorsOfARefusedPacketAreClosed) {
  for (const auto& [payload, count] :
       {std::pair{kKeep, 1}, {add_bytes("u1"), 3}, {std::string("\xff"), 1}, {std::string(), 1}}) {
    Packet raw = packet(payload, count);
    std::vector<int> fds;
    fds.reserve(raw.fds.size());
    for (const net::Fd& fd : raw.fds) fds.push_back(fd.get());
    EXPECT_FALSE(parse(std::move(raw)));
    for (const int fd : fds) EXPECT_FALSE(is_open(fd));
  }
}

// ---- what we send

std::string error_of(const std::string& ack) {
  istio::workload::zds::WorkloadResponse response;
  EXPECT_TRUE(response.ParseFromString(ack));  // checks UTF-8
  EXPECT_TRUE(response.has_ack());
  return response.ack().error();
}

TEST(ZdsEncode, HelloAndSuccess) {
  EXPECT_EQ(encode_hello(), from_hex("0801"));
  EXPECT_EQ(encode_ack(""), from_hex("0a00"));
}

TEST(ZdsEncode, AnErrorFitsTheAgentsBuffer) {
  EXPECT_EQ(error_of(encode_ack("failure")), "failure");
  for (const size_t size : {998U, 999U, 1000U, 5000U}) {
    const std::string ack = encode_ack(std::string(size, 'x'));
    EXPECT_LE(ack.size(), kMaxPacket);
    EXPECT_EQ(error_of(ack), std::string(std::min(size, kMaxErrorText), 'x'));
  }
}

TEST(ZdsEncode, AnErrorIsCutBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 600; ++i) text += "\xc3\xa9";
  const std::string error = error_of(encode_ack(text));
  EXPECT_EQ(error.size(), 999U);
  EXPECT_EQ(error, text.substr(0, 999));
  EXPECT_EQ(error_of(encode_ack("xx" + text)).size(), 999U - 0);
  EXPECT_EQ(error_of(encode_ack("x" + text)).size(), 998U);
}

TEST(ZdsEncode, AnErrorIsMadeValidUtf8) {
  EXPECT_EQ(error_of(encode_ack("a\xff"
                                "b")),
            "a?b");
  EXPECT_EQ(error_of(encode_ack("\xe2\x82")), "??");            // cut short
  EXPECT_EQ(error_of(encode_ack("\xc0\x80")), "??");            // overlong
  EXPECT_EQ(error_of(encode_ack("\xed\xa0\x80")), "???");       // surrogate
  EXPECT_EQ(error_of(encode_ack("\xf4\x90\x80\x80")), "????");  // beyond U+10FFFF
  EXPECT_EQ(error_of(encode_ack("\xf0\x9f\x98\x80")), "\xf0\x9f\x98\x80");
}

TEST(ZdsEncode, NackTextsAreTheReferences) {
  EXPECT_EQ(nack_text(Error(Errc::kReadMessage, "no payload")),
            "failure to read message : no payload");
  EXPECT_EQ(nack_text(Error(Errc::kStartProxy, "x")), "failure to start proxy : x");
  EXPECT_EQ(nack_text(Error(Errc::kProcessMessage, "x")), "failure to process message : x");
}

}  // namespace
}  // namespace culvert::ztunnel::inpod
