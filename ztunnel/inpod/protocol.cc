#include "ztunnel/inpod/protocol.h"

#include "proto/zds.pb.h"
#include "ztunnel/inpod/errors.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::ztunnel::inpod {
namespace {

namespace zds = istio::workload::zds;

Add to_add(zds::AddWorkload& message, net::Fd netns) {
  Add add{std::move(*message.mutable_uid()), std::nullopt, std::move(netns)};
  if (message.has_workload_info()) {
    zds::WorkloadInfo& info = *message.mutable_workload_info();
    add.info = PodInfo{std::move(*info.mutable_name()), std::move(*info.mutable_namespace_()),
                       std::move(*info.mutable_service_account())};
  }
  return add;
}

// How many bytes the UTF-8 character at the start of `text` has; 0 if there is none (RFC 3629
// section 4).
size_t character_length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  const size_t length = lead < 0x80                   ? 1
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((lead == 0xe0 && at(1) < 0xa0) || (lead == 0xed && at(1) > 0x9f) ||
      (lead == 0xf0 && at(1) < 0x90) || (lead == 0xf4 && at(1) > 0x8f))
    return 0;
  return length;
}

std::string bounded_utf8(std::string_view text, size_t max) {
  std::string out;
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (out.size() + std::max<size_t>(length, 1) > max) break;
    if (length == 0)
      out += '?';
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace

Result<Request> parse(Packet packet) {
  if (packet.fds.size() > 1)
    return Error(Errc::kReadMessage, fmt::format("Expected 1 FD, got {}", packet.fds.size()));
  if (packet.truncated || packet.payload.size() > kMaxPacket)
    return Error(Errc::kReadMessage, "received truncated message");

  zds::WorkloadRequest message;
  if (!message.ParseFromString(packet.payload))
    return Error(Errc::kReadMessage, "not a workload request of the ZDS protocol");
  if (message.payload_case() == zds::WorkloadRequest::PAYLOAD_NOT_SET)
    return Error(Errc::kReadMessage, "no payload");
  if (message.has_add()) {
    if (packet.fds.empty()) return Error(Errc::kReadMessage, "No control message");
    return Request(to_add(*message.mutable_add(), std::move(packet.fds.front())));
  }
  if (!packet.fds.empty()) return Error(Errc::kReadMessage, "Unexpected control message");
  if (message.has_keep()) return Request(Keep{std::move(*message.mutable_keep()->mutable_uid())});
  if (message.has_del()) return Request(Del{std::move(*message.mutable_del()->mutable_uid())});
  return Request(SnapshotSent{});
}

std::string encode_hello() {
  zds::ZdsHello hello;
  hello.set_version(zds::V1);
  return hello.SerializeAsString();
}

std::string encode_ack(std::string_view error_text) {
  zds::WorkloadResponse response;
  response.mutable_ack()->set_error(bounded_utf8(error_text, kMaxErrorText));
  return response.SerializeAsString();
}

}  // namespace culvert::ztunnel::inpod
