#pragma once

#include "common/http/headers.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace culvert::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

// "HTTP/1.1", as access logs and metrics spell it; HTTP/2 is "HTTP/2".
[[nodiscard]] std::string_view version_text(Version version);

// A request without its body. What HTTP/2 carries as pseudo-header fields and HTTP/1 in the request
// line and Host has its own member and is never in `headers` as well, so that no two parts of the
// proxy can look at two different hosts.
struct RequestHead {
  std::string method;  // case-sensitive (RFC 9110 section 9.1): "get" is not GET
  std::string scheme;  // "http" or "https"; empty for CONNECT
  std::string
      authority;     // host[:port] as the client spelled it; empty if an HTTP/1.0 client sent none
  std::string path;  // with query; "*" for a server-wide OPTIONS; empty for CONNECT
  Version version = Version::kHttp11;
  Headers headers;

  [[nodiscard]] bool is_connect() const { return method == "CONNECT"; }
};

// A response without its body. The reason phrase of HTTP/1 is dropped: nothing may depend on it
// (RFC 9112 section 4), and Envoy writes the standard one as well.
struct ResponseHead {
  int status = 0;
  Version version = Version::kHttp11;
  Headers headers;

  // 1xx: another head of the same exchange follows, except after 101.
  [[nodiscard]] bool is_informational() const { return status >= 100 && status < 200; }
};

// A token without lower-case letters. Methods are case-sensitive, applications often are not: "get"
// would pass a policy that denies GET. Istio answers 400 to such requests, in every version of
// HTTP.
[[nodiscard]] bool is_valid_method(std::string_view method);

// The registered reason phrase ("Not Found"), or "Unknown" for a status that has none.
[[nodiscard]] std::string_view status_text(int status);

}  // namespace culvert::http
