#pragma once

#include "common/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::http {

// Istio's MeshConfig.pathNormalization. Each mode does what the one before it does, in the order
// that Envoy has: decode slashes, then BASE, then merge slashes.
enum class PathNormalization : uint8_t {
  // Nothing is changed.
  kNone,
  // Backslash to slash; percent-encoded unreserved characters decoded (once: never twice); the
  // characters
  // " < > ^ ` { | } encoded; "." and ".." segments resolved (RFC 3986 section 5.2.4).
  kBase,
  // Runs of slashes become one.
  kMergeSlashes,
  // %2F and %5C are decoded first.
  kDecodeAndMergeSlashes,
};

// Normalises the path of a request in place; the query is left alone. The result is both what
// policies and routes match and what is forwarded: deciding on one path and sending another is how
// policies are bypassed. Normalising twice changes nothing.
//
// In every mode these are errors, to be answered with 400 (codes in http::Errc): a path that does
// not start with a slash, a fragment (CVE-2021-39156), a byte outside visible ASCII, a
// percent-encoded NUL. "*" is accepted as it is. Not for CONNECT, which has no path. `path` is
// unspecified after an error.
Result<> normalize_path(std::string& path, PathNormalization mode);

struct PathAndQuery {
  std::string_view path;
  std::optional<std::string_view> query;  // without '?'; empty if there is only the '?'
};
[[nodiscard]] PathAndQuery split_path(std::string_view path_and_query);

// The decoded value of the first parameter of that name in a query such as "a=1&b=%20"; "" for a
// parameter without '='. Names and values are percent-decoded once; '+' stays, as in Envoy's
// matcher.
[[nodiscard]] std::optional<std::string> query_parameter(std::string_view query,
                                                         std::string_view name);

// Decodes every well-formed %HH once; anything else is kept. The result may hold any byte.
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace culvert::http
