#pragma once

#include "waypoint/model/model_upstream.h"
#include "waypoint/model/retry.h"
#include "waypoint/model/string_match.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// What to do with a request: matches and actions, in the order in which they are tried.
namespace culvert::waypoint {

// ---- matches; all parts of a RouteMatch are ANDed

// The host of a request, its port stripped, in any case.
struct HostMatch {
  // kSuffix holds ".example.com" for "*.example.com": it covers any number of labels, but not the
  // bare name.
  enum class Kind : uint8_t { kAny, kExact, kSuffix };
  Kind kind = Kind::kAny;
  std::string value;  // lower case
  bool operator==(const HostMatch&) const = default;
};

// The path without query, after normalisation.
struct PathMatch {
  enum class Kind : uint8_t {
    kExact,
    kSegmentPrefix,  // Gateway API: "/a" matches "/a" and "/a/b", not "/ab"; a trailing slash is
                     // ignored
    kPrefix,         // Istio's VirtualService: plain text
    kRegex,          // the whole path
  };
  Kind kind = Kind::kSegmentPrefix;
  std::string value = "/";
  std::optional<Regex> regex;
  bool ignore_case = false;  // not for kRegex
};

struct HeaderMatch {
  // Lower case; may be :method, :authority, :scheme or :path. Repeated fields are matched as one
  // value joined with commas (RFC 9110 section 5.3).
  std::string name;
  StringMatch value;
  bool invert = false;
  // A field that is not there: `kPresent` is false before inversion; other kinds do not match even
  // when inverted, unless this is set, which makes it the empty text. So Envoy.
  bool missing_as_empty = false;
};

// The first parameter of that name, not percent-decoded, as Envoy compares it.
struct QueryMatch {
  std::string name;
  StringMatch value;
};

struct RouteMatch {
  HostMatch host;
  PathMatch path;
  std::string method;  // empty: any
  std::vector<HeaderMatch> headers;
  std::vector<QueryMatch> query;
};

// ---- actions

using HeaderValue = std::pair<std::string, std::string>;

// Applied in this order: remove, set, add. Names are lower case and never the ones that frame a
// message or say where it goes (forbidden_in_header_ops, rewrite.h).
struct HeaderOps {
  std::vector<std::string> remove;
  std::vector<HeaderValue> set;
  std::vector<HeaderValue> add;
  [[nodiscard]] bool empty() const { return remove.empty() && set.empty() && add.empty(); }
};

// A new path; the query stays, except that a kFull value with a '?' replaces it in a redirect.
struct PathRewrite {
  enum class Kind : uint8_t { kNone, kFull, kPrefix, kRegex };
  Kind kind = Kind::kNone;
  std::string value;  // the path, the new prefix, or the substitution
  // kPrefix: replaces what the route's PathMatch matched, slashes handled as Gateway API says.
  // kRegex: replaces every match.
  std::optional<Regex> regex;
};

struct WeightedTarget {
  std::string name;      // for logs, also when there is no such upstream
  UpstreamPtr upstream;  // nullptr: unknown, answered with Forward::unknown_target_status
  uint32_t weight = 1;   // never 0 in here
  HeaderOps request_headers, response_headers;  // before the route's own
};

struct Mirror {
  UpstreamPtr upstream;              // nullptr: unknown; nothing is sent
  uint32_t per_million = 1'000'000;  // of requests
};

struct Forward {
  std::vector<WeightedTarget>
      targets;                // never empty: without a usable one the action is DirectResponse
  uint64_t total_weight = 1;  // of targets
  int unknown_target_status = 500;  // Gateway API; 503 for Istio's own routes
  std::string host_rewrite;         // empty: keep
  PathRewrite path_rewrite;
  std::vector<Mirror> mirrors;
  Millis timeout{0};       // of the whole request with its retries; 0: none
  Millis idle_timeout{0};  // without a byte in either direction; 0: that of the options
  RetryPolicy retry;
};

struct Redirect {
  int status = 302;    // 301, 302, 303, 307, 308
  std::string scheme;  // empty: the request's
  std::string host;    // empty: the request's
  // Absent: the well-known port of `scheme` if that is set, else the port of the request's
  // authority.
  std::optional<uint16_t> port;
  PathRewrite path;
  bool strip_query = false;
};

struct DirectResponse {
  int status = 500;
  std::string body;
  std::string content_type = "text/plain";  // sent only with a body
};

using RouteAction = std::variant<Forward, Redirect, DirectResponse>;

// One rule; several matches may lead to it.
struct RouteRule {
  std::string name;  // route-name of the access log: "demo.http-all.2", or the rule's own name
  RouteAction action;
  HeaderOps request_headers, response_headers;
};

struct Route {
  RouteMatch match;
  std::shared_ptr<const RouteRule> rule;
};

}  // namespace culvert::waypoint
