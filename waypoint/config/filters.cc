// The filters of an HTTPRoute's rules: what Gateway API lets a route do to a request and its
// response.
#include "common/http/chars.h"
#include "waypoint/config/document.h"
#include "waypoint/model/rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace culvert::waypoint::config {
namespace {

constexpr size_t kMaxDirectBody = 1024 * 1024;  // as Istio limits it

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), http::to_lower);
  return text;
}

std::optional<std::string> read_header_name(const Item& item) {
  auto name = item.text();
  if (!name) return std::nullopt;
  if (forbidden_in_header_ops(*name)) {
    item.fail(
        fmt::format("\"{}\" frames, addresses or vouches for the message and cannot be changed "
                    "by a route{}",
                    *name, lower(*name) == "host" ? "; use URLRewrite's hostname" : ""));
    return std::nullopt;
  }
  if (!http::is_token(*name)) {
    item.fail(fmt::format("\"{}\" is not a header name", *name));
    return std::nullopt;
  }
  return lower(*name);
}

std::vector<HeaderValue> read_header_values(const Item& item) {
  std::vector<HeaderValue> out;
  for (const Item& element : item.list()) {
    const Fields fields(element, {"name", "value"});
    const auto name_item = fields.require("name");
    const auto value_item = fields.require("value");
    if (!name_item || !value_item) continue;
    const auto name = read_header_name(*name_item);
    const auto value = value_item->text_or_empty();
    if (value && !http::is_field_value(*value)) value_item->fail("is not a header value");
    if (name && value) out.emplace_back(*name, *value);
  }
  return out;
}

HeaderOps read_header_ops(const Item& item) {
  const Fields fields(item, {"set", "add", "remove"});
  HeaderOps out;
  if (const auto set = fields.get("set")) out.set = read_header_values(*set);
  if (const auto add = fields.get("add")) out.add = read_header_values(*add);
  if (const auto remove = fields.get("remove")) {
    for (const Item& element : remove->list()) {
      if (auto name = read_header_name(element)) out.remove.push_back(std::move(*name));
    }
  }
  return out;
}

std::optional<std::string> read_path(const Item& item) {
  auto path = item.text();
  if (!path) return std::nullopt;
  if (!http::is_visible_ascii(*path) || path->find('#') != std::string::npos) {
    item.fail("is not a path: it must be visible ASCII without '#'");
    return std::nullopt;
  }
  return path;
}

// `{type: ReplacePrefixMatch, replacePrefixMatch: /new}` and its kin.
PathRewrite read_path_rewrite(const Item& item, bool prefixes) {
  const Fields fields(item,
                      {"type", "replaceFullPath", "replacePrefixMatch", "pattern", "substitution"});
  PathRewrite out;
  const auto type = fields.require("type");
  if (!type) return out;
  const auto kind =
      type->choice<PathRewrite::Kind>({{"ReplaceFullPath", PathRewrite::Kind::kFull},
                                       {"ReplacePrefixMatch", PathRewrite::Kind::kPrefix},
                                       {"ReplaceRegularExpression", PathRewrite::Kind::kRegex}});
  if (!kind) return out;
  out.kind = *kind;
  const std::string_view value_key = *kind == PathRewrite::Kind::kFull     ? "replaceFullPath"
                                     : *kind == PathRewrite::Kind::kPrefix ? "replacePrefixMatch"
                                                                           : "substitution";
  for (const std::string_view key :
       {"replaceFullPath", "replacePrefixMatch", "pattern", "substitution"}) {
    const bool belongs = key == value_key || (key == "pattern" && value_key == "substitution");
    if (fields.has(key) != belongs) {
      item.fail(fmt::format("type {} {} \"{}\"", *type->text(), belongs ? "needs" : "has no", key));
      return out;
    }
  }
  const auto value = fields.get(value_key);
  if (*kind == PathRewrite::Kind::kFull) {
    out.value = read_path(*value).value_or("/");
    if (!out.value.starts_with('/')) value->fail("must begin with a slash");
  } else {
    out.value = value->text_or_empty().value_or("");
    if (!http::is_visible_ascii(out.value)) value->fail("must be visible ASCII");
  }
  if (*kind == PathRewrite::Kind::kPrefix && !prefixes) {
    item.fail("ReplacePrefixMatch needs a rule whose matches all have a path of type PathPrefix");
  }
  if (*kind == PathRewrite::Kind::kRegex) {
    const auto regex = Regex::compile(fields.get("pattern")->text().value_or(""));
    if (!regex) {
      item.fail(regex.error().message());
    } else if (const auto good = regex->check_substitution(out.value); !good) {
      item.fail(good.error().message());
    } else {
      out.regex = *regex;
    }
  }
  return out;
}

Redirect read_redirect(const Item& item, bool prefixes) {
  const Fields fields(item, {"scheme", "hostname", "port", "path", "statusCode"});
  Redirect out;
  if (const auto scheme = fields.get("scheme")) {
    out.scheme = scheme->choice<std::string>({{"http", "http"}, {"https", "https"}}).value_or("");
  }
  if (const auto host = fields.get("hostname")) out.host = read_hostname(*host).value_or("");
  if (const auto port = fields.get("port")) out.port = port->port();
  if (const auto path = fields.get("path")) out.path = read_path_rewrite(*path, prefixes);
  if (const auto status = fields.get("statusCode")) {
    out.status =
        status->choice<int>({{"301", 301}, {"302", 302}, {"303", 303}, {"307", 307}, {"308", 308}})
            .value_or(302);
  }
  return out;
}

DirectResponse read_direct_response(const Item& item) {
  const Fields fields(item, {"status", "body", "contentType"});
  DirectResponse out;
  if (const auto status = fields.require("status")) {
    out.status = static_cast<int>(status->number(200, 599).value_or(500));
  }
  if (const auto body = fields.get("body")) {
    out.body = body->text_or_empty().value_or("");
    if (out.body.size() > kMaxDirectBody) body->fail("is longer than 1 MiB");
  }
  fields.read("contentType", out.content_type);
  if (!http::is_field_value(out.content_type)) item.fail("\"contentType\" is not a header value");
  return out;
}

void read_rewrite(const Item& item, Forward& forward, bool prefixes) {
  const Fields fields(item, {"hostname", "path"});
  if (const auto host = fields.get("hostname")) {
    forward.host_rewrite = read_hostname(*host).value_or("");
  }
  if (const auto path = fields.get("path"))
    forward.path_rewrite = read_path_rewrite(*path, prefixes);
  if (!fields.has("hostname") && !fields.has("path")) item.fail("rewrites nothing");
}

MirrorRef read_mirror(const Item& item, const std::string& ns) {
  const Fields fields(item, {"backendRef", "percent", "fraction"});
  MirrorRef out;
  if (const auto backend = fields.require("backendRef")) {
    out.backend = read_backend(*backend, ns, false);
  }
  if (fields.has("percent") && fields.has("fraction")) {
    item.fail("has both \"percent\" and \"fraction\"");
  }
  if (const auto percent = fields.get("percent")) {
    out.per_million = static_cast<uint32_t>(percent->number(0, 100).value_or(0) * 10'000);
  }
  if (const auto fraction = fields.get("fraction")) {
    const Fields parts(*fraction, {"numerator", "denominator"});
    uint32_t numerator = 0;
    uint32_t denominator = 100;
    (void)parts.require("numerator");
    parts.read("numerator", numerator, 0, 1'000'000'000);
    parts.read("denominator", denominator, 1, 1'000'000'000);
    if (numerator > denominator) fraction->fail("is more than the whole");
    out.per_million = static_cast<uint32_t>(uint64_t{numerator} * 1'000'000 / denominator);
  }
  return out;
}

enum class FilterType : uint8_t {
  kRequestHeaders,
  kResponseHeaders,
  kRedirect,
  kRewrite,
  kMirror,
  kDirect
};
struct FilterKind {
  std::string_view type, key;
  FilterType value;
};
constexpr std::array<FilterKind, 6> kFilters{{
    {"RequestHeaderModifier", "requestHeaderModifier", FilterType::kRequestHeaders},
    {"ResponseHeaderModifier", "responseHeaderModifier", FilterType::kResponseHeaders},
    {"RequestRedirect", "requestRedirect", FilterType::kRedirect},
    {"URLRewrite", "urlRewrite", FilterType::kRewrite},
    {"RequestMirror", "requestMirror", FilterType::kMirror},
    {"DirectResponse", "directResponse", FilterType::kDirect},
}};

// A filter's own settings and what it is; nullopt after an error.
std::optional<std::pair<FilterType, Item>> read_filter_head(const Item& item) {
  const Fields fields(item, {"type", "requestHeaderModifier", "responseHeaderModifier",
                             "requestRedirect", "urlRewrite", "requestMirror", "directResponse"});
  const auto type = fields.require("type");
  const auto text = type ? type->text() : std::nullopt;
  if (!text) return std::nullopt;
  std::optional<std::pair<FilterType, Item>> out;
  bool known = false;
  for (const FilterKind& kind : kFilters) {
    if (kind.type == *text) {
      known = true;
      if (const auto settings = fields.require(kind.key)) out.emplace(kind.value, *settings);
    } else if (fields.has(kind.key)) {
      item.fail(fmt::format("type {} has no \"{}\"", *text, kind.key));
    }
  }
  // Skipping a filter could skip the one that protects.
  if (!known) type->fail(fmt::format("filter type \"{}\" is not supported", *text));
  return out;
}

}  // namespace

void read_filters(const Item& item, HttpRule& rule, const std::string& ns, bool prefixes) {
  std::set<FilterType> seen;
  for (const Item& element : item.list()) {
    const auto head = read_filter_head(element);
    if (!head) continue;
    const auto& [type, settings] = *head;
    if (type != FilterType::kMirror && !seen.insert(type).second) {
      element.fail("repeats a filter; only RequestMirror may appear several times");
    }
    if (seen.contains(FilterType::kRedirect) + seen.contains(FilterType::kRewrite) +
            seen.contains(FilterType::kDirect) >
        1) {
      element.fail("RequestRedirect, URLRewrite and DirectResponse exclude each other");
      continue;
    }
    switch (type) {
      case FilterType::kRequestHeaders:
        rule.rule.request_headers = read_header_ops(settings);
        break;
      case FilterType::kResponseHeaders:
        rule.rule.response_headers = read_header_ops(settings);
        break;
      case FilterType::kRedirect:
        rule.rule.action = read_redirect(settings, prefixes);
        break;
      case FilterType::kRewrite:
        read_rewrite(settings, std::get<Forward>(rule.rule.action), prefixes);
        break;
      case FilterType::kMirror:
        rule.mirrors.push_back(read_mirror(settings, ns));
        break;
      case FilterType::kDirect:
        rule.rule.action = read_direct_response(settings);
        break;
    }
  }
}

}  // namespace culvert::waypoint::config
