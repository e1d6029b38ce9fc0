#include "common/config/local_policy.h"

#include <string>
#include <vector>

namespace culvert::config {
namespace {

using state::Policy;
using state::PolicyMatch;
using state::StringMatch;

// `!Exact foo` (a tag, as Istio's ztunnel reads it) or `{Exact: foo}` (as its /config_dump prints
// it).
StringMatch read_string_match(const YamlValue& value) {
  const auto read = [](std::string_view kind, const YamlValue& operand) -> StringMatch {
    const YamlNode& node = operand.node();
    if (kind == "Presence") {
      const bool empty_list = node.kind == YamlNode::Kind::kSequence && node.items.empty();
      if (!empty_list) operand.fail("Presence takes an empty list: !Presence []");
      return {StringMatch::Kind::kPresence, {}};
    }
    if (node.kind != YamlNode::Kind::kScalar) {
      operand.fail("not a string");
      return {};
    }
    if (kind == "Exact") return {StringMatch::Kind::kExact, std::string(node.text)};
    if (kind == "Prefix") return {StringMatch::Kind::kPrefix, std::string(node.text)};
    if (kind == "Suffix") return {StringMatch::Kind::kSuffix, std::string(node.text)};
    operand.fail("'" + std::string(kind) + "' is none of Exact, Prefix, Suffix, Presence");
    return {};
  };
  const YamlNode& node = value.node();
  if (!node.tag.empty()) {
    const std::string_view tag = node.tag;
    return read(tag.starts_with('!') ? tag.substr(1) : tag, value);
  }
  if (node.kind != YamlNode::Kind::kMap || node.items.size() != 2) {
    value.fail("not a string match: !Exact x, !Prefix x, !Suffix x or !Presence []");
    return {};
  }
  StringMatch match;
  value.each_entry([&](std::string_view kind, const YamlValue& operand) {
    if (operand.expect(operand.node().kind, "")) match = read(kind, operand);
  });
  return match;
}

state::ServiceAccountMatch read_service_account(const YamlValue& value) {
  state::ServiceAccountMatch match;
  YamlObject object(value, YamlObject::Unknown::kIgnored);
  object.required("namespace", [&](const YamlValue& field) { match.namespace_ = field.text(); });
  object.required("serviceAccount",
                  [&](const YamlValue& field) { match.service_account = field.text(); });
  return match;
}

PolicyMatch read_match(const YamlValue& value) {
  PolicyMatch match;
  YamlObject object(value, YamlObject::Unknown::kIgnored);
  const auto list = [&](std::string_view key, auto& into, auto&& read) {
    object.optional(key, [&](const YamlValue& field) {
      field.each([&](const YamlValue& item) { into.push_back(read(item)); });
    });
  };
  const auto port = [](const YamlValue& item) { return item.u16(); };
  list("namespaces", match.namespaces, read_string_match);
  list("notNamespaces", match.not_namespaces, read_string_match);
  list("principals", match.principals, read_string_match);
  list("notPrincipals", match.not_principals, read_string_match);
  list("serviceAccounts", match.service_accounts, read_service_account);
  list("notServiceAccounts", match.not_service_accounts, read_service_account);
  list("sourceIps", match.source_ips, read_cidr);
  list("notSourceIps", match.not_source_ips, read_cidr);
  list("destinationIps", match.destination_ips, read_cidr);
  list("notDestinationIps", match.not_destination_ips, read_cidr);
  list("destinationPorts", match.destination_ports, port);
  list("notDestinationPorts", match.not_destination_ports, port);
  return match;
}

}  // namespace

net::Cidr read_cidr(const YamlValue& value) {
  const auto cidr = net::Cidr::parse(value.text());
  if (!cidr) value.fail("not a network prefix such as 10.0.0.0/8");
  return cidr ? *cidr : net::Cidr();
}

Policy read_policy(const YamlValue& value) {
  Policy policy;
  YamlObject object(value);
  object.required("name", [&](const YamlValue& field) { policy.name = field.text(); });
  object.required("namespace", [&](const YamlValue& field) { policy.namespace_ = field.text(); });
  object.required("scope", [&](const YamlValue& field) {
    policy.scope =
        field.choice<Policy::Scope>({{"Global", Policy::Scope::kGlobal},
                                     {"Namespace", Policy::Scope::kNamespace},
                                     {"WorkloadSelector", Policy::Scope::kWorkloadSelector}});
  });
  object.required("action", [&](const YamlValue& field) {
    policy.action = field.choice<Policy::Action>(
        {{"Allow", Policy::Action::kAllow}, {"Deny", Policy::Action::kDeny}});
  });
  object.required("dryRun", [&](const YamlValue& field) { policy.dry_run = field.boolean(); });
  object.required("rules", [&](const YamlValue& rules) {
    rules.each([&](const YamlValue& rule) {
      auto& clauses = policy.rules.emplace_back();
      rule.each([&](const YamlValue& clause) {
        auto& matches = clauses.emplace_back();
        clause.each([&](const YamlValue& match) { matches.push_back(read_match(match)); });
      });
    });
  });
  object.finish();
  return policy;
}

}  // namespace culvert::config
