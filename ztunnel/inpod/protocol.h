#pragma once

#include "common/base/result.h"
#include "common/net/fd.h"
#include "ztunnel/pod.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// ZDS, the protocol between the Istio CNI node agent and ztunnel (proto/zds.proto), as plain
// functions over packets. A connection: ztunnel sends hello; the agent sends Add (with the
// descriptor of the pod's network namespace) or Keep for each pod, then SnapshotSent, then Add and
// Del as they happen; ztunnel answers each with exactly one ack, in order, within 5 s, because
// answers are matched by order only.
namespace culvert::ztunnel::inpod {

// The agent and Istio's ztunnel read into buffers of this size; a longer packet arrives truncated.
inline constexpr size_t kMaxPacket = 1024;
// What remains for an error's text beside the framing, with some air.
inline constexpr size_t kMaxErrorText = 999;

// A packet as received, owning the descriptors that came with it.
struct Packet {
  std::string payload;
  std::vector<net::Fd> fds;
  bool truncated = false;  // payload or control data did not fit
};

struct Add {
  std::string uid;
  std::optional<PodInfo> info;  // absent is a protocol error, which the state machine reports
  net::Fd netns;
};
struct Keep {
  std::string uid;
};
struct Del {
  std::string uid;
};
struct SnapshotSent {};
using Request = std::variant<Add, Keep, Del, SnapshotSent>;

// Descriptors of a packet that does not parse are closed. Whether a descriptor is a network
// namespace shows when it is entered. Errors, all Errc::kReadMessage: "Expected 1 FD, got <n>",
// "received truncated message", "no payload", "No control message" (Add without descriptor),
// "Unexpected control message" (descriptor on anything else), or that it is not such a protobuf
// message.
Result<Request> parse(Packet packet);

// The first packet of a connection.
std::string encode_hello();
// The answer to one request; an empty text means success. The text is made valid UTF-8 (else the
// agent could not decode it) and cut to kMaxErrorText bytes between characters.
std::string encode_ack(std::string_view error_text);

}  // namespace culvert::ztunnel::inpod
