#include "common/http1/target.h"

#include "common/http/authority.h"
#include "common/http1/errors.h"

namespace culvert::http1 {
namespace {

Result<> parse_authority_form(std::string_view target, http::RequestHead& head) {
  const auto authority = http::parse_authority(target);
  if (!authority || !authority->port) return Error(Errc::kTargetInvalid);
  head.authority = target;
  head.scheme.clear();
  return {};
}

Result<> parse_absolute_form(std::string_view target, http::RequestHead& head) {
  const size_t separator = target.find("://");
  if (separator == std::string_view::npos) return Error(Errc::kTargetInvalid);
  const std::string_view scheme = target.substr(0, separator);
  if (http::iequals(scheme, "http")) {
    head.scheme = "http";
  } else if (http::iequals(scheme, "https")) {
    head.scheme = "https";
  } else {
    return Error(Errc::kTargetInvalid);
  }
  const std::string_view rest = target.substr(separator + 3);
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (!http::parse_authority(rest.substr(0, end))) return Error(Errc::kTargetInvalid);
  head.authority = rest.substr(0, end);
  const std::string_view path = rest.substr(end);
  if (path.empty()) {
    head.path = head.method == "OPTIONS" ? "*" : "/";
  } else {
    head.path = path.front() == '/' ? "" : "/";
    head.path += path;
  }
  return {};
}

}  // namespace

Result<> parse_target(std::string_view target, http::RequestHead& head) {
  if (target.empty() || !http::is_visible_ascii(target) ||
      target.find('#') != std::string_view::npos) {
    return Error(Errc::kTargetInvalid);
  }
  if (head.is_connect()) return parse_authority_form(target, head);
  if (target.front() == '/' || (target == "*" && head.method == "OPTIONS")) {
    head.path = target;
    return {};
  }
  return parse_absolute_form(target, head);
}

Result<> resolve_host(http::RequestHead& head) {
  const auto host = head.headers.get("host");
  if (!host) {
    if (head.version != http::Version::kHttp10) return Error(Errc::kHostMissing);
    return {};
  }
  if (head.headers.count("host") > 1) return Error(Errc::kHostRepeated);
  if (!http::parse_authority(*host)) return Error(Errc::kHostInvalid);
  if (head.authority.empty()) head.authority = *host;
  head.headers.remove("host");
  return {};
}

}  // namespace culvert::http1
