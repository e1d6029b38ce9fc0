#include "common/http/path.h"

#include "common/http/chars.h"
#include "common/http/errors.h"

#include <algorithm>

namespace culvert::http {
namespace {

// The byte that text[at..at+2] encodes, or -1 if that is not %HH.
int decoded_at(std::string_view text, size_t at) {
  if (at + 2 >= text.size() || text[at] != '%') return -1;
  const int high = hex_value(text[at + 1]), low = hex_value(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool needs_encoding(char c) {
  return std::string_view("\"<>^`{|}").find(c) != std::string_view::npos;
}

Result<> check(std::string_view path_and_query) {
  if (path_and_query.find('#') != std::string_view::npos) return Error(Errc::kPathFragment);
  if (!is_visible_ascii(path_and_query)) return Error(Errc::kPathInvalidCharacter);
  const std::string_view path = path_and_query.substr(0, path_and_query.find('?'));
  if (path.find("%00") != std::string_view::npos) return Error(Errc::kPathEncodedNul);
  return {};
}

// Most paths need nothing; finding that out costs one scan and no allocation.
bool is_normal(std::string_view path, PathNormalization mode) {
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '%' || c == '\\' || needs_encoding(c)) return false;
    if (c != '/' || i + 1 == path.size()) continue;
    if (path[i + 1] == '.') return false;
    if (path[i + 1] == '/' && mode != PathNormalization::kBase) return false;
  }
  return true;
}

std::string decode_slashes(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (size_t i = 0; i < path.size(); ++i) {
    const int byte = decoded_at(path, i);
    if (byte != '/' && byte != '\\') {
      out += path[i];
      continue;
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

// Whether appending the hexadecimal digit `c` would turn a stray '%' at the end of `out` into an
// encoded byte: "%2%46" must not become "%2F", which the next hop would decode again.
bool completes_escape(std::string_view out, char c) {
  if (hex_value(c) < 0) return false;
  if (out.ends_with('%')) return true;
  return out.size() >= 2 && out[out.size() - 2] == '%' && hex_value(out.back()) >= 0;
}

std::string decode_unreserved(std::string_view path) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(path.size() + 16);
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (const int byte = decoded_at(path, i); byte >= 0) {
      const char decoded = static_cast<char>(byte);
      if (is_unreserved(decoded) && !completes_escape(out, decoded)) {
        out += decoded;
      } else {
        out += path.substr(i, 3);
      }
      i += 2;
    } else if (c == '\\') {
      out += '/';
    } else if (needs_encoding(c)) {
      out += {'%', kHex[static_cast<uint8_t>(c) >> 4], kHex[static_cast<uint8_t>(c) & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

std::string resolve_dot_segments(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  size_t begin = 1;
  while (true) {
    const size_t slash = path.find('/', begin);
    const bool last = slash == std::string_view::npos;
    const std::string_view segment = path.substr(begin, last ? slash : slash - begin);
    if (segment == "." || segment == "..") {
      // ".." above the root stays at the root.
      if (segment == ".." && !out.empty()) out.resize(out.rfind('/'));
      if (last) out += '/';
    } else {
      out += '/';
      out += segment;
    }
    if (last) return out;
    begin = slash + 1;
  }
}

void merge_slashes(std::string& path) {
  const auto both_slashes = [](char a, char b) { return a == '/' && b == '/'; };
  path.erase(std::ranges::unique(path, both_slashes).begin(), path.end());
}

}  // namespace

Result<> normalize_path(std::string& path, PathNormalization mode) {
  if (path == "*") return {};
  if (auto good = check(path); !good) return good.error();
  const bool backslash = mode != PathNormalization::kNone && path.starts_with('\\');
  if (!path.starts_with('/') && !backslash) return Error(Errc::kPathNotAbsolute);
  if (mode == PathNormalization::kNone) return {};

  const size_t query = std::min(path.find('?'), path.size());
  const std::string_view raw(path.data(), query);
  if (is_normal(raw, mode)) return {};
  std::string normal;
  if (mode == PathNormalization::kDecodeAndMergeSlashes) {
    normal = decode_unreserved(decode_slashes(raw));
  } else {
    normal = decode_unreserved(raw);
  }
  normal = resolve_dot_segments(normal);
  if (mode != PathNormalization::kBase) merge_slashes(normal);
  path.replace(0, query, normal);
  return {};
}

PathAndQuery split_path(std::string_view path_and_query) {
  const size_t mark = path_and_query.find('?');
  if (mark == std::string_view::npos) return {.path = path_and_query, .query = std::nullopt};
  return {.path = path_and_query.substr(0, mark), .query = path_and_query.substr(mark + 1)};
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int byte = decoded_at(text, i);
    out += byte < 0 ? text[i] : static_cast<char>(byte);
    if (byte >= 0) i += 2;
  }
  return out;
}

std::optional<std::string> query_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const size_t equals = pair.find('=');
    if (!pair.empty() && percent_decode(pair.substr(0, equals)) == name) {
      return equals == std::string_view::npos ? "" : percent_decode(pair.substr(equals + 1));
    }
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return std::nullopt;
}

}  // namespace culvert::http
