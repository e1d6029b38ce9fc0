#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::admin {

enum class Encoding : uint8_t { kIdentity, kGzip, kDeflate };

// Bodies below this are sent as they are: the gzip header alone is 18 bytes.
inline constexpr size_t kMinCompressed = 32;

// The best of gzip and deflate that Accept-Encoding allows (RFC 9110 section 12.5.3): highest q,
// gzip on a tie; identity if neither is named with q > 0.
Encoding choose_encoding(const std::vector<std::string_view>& accept_encoding);

// The Content-Encoding token; empty for identity.
std::string_view to_string(Encoding encoding);

// Absent if zlib fails (memory). deflate is the zlib format, as RFC 9110 section 8.4.1.2 says.
std::optional<std::string> compress(Encoding encoding, std::string_view body);

}  // namespace culvert::admin
