#include "common/admin/compress.h"

#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace culvert::admin {
namespace {

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

struct Preference {
  std::string coding;  // lower case
  double quality = 1;
};

Preference parse_preference(std::string_view element) {
  Preference preference;
  const size_t semicolon = std::min(element.find(';'), element.size());
  preference.coding = trim(element.substr(0, semicolon));
  std::ranges::transform(preference.coding, preference.coding.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (semicolon == element.size()) return preference;
  const std::string_view weight = trim(element.substr(semicolon + 1));
  // A weight that cannot be read is none at all: sending plain text is always right.
  preference.quality = 0;
  if (weight.starts_with("q=") || weight.starts_with("Q=")) {
    std::from_chars(weight.data() + 2, weight.data() + weight.size(), preference.quality);
  }
  return preference;
}

}  // namespace

Encoding choose_encoding(const std::vector<std::string_view>& accept_encoding) {
  double gzip = -1, deflate = -1, any = -1;
  for (const std::string_view header : accept_encoding) {
    for (size_t begin = 0; begin <= header.size();) {
      const size_t end = std::min(header.find(',', begin), header.size());
      const Preference preference = parse_preference(header.substr(begin, end - begin));
      begin = end + 1;
      if (preference.coding == "gzip" || preference.coding == "x-gzip") gzip = preference.quality;
      if (preference.coding == "deflate") deflate = preference.quality;
      if (preference.coding == "*") any = preference.quality;
    }
  }
  if (gzip < 0) gzip = any;
  if (deflate < 0) deflate = any;
  if (gzip <= 0 && deflate <= 0) return Encoding::kIdentity;
  return gzip >= deflate ? Encoding::kGzip : Encoding::kDeflate;
}

std::string_view to_string(Encoding encoding) {
  switch (encoding) {
    case Encoding::kIdentity:
      break;
    case Encoding::kGzip:
      return "gzip";
    case Encoding::kDeflate:
      return "deflate";
  }
  return {};
}

std::optional<std::string> compress(Encoding encoding, std::string_view body) {
  if (encoding == Encoding::kIdentity) return std::string(body);
  // zlib counts input in unsigned int; a body of 4 GiB is not one to compress.
  if (body.size() > UINT32_MAX / 2) return std::nullopt;
  z_stream stream{};
  const int window = encoding == Encoding::kGzip ? MAX_WBITS + 16 : MAX_WBITS;
  // Level 1: metrics text shrinks tenfold at any level, and this thread also answers readiness
  // probes.
  if (deflateInit2(&stream, 1, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return std::nullopt;
  }
  std::string out(deflateBound(&stream, body.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return result == Z_STREAM_END ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace culvert::admin
