#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::h2 {

// A header field to send. Names lower case. `no_index`: not put into the compression table (values
// that differ on every request would only evict useful entries); it is not a secret's "never".
struct Field {
  std::string_view name;
  std::string_view value;
  bool no_index = false;
};

// A received header block, in order, pseudo-headers included (RFC 9113 section 8.3). Already
// validated by the session: names lower case, pseudo-headers first and known, no
// connection-specific fields.
struct Head {
  struct Entry {
    std::string name;
    std::string value;
  };
  std::vector<Entry> fields;

  // The first field of that name.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const {
    for (const Entry& field : fields)
      if (field.name == name) return field.value;
    return std::nullopt;
  }
};

// RFC 9113 section 7.
enum class ErrorCode : uint32_t {
  kNoError = 0x0,
  kProtocolError = 0x1,
  kInternalError = 0x2,
  kFlowControlError = 0x3,
  kSettingsTimeout = 0x4,
  kStreamClosed = 0x5,
  kFrameSizeError = 0x6,
  kRefusedStream = 0x7,
  kCancel = 0x8,
  kCompressionError = 0x9,
  kConnectError = 0xa,
  kEnhanceYourCalm = 0xb,
  kInadequateSecurity = 0xc,
  kHttp11Required = 0xd,
};
std::string_view to_string(ErrorCode code);

}  // namespace culvert::h2
