#include "waypoint/model/rewrite.h"

#include "common/http/chars.h"
#include "common/http/hop_by_hop.h"
#include "waypoint/model/request_parts.h"

#include <fmt/format.h>

namespace culvert::waypoint {
namespace {

std::string replace_prefix(std::string_view replacement, const PathMatch& match,
                           std::string_view path) {
  std::string_view prefix = match.value;
  if (match.kind == PathMatch::Kind::kSegmentPrefix) {
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
  }
  // Only a prefix match says how much to replace; a regular expression's replaces all of it.
  const bool whole = match.kind == PathMatch::Kind::kRegex || prefix.size() > path.size();
  const std::string_view rest = whole ? std::string_view() : path.substr(prefix.size());
  if (match.kind == PathMatch::Kind::kSegmentPrefix && rest.starts_with('/')) {
    while (replacement.ends_with('/')) replacement.remove_suffix(1);
  }
  return std::string(replacement) + std::string(rest);
}

std::string rewrite_path(const PathRewrite& rewrite, const PathMatch& match,
                         std::string_view path) {
  switch (rewrite.kind) {
    case PathRewrite::Kind::kNone:
      return std::string(path);
    case PathRewrite::Kind::kFull:
      return rewrite.value;
    case PathRewrite::Kind::kPrefix:
      return replace_prefix(rewrite.value, match, path);
    case PathRewrite::Kind::kRegex:
      return rewrite.regex ? rewrite.regex->replace_all(path, rewrite.value) : std::string(path);
  }
  return std::string(path);
}

}  // namespace

std::string rewrite_target(const PathRewrite& rewrite, const PathMatch& match,
                           std::string_view target) {
  if (rewrite.kind == PathRewrite::Kind::kNone) return std::string(target);
  const std::string_view path = path_without_query(target);
  std::string out = rewrite_path(rewrite, match, path);
  if (!out.starts_with('/')) out.insert(0, 1, '/');
  // A replacement may bring its own query ("/search?v=2"); the client's would then be a second one.
  if (out.find('?') == std::string::npos) out += target.substr(path.size());
  return out;
}

std::string redirect_location(const Redirect& redirect, const PathMatch& match,
                              const http::RequestHead& request) {
  const std::string_view scheme = !redirect.scheme.empty() ? std::string_view(redirect.scheme)
                                  : request.scheme.empty() ? std::string_view("http")
                                                           : std::string_view(request.scheme);
  const std::string_view host =
      redirect.host.empty() ? host_of(request.authority) : std::string_view(redirect.host);
  std::string port;
  if (redirect.port) {
    port = std::to_string(*redirect.port);
  } else if (redirect.scheme.empty()) {
    port = port_of(request.authority);
  }
  if ((scheme == "http" && port == "80") || (scheme == "https" && port == "443")) port.clear();
  std::string target = rewrite_target(redirect.path, match, request.path);
  if (redirect.strip_query) target.resize(path_without_query(target).size());
  return fmt::format("{}://{}{}{}{}", scheme, host, port.empty() ? "" : ":", port, target);
}

void apply_rewrites(const Forward& forward, const PathMatch& match, http::RequestHead& request) {
  if (forward.path_rewrite.kind != PathRewrite::Kind::kNone) {
    request.path = rewrite_target(forward.path_rewrite, match, request.path);
  }
  if (!forward.host_rewrite.empty()) request.authority = forward.host_rewrite;
}

Result<> apply(const HeaderOps& ops, http::Headers& headers) {
  for (const std::string& name : ops.remove) headers.remove(name);
  for (const auto& [name, value] : ops.set) {
    if (auto done = headers.set(name, value); !done) return done;
  }
  for (const auto& [name, value] : ops.add) {
    if (auto done = headers.add(name, value); !done) return done;
  }
  return {};
}

bool forbidden_in_header_ops(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = http::to_lower(c);
  return lower.starts_with(':') || http::is_hop_by_hop(lower) || lower == "host" ||
         lower == "content-length" || lower == "trailer" || lower == "x-forwarded-client-cert";
}

}  // namespace culvert::waypoint
