#include "waypoint/model/router.h"

#include "common/base/check.h"
#include "common/http/chars.h"
#include "common/http/path.h"
#include "waypoint/model/request_parts.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace culvert::waypoint {
namespace {

bool starts_with(std::string_view text, std::string_view prefix, bool ignore_case) {
  if (text.size() < prefix.size()) return false;
  text = text.substr(0, prefix.size());
  return ignore_case ? http::iequals(text, prefix) : text == prefix;
}

// The values of a field or pseudo-header as one text.
std::optional<std::string> header_text(const http::RequestHead& request, std::string_view name) {
  const auto unless_empty = [](const std::string& text) -> std::optional<std::string> {
    return text.empty() ? std::nullopt : std::optional(text);
  };
  if (name == ":method") return unless_empty(request.method);
  if (name == ":authority" || name == "host") return unless_empty(request.authority);
  if (name == ":scheme") return unless_empty(request.scheme);
  if (name == ":path") return unless_empty(request.path);
  const size_t count = request.headers.count(name);
  if (count == 0) return std::nullopt;
  return count == 1 ? std::string(*request.headers.get(name)) : request.headers.joined(name);
}

bool matches_query(const std::vector<QueryMatch>& wanted, std::string_view target) {
  const std::string_view query = http::split_path(target).query.value_or(std::string_view());
  return std::all_of(wanted.begin(), wanted.end(), [query](const QueryMatch& match) {
    const auto value = http::query_parameter(query, match.name);
    if (!value) return false;
    return match.value.kind == StringMatch::Kind::kPresent || match.value.matches(*value);
  });
}

bool matches_request(const RouteMatch& match, const http::RequestHead& request,
                     std::string_view path) {
  return matches(match.host, request.authority) && matches(match.path, path) &&
         (match.method.empty() || match.method == request.method) &&
         std::all_of(match.headers.begin(), match.headers.end(),
                     [&](const HeaderMatch& header) { return matches(header, request); }) &&
         (match.query.empty() || matches_query(match.query, request.path));
}

int rank(HostMatch::Kind kind) {
  switch (kind) {
    case HostMatch::Kind::kExact:
      return 0;
    case HostMatch::Kind::kSuffix:
      return 1;
    case HostMatch::Kind::kAny:
      break;
  }
  return 2;
}

int rank(PathMatch::Kind kind) {
  switch (kind) {
    case PathMatch::Kind::kExact:
      return 0;
    case PathMatch::Kind::kSegmentPrefix:
    case PathMatch::Kind::kPrefix:
      return 1;
    case PathMatch::Kind::kRegex:
      break;
  }
  return 2;
}

// Smaller comes first.
auto precedence(const RouteMatch& match) {
  const auto more_first = [](size_t n) { return -static_cast<int64_t>(n); };
  const size_t path_size =
      match.path.regex ? match.path.regex->pattern().size() : match.path.value.size();
  return std::tuple(rank(match.host.kind), more_first(match.host.value.size()),
                    rank(match.path.kind), more_first(path_size), match.method.empty() ? 1 : 0,
                    more_first(match.headers.size()), more_first(match.query.size()));
}

}  // namespace

bool matches(const HostMatch& match, std::string_view authority) {
  if (match.kind == HostMatch::Kind::kAny) return true;
  std::string_view host = host_of(authority);
  if (host.ends_with('.')) host.remove_suffix(1);  // the same name, spelled absolutely
  if (match.kind == HostMatch::Kind::kExact) return http::iequals(host, match.value);
  return host.size() > match.value.size() &&
         http::iequals(host.substr(host.size() - match.value.size()), match.value);
}

bool matches(const PathMatch& match, std::string_view path) {
  switch (match.kind) {
    case PathMatch::Kind::kExact:
      return match.ignore_case ? http::iequals(path, match.value) : path == match.value;
    case PathMatch::Kind::kPrefix:
      return starts_with(path, match.value, match.ignore_case);
    case PathMatch::Kind::kSegmentPrefix: {
      std::string_view prefix = match.value;
      while (prefix.ends_with('/')) prefix.remove_suffix(1);
      if (!starts_with(path, prefix, match.ignore_case)) return false;
      // "*" (OPTIONS) and CONNECT's empty path are under no prefix, not even "/".
      if (path.size() == prefix.size()) return !path.empty();
      return path[prefix.size()] == '/';
    }
    case PathMatch::Kind::kRegex:
      CULVERT_CHECK(match.regex);
      return match.regex->full_match(path);
  }
  return false;
}

bool matches(const HeaderMatch& match, const http::RequestHead& request) {
  const auto text = header_text(request, match.name);
  if (match.value.kind == StringMatch::Kind::kPresent) return text.has_value() != match.invert;
  if (!text && !match.missing_as_empty) return false;
  return match.value.matches(text.value_or(std::string())) != match.invert;
}

const Route* match_route(std::span<const Route> routes, const http::RequestHead& request) {
  const std::string_view path = path_without_query(request.path);
  const auto found = std::find_if(routes.begin(), routes.end(), [&](const Route& route) {
    return matches_request(route.match, request, path);
  });
  return found == routes.end() ? nullptr : &*found;
}

const WeightedTarget* choose_target(std::span<const WeightedTarget> targets, uint64_t total_weight,
                                    state::Random& random) {
  if (targets.empty() || total_weight == 0) return nullptr;
  if (targets.size() == 1) return &targets.front();
  uint64_t point = random.below(total_weight);
  for (const WeightedTarget& target : targets) {
    if (point < target.weight) return &target;
    point -= target.weight;
  }
  return &targets.back();
}

bool is_mirrored(const Mirror& mirror, state::Random& random) {
  return mirror.upstream != nullptr && random.below(1'000'000) < mirror.per_million;
}

void sort_by_precedence(std::vector<Route>& routes) {
  // Equal keys keep the order in which they were inserted.
  std::multimap<decltype(precedence(RouteMatch{})), Route> sorted;
  for (Route& route : routes) {
    auto key = precedence(route.match);
    sorted.emplace(key, std::move(route));
  }
  routes.clear();
  for (auto& [key, route] : sorted) routes.push_back(std::move(route));
}

}  // namespace culvert::waypoint
