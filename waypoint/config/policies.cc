#include "common/http/chars.h"
#include "waypoint/config/document.h"

#include <fmt/format.h>

#include <array>
#include <functional>

// Istio's AuthorizationPolicy. A policy that is half understood is worse than none: whatever is not
// known here is an error that refuses the file.
namespace culvert::waypoint::config {
namespace {

// Turns one value of an attribute into a condition, or explains what is wrong with it.
using MakeLeaf = std::function<std::optional<AuthzLeaf>(const Item&)>;

std::optional<StringMatch> read_wildcard(const Item& item) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  auto match = StringMatch::from_wildcard(*text);
  if (!match) {
    item.fail(match.error().message());
    return std::nullopt;
  }
  return *match;
}

template <class Leaf>
std::optional<AuthzLeaf> wildcard_leaf(const Item& item) {
  auto match = read_wildcard(item);
  return match ? std::optional<AuthzLeaf>(Leaf{std::move(*match)}) : std::nullopt;
}

std::optional<AuthzLeaf> principal_leaf(const Item& item) {
  auto match = read_wildcard(item);
  if (!match) return std::nullopt;
  // Policies leave out the scheme that certificates have.
  if (match->value.starts_with("spiffe://")) {
    item.fail("principals are written without \"spiffe://\"");
    return std::nullopt;
  }
  if (match->kind == StringMatch::Kind::kExact || match->kind == StringMatch::Kind::kPrefix) {
    match->value.insert(0, "spiffe://");
  }
  return PrincipalCondition{std::move(*match)};
}

std::optional<AuthzLeaf> service_account_leaf(const Item& item, const std::string& ns) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  const size_t slash = text->find('/');
  const bool bare = slash == std::string::npos;
  ServiceAccountCondition out{bare ? ns : text->substr(0, slash),
                              bare ? *text : text->substr(slash + 1)};
  if (out.namespace_.empty() || out.name.empty() ||
      text->find_first_of("*/", bare ? 0 : slash + 1) != std::string::npos ||
      out.namespace_.find('*') != std::string::npos) {
    item.fail("must be <service account> or <namespace>/<service account>, without wildcards");
    return std::nullopt;
  }
  return out;
}

MakeLeaf address_leaf(AddressFact which) {
  return [which](const Item& item) -> std::optional<AuthzLeaf> {
    const auto range = read_cidr(item);
    return range ? std::optional<AuthzLeaf>(AddressCondition{which, *range}) : std::nullopt;
  };
}

std::optional<AuthzLeaf> port_leaf(const Item& item) {
  const auto port = item.port();
  return port ? std::optional<AuthzLeaf>(PortCondition{*port}) : std::nullopt;
}

std::optional<AuthzLeaf> host_leaf(const Item& item) {
  auto match = read_wildcard(item);
  if (!match) return std::nullopt;
  match->ignore_case = true;
  return HostCondition{std::move(*match)};
}

std::optional<AuthzLeaf> path_leaf(const Item& item) {
  const auto text = item.text();
  if (!text) return std::nullopt;
  if (text->find_first_of("?#") != std::string::npos) {
    item.fail("paths are matched without their query: '?' and '#' can never match");
    return std::nullopt;
  }
  if (PathTemplate::looks_like(*text)) {
    auto parsed = PathTemplate::parse(*text);
    if (parsed) return PathCondition{std::move(*parsed)};
    item.fail(parsed.error().message());
    return std::nullopt;
  }
  auto match = read_wildcard(item);
  return match ? std::optional<AuthzLeaf>(PathCondition{std::move(*match)}) : std::nullopt;
}

MakeLeaf header_leaf(std::string name) {
  return [name = std::move(name)](const Item& item) -> std::optional<AuthzLeaf> {
    auto match = read_wildcard(item);
    return match ? std::optional<AuthzLeaf>(HeaderCondition{name, std::move(*match)})
                 : std::nullopt;
  };
}

Constraint read_constraint(const Item& values, const MakeLeaf& make, bool negate) {
  Constraint out;
  out.negate = negate;
  for (const Item& value : values.list()) {
    if (auto leaf = make(value)) out.any_of.push_back(std::move(*leaf));
  }
  return out;
}

struct Attribute {
  std::string_view key, not_key;
  MakeLeaf make;
};

std::vector<Constraint> read_attributes(const Fields& fields,
                                        std::initializer_list<Attribute> attributes) {
  std::vector<Constraint> out;
  for (const Attribute& attribute : attributes) {
    if (const auto values = fields.get(attribute.key)) {
      out.push_back(read_constraint(*values, attribute.make, false));
    }
    if (const auto values = fields.get(attribute.not_key)) {
      out.push_back(read_constraint(*values, attribute.make, true));
    }
  }
  // Istio refuses it too: "from: [{source: {}}]" would be everyone.
  if (out.empty()) fields.item().fail("must name at least one attribute");
  return out;
}

std::vector<Constraint> read_source(const Item& item, const std::string& ns) {
  const Fields outer(item, {"source"});
  const auto source = outer.require("source");
  if (!source) return {};
  const Fields fields(*source, {"principals", "notPrincipals", "namespaces", "notNamespaces",
                                "serviceAccounts", "notServiceAccounts", "ipBlocks", "notIpBlocks",
                                "remoteIpBlocks", "notRemoteIpBlocks"});
  return read_attributes(
      fields, {{"principals", "notPrincipals", principal_leaf},
               {"namespaces", "notNamespaces", wildcard_leaf<NamespaceCondition>},
               {"serviceAccounts", "notServiceAccounts",
                [&](const Item& value) { return service_account_leaf(value, ns); }},
               {"ipBlocks", "notIpBlocks", address_leaf(AddressFact::kSource)},
               {"remoteIpBlocks", "notRemoteIpBlocks", address_leaf(AddressFact::kRemote)}});
}

std::vector<Constraint> read_operation(const Item& item) {
  const Fields outer(item, {"operation"});
  const auto operation = outer.require("operation");
  if (!operation) return {};
  const Fields fields(*operation, {"hosts", "notHosts", "ports", "notPorts", "methods",
                                   "notMethods", "paths", "notPaths"});
  return read_attributes(fields, {{"hosts", "notHosts", host_leaf},
                                  {"ports", "notPorts", port_leaf},
                                  {"methods", "notMethods", wildcard_leaf<MethodCondition>},
                                  {"paths", "notPaths", path_leaf}});
}

// What a `when` key means; nullopt: not known.
std::optional<MakeLeaf> when_leaf(const std::string& key, const std::string& ns) {
  static constexpr std::string_view kHeader = "request.headers[";
  if (key.starts_with(kHeader) && key.ends_with(']')) {
    std::string name = key.substr(kHeader.size(), key.size() - kHeader.size() - 1);
    if (!http::is_token(name)) return std::nullopt;
    for (char& c : name) c = http::to_lower(c);
    // Host has its own member in a request, `hosts` is what looks at it.
    if (name == "host") return std::nullopt;
    return header_leaf(std::move(name));
  }
  if (key == "source.ip") return address_leaf(AddressFact::kSource);
  if (key == "remote.ip") return address_leaf(AddressFact::kRemote);
  if (key == "source.namespace") return wildcard_leaf<NamespaceCondition>;
  if (key == "source.principal") return principal_leaf;
  if (key == "source.serviceAccount") {
    return [ns](const Item& item) { return service_account_leaf(item, ns); };
  }
  if (key == "destination.ip") return address_leaf(AddressFact::kDestination);
  if (key == "destination.port") return port_leaf;
  if (key == "connection.sni") return wildcard_leaf<SniCondition>;
  return std::nullopt;
}

std::vector<Constraint> read_when(const Item& item, const std::string& ns) {
  const Fields fields(item, {"key", "values", "notValues"});
  const auto key = fields.require("key");
  const auto text = key ? key->text() : std::nullopt;
  if (!text) return {};
  const auto make = when_leaf(*text, ns);
  if (!make) {
    key->fail(fmt::format(
        "\"{}\" is not a condition that can be evaluated here; known: request.headers[<name>], "
        "source.ip, "
        "remote.ip, source.namespace, source.principal, source.serviceAccount, destination.ip, "
        "destination.port, connection.sni",
        *text));
    return {};
  }
  return read_attributes(fields, {{"values", "notValues", *make}});
}

PolicyRule read_policy_rule(const Item& item, const std::string& ns) {
  const Fields fields(item, {"from", "to", "when"});
  PolicyRule out;
  if (const auto from = fields.get("from")) {
    for (const Item& element : from->list()) out.from.push_back(read_source(element, ns));
  }
  if (const auto to = fields.get("to")) {
    for (const Item& element : to->list()) out.to.push_back(read_operation(element));
  }
  if (const auto when = fields.get("when")) {
    for (const Item& element : when->list()) {
      for (Constraint& constraint : read_when(element, ns)) {
        out.when.push_back(std::move(constraint));
      }
    }
  }
  return out;
}

TargetRef read_target(const Item& item) {
  const Fields fields(item, {"kind", "name"});
  TargetRef out;
  out.where = item.where();
  if (const auto kind = fields.require("kind")) {
    out.gateway = kind->choice<bool>({{"Service", false}, {"Gateway", true}}).value_or(false);
  }
  (void)fields.require("name");
  fields.read("name", out.name);
  return out;
}

}  // namespace

Policy read_policy(const Item& item, const Self& self) {
  const Fields fields(item, {"name", "namespace", "action", "targetRefs", "rules"});
  Policy out;
  out.where = item.where();
  std::tie(out.name, out.namespace_) = read_name(fields, self);
  if (const auto action = fields.get("action")) {
    out.action =
        action->choice<AuthzAction>({{"ALLOW", AuthzAction::kAllow}, {"DENY", AuthzAction::kDeny}})
            .value_or(AuthzAction::kDeny);
  }
  // Istio's policies without targets are the node proxy's, not the waypoint's.
  if (const auto targets = fields.require("targetRefs")) {
    for (const Item& element : targets->list()) out.targets.push_back(read_target(element));
  }
  if (const auto rules = fields.get("rules")) {
    for (const Item& element : rules->list()) {
      out.rules.push_back(read_policy_rule(element, out.namespace_));
    }
  }
  return out;
}

}  // namespace culvert::waypoint::config
