#include "common/http/chars.h"
#include "waypoint/config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace culvert::waypoint::config {
namespace {

constexpr size_t kMaxMatches = 64;  // of one rule, as Gateway API

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), http::to_lower);
  return text;
}

std::optional<Regex> read_regex(const Item& item) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  auto regex = Regex::compile(*text);
  if (!regex) {
    item.fail(regex.error().message());
    return std::nullopt;
  }
  return *regex;
}

PathMatch read_path_match(const Item& item) {
  const Fields fields(item, {"type", "value"});
  PathMatch out;
  if (const auto type = fields.get("type")) {
    out.kind = type->choice<PathMatch::Kind>({{"Exact", PathMatch::Kind::kExact},
                                              {"PathPrefix", PathMatch::Kind::kSegmentPrefix},
                                              {"RegularExpression", PathMatch::Kind::kRegex}})
                   .value_or(PathMatch::Kind::kSegmentPrefix);
  }
  const auto value = fields.require("value");
  if (!value) return out;
  if (out.kind == PathMatch::Kind::kRegex) {
    out.regex = read_regex(*value);
    return out;
  }
  out.value = value->text().value_or("/");
  if (!out.value.starts_with('/') || !http::is_visible_ascii(out.value) ||
      out.value.find_first_of("?#") != std::string::npos) {
    value->fail("must begin with a slash and be visible ASCII without '?' and '#'");
  }
  return out;
}

enum class MatchType : uint8_t { kExact, kRegex, kPresent, kAbsent };

HeaderMatch read_header_match(const Item& item) {
  const Fields fields(item, {"type", "name", "value"});
  HeaderMatch out;
  if (const auto name = fields.require("name")) {
    out.name = lower(name->text().value_or("x"));
    if (!http::is_token(out.name)) name->fail(fmt::format("\"{}\" is not a header name", out.name));
  }
  auto type = MatchType::kExact;
  if (const auto given = fields.get("type")) {
    type = given
               ->choice<MatchType>({{"Exact", MatchType::kExact},
                                    {"RegularExpression", MatchType::kRegex},
                                    {"Present", MatchType::kPresent},
                                    {"Absent", MatchType::kAbsent}})
               .value_or(MatchType::kExact);
  }
  if (type == MatchType::kPresent || type == MatchType::kAbsent) {
    if (fields.has("value")) item.fail("Present and Absent have no \"value\"");
    out.value = StringMatch::present();
    out.invert = type == MatchType::kAbsent;
    return out;
  }
  const auto value = fields.require("value");
  if (!value) return out;
  if (type == MatchType::kExact) {
    out.value = StringMatch::exact(value->text_or_empty().value_or(""));
  } else if (auto regex = read_regex(*value)) {
    out.value = StringMatch::matching(std::move(*regex));
  }
  return out;
}

QueryMatch read_query_match(const Item& item) {
  const Fields fields(item, {"type", "name", "value"});
  QueryMatch out;
  if (const auto name = fields.require("name")) out.name = name->text().value_or("");
  const auto value = fields.require("value");
  if (!value) return out;
  bool regular = false;
  if (const auto type = fields.get("type")) {
    regular = type->choice<bool>({{"Exact", false}, {"RegularExpression", true}}).value_or(false);
  }
  if (!regular) {
    out.value = StringMatch::exact(value->text_or_empty().value_or(""));
  } else if (auto regex = read_regex(*value)) {
    out.value = StringMatch::matching(std::move(*regex));
  }
  return out;
}

RouteMatch read_match(const Item& item) {
  const Fields fields(item, {"path", "headers", "queryParams", "method"});
  RouteMatch out;
  if (const auto path = fields.get("path")) out.path = read_path_match(*path);
  std::set<std::string> names;
  if (const auto headers = fields.get("headers")) {
    for (const Item& element : headers->list()) {
      out.headers.push_back(read_header_match(element));
      if (!names.insert(out.headers.back().name).second) element.fail("repeats a header");
    }
  }
  names.clear();
  if (const auto query = fields.get("queryParams")) {
    for (const Item& element : query->list()) {
      out.query.push_back(read_query_match(element));
      if (!names.insert(out.query.back().name).second) element.fail("repeats a parameter");
    }
  }
  if (const auto method = fields.get("method")) {
    out.method = method->text().value_or("");
    if (!http::is_token(out.method)) method->fail("is not an HTTP method");
  }
  return out;
}

std::optional<HostMatch> read_host_match(const Item& item) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  const bool wildcard = text->starts_with("*.");
  const auto name = to_hostname(wildcard ? text->substr(2) : *text, item);
  if (!name) return std::nullopt;
  if (wildcard) return HostMatch{HostMatch::Kind::kSuffix, "." + *name};
  return HostMatch{HostMatch::Kind::kExact, *name};
}

RetryPolicy read_retry(const Item& item) {
  const Fields fields(item, {"attempts", "codes", "retryOn", "backoff"});
  RetryPolicy out;
  fields.read("attempts", out.attempts, 0, kMaxRetryAttempts);
  if (const auto conditions = fields.get("retryOn")) {
    out.on = 0;
    if (const auto done = parse_retry_on(conditions->text().value_or("reset"), out); !done) {
      conditions->fail(done.error().message());
    }
  }
  if (const auto codes = fields.get("codes")) {
    out.on |= retry_on::kStatusCodes;
    for (const Item& code : codes->list()) {
      out.codes.push_back(static_cast<int>(code.number(400, 599).value_or(500)));
    }
  }
  if (const auto backoff = fields.get("backoff")) {
    fields.read("backoff", out.backoff_base);
    out.backoff_max = out.backoff_base * 10;  // Envoy's ratio
    if (out.backoff_base == Millis(0)) backoff->fail("must be more than 0");
  }
  return out;
}

void read_timeouts(const std::optional<Item>& item, const std::optional<Item>& retry,
                   Forward& forward) {
  if (retry) forward.retry = read_retry(*retry);
  if (!item) return;
  const Fields fields(*item, {"request", "backendRequest", "idle"});
  fields.read("request", forward.timeout);
  fields.read("idle", forward.idle_timeout);
  const auto backend = fields.get("backendRequest");
  if (!backend) return;
  Millis per_try{0};
  fields.read("backendRequest", per_try);
  if (forward.timeout != Millis(0) && per_try > forward.timeout) {
    backend->fail("must not be longer than \"request\"");
  }
  // Istio's reading: one try's share if the rule says how to retry, else the time for all.
  if (retry) {
    forward.retry.per_try_timeout = per_try;
  } else if (per_try != Millis(0)) {
    forward.timeout = per_try;
  }
}

HttpRule read_rule(const Item& item, const std::string& default_name, const std::string& ns,
                   const Options& options) {
  const Fields fields(item, {"name", "matches", "filters", "backendRefs", "timeouts", "retry"});
  HttpRule out;
  out.rule.name = default_name;
  fields.read("name", out.rule.name);
  if (const auto matches = fields.get("matches")) {
    const auto elements = matches->list();
    if (elements.size() > kMaxMatches) {
      matches->fail(fmt::format("more than {} matches", kMaxMatches));
    }
    for (const Item& element : elements) out.matches.push_back(read_match(element));
  } else {
    out.matches.emplace_back();  // everything
  }
  const bool prefixes = std::all_of(
      out.matches.begin(), out.matches.end(),
      [](const RouteMatch& m) { return m.path.kind == PathMatch::Kind::kSegmentPrefix; });
  Forward forward;
  forward.timeout = options.limits.request_timeout;
  forward.idle_timeout = options.limits.stream_idle_timeout;
  read_timeouts(fields.get("timeouts"), fields.get("retry"), forward);
  out.rule.action = std::move(forward);
  if (const auto filters = fields.get("filters")) {
    read_filters(*filters, out, ns, prefixes);
  }
  const bool forwards = std::holds_alternative<Forward>(out.rule.action);
  if (const auto backends = fields.get("backendRefs")) {
    if (!forwards) backends->fail("a rule that answers by itself has no backends");
    for (const Item& element : backends->list()) {
      out.backends.push_back(read_backend(element, ns, true));
    }
  } else if (forwards) {
    item.fail("needs \"backendRefs\", or a filter RequestRedirect or DirectResponse");
  } else if (!out.mirrors.empty() || fields.has("timeouts") || fields.has("retry")) {
    item.fail("a rule that answers by itself has no mirrors, timeouts or retry");
  }
  return out;
}

}  // namespace

BackendRef read_backend(const Item& item, const std::string& ns, bool weighted) {
  const Fields fields(item, {"kind", "name", "namespace", "port", "weight", "filters"});
  BackendRef out;
  out.where = item.where();
  out.namespace_ = ns;
  if (const auto kind = fields.get("kind")) (void)kind->choice<bool>({{"Service", true}});
  (void)fields.require("name");
  fields.read("name", out.name);
  fields.read("namespace", out.namespace_);
  if (const auto port = fields.require("port")) out.port = port->port().value_or(0);
  if (!weighted && (fields.has("weight") || fields.has("filters"))) {
    item.fail("\"weight\" and \"filters\" have no meaning here");
  }
  fields.read("weight", out.weight, 0, 1'000'000);
  if (const auto filters = fields.get("filters")) {
    HttpRule rule;
    read_filters(*filters, rule, ns, false);
    const auto& forward = std::get_if<Forward>(&rule.rule.action);
    if (forward == nullptr || !rule.mirrors.empty() || !forward->host_rewrite.empty() ||
        forward->path_rewrite.kind != PathRewrite::Kind::kNone) {
      filters->fail("a backend may only have RequestHeaderModifier and ResponseHeaderModifier");
    }
    out.request_headers = std::move(rule.rule.request_headers);
    out.response_headers = std::move(rule.rule.response_headers);
  }
  return out;
}

std::vector<ParentRef> read_parents(const Item& item, const std::string& ns) {
  std::vector<ParentRef> out;
  for (const Item& element : item.list()) {
    const Fields fields(element, {"kind", "name", "namespace", "port"});
    ParentRef parent{element.where(), "", ns, std::nullopt};
    if (const auto kind = fields.get("kind")) (void)kind->choice<bool>({{"Service", true}});
    (void)fields.require("name");
    fields.read("name", parent.name);
    fields.read("namespace", parent.namespace_);
    if (const auto port = fields.get("port")) parent.port = port->port();
    out.push_back(std::move(parent));
  }
  return out;
}

HttpRoute read_http_route(const Item& item, const Self& self, const Options& options) {
  const Fields fields(item, {"name", "namespace", "parentRefs", "hostnames", "rules"});
  HttpRoute out;
  out.where = item.where();
  std::tie(out.name, out.namespace_) = read_name(fields, self);
  if (const auto parents = fields.require("parentRefs")) {
    out.parents = read_parents(*parents, out.namespace_);
  }
  if (const auto hosts = fields.get("hostnames")) {
    for (const Item& element : hosts->list()) {
      if (auto host = read_host_match(element)) out.hosts.push_back(std::move(*host));
    }
  } else {
    out.hosts.emplace_back();  // any
  }
  const auto rules = fields.require("rules");
  if (!rules) return out;
  for (const Item& element : rules->list()) {
    // Istio's names, which show up in its access logs.
    const std::string name = fmt::format("{}.{}.{}", out.namespace_, out.name, out.rules.size());
    out.rules.push_back(read_rule(element, name, out.namespace_, options));
  }
  return out;
}

TcpRoute read_tcp_route(const Item& item, const Self& self) {
  const Fields fields(item, {"name", "namespace", "parentRefs", "backendRefs"});
  TcpRoute out;
  out.where = item.where();
  std::tie(out.name, out.namespace_) = read_name(fields, self);
  if (const auto parents = fields.require("parentRefs")) {
    out.parents = read_parents(*parents, out.namespace_);
  }
  if (const auto backends = fields.require("backendRefs")) {
    for (const Item& element : backends->list()) {
      out.backends.push_back(read_backend(element, out.namespace_, true));
      if (!out.backends.back().request_headers.empty() ||
          !out.backends.back().response_headers.empty()) {
        element.fail("a TCP backend has no headers");
      }
    }
  }
  return out;
}

}  // namespace culvert::waypoint::config
