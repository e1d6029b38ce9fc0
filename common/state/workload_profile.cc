#include "common/state/workload_profile.h"

#include "common/state/hash.h"

#include <algorithm>

namespace culvert::state {
namespace {

// The record of a workload has one byte for the length of its tail.
constexpr size_t kMaxTail = UINT8_MAX;

size_t hash_texts(std::span<const std::string_view> texts) {
  size_t hash = 0;
  for (const std::string_view text : texts) {
    hash = combine_hash(hash, std::hash<std::string_view>{}(text));
  }
  return hash;
}

// What follows the last dash or slash: of "shop-7d4b9c6f5-x2x9k" the part of which every pod has
// its own.
std::string_view tail_of(std::string_view text) {
  const size_t at = text.find_last_of("-/");
  const auto tail = at == std::string_view::npos ? text : text.substr(at + 1);
  return tail.size() <= kMaxTail ? tail : std::string_view();
}

bool same(const GatewayAddress* a, const std::optional<GatewayAddress>& b) {
  return a == nullptr ? !b.has_value() : b == *a;
}

// Whether `services` are exactly those of the map, each once.
bool same_services(const std::vector<NamespacedHostname>& services, const ServicePorts& ports) {
  return services.size() == ports.size() &&
         std::all_of(ports.begin(), ports.end(), [&](const auto& entry) {
           return std::find(services.begin(), services.end(), entry.first) != services.end();
         });
}

}  // namespace

Placement::Texts Placement::texts_of(const WorkloadSpec& spec) {
  return {spec.network,         spec.cluster_id,    spec.node,
          spec.locality.region, spec.locality.zone, spec.locality.subzone};
}

size_t Placement::hash_of(const Texts& texts) { return hash_texts(texts); }

bool Placement::is(const Texts& texts) const {
  for (size_t i = 0; i < kTexts; ++i) {
    if (texts_[i] != texts[i]) return false;
  }
  return true;
}

ProfileParts::ProfileParts(const WorkloadSpec& from, const ServicePorts& service_ports)
    : spec(from) {
  std::string_view name_stem = spec.name;
  scalars.name_has_tail = !spec.name.empty() && spec.uid.ends_with(spec.name);
  tail = tail_of(scalars.name_has_tail ? spec.name : spec.uid);
  if (scalars.name_has_tail) name_stem.remove_suffix(tail.size());
  scalars.capacity = spec.capacity;
  scalars.protocol = spec.protocol;
  scalars.network_mode = spec.network_mode;
  scalars.status = spec.status;
  scalars.native_tunnel = spec.native_tunnel;
  scalars.application_tunnel = spec.application_tunnel;
  scalars.memberships = static_cast<uint32_t>(service_ports.size());
  scalars.services = static_cast<uint32_t>(spec.services.size());
  scalars.policies = static_cast<uint32_t>(spec.authorization_policies.size());
  scalars.services_apart = !same_services(spec.services, service_ports);

  texts = {std::string_view(spec.uid).substr(0, spec.uid.size() - tail.size()),
           name_stem,
           spec.namespace_,
           spec.trust_domain,
           spec.service_account,
           spec.workload_name,
           spec.workload_type,
           spec.canonical_name,
           spec.canonical_revision,
           spec.hostname};
  port_maps.reserve(service_ports.size());  // `texts` refers to what it holds
  const auto add_membership = [&](const NamespacedHostname& key, const PortMap& ports) {
    texts.insert(texts.end(),
                 {key.namespace_, key.hostname, port_maps.emplace_back(PortMapView::pack(ports))});
  };
  if (scalars.services_apart) {
    for (const auto& [key, ports] : service_ports) add_membership(key, ports);
    for (const auto& key : spec.services) {
      texts.insert(texts.end(), {key.namespace_, key.hostname});
    }
  } else {  // in the order it is told
    for (const auto& key : spec.services) add_membership(key, service_ports.at(key));
  }
  texts.insert(texts.end(), spec.authorization_policies.begin(), spec.authorization_policies.end());
}

size_t ProfileParts::hash() const {
  const size_t hash = combine_hash(hash_texts(texts), scalars.capacity);
  return combine_hash(
      hash, static_cast<size_t>(scalars.protocol) << 8 | static_cast<size_t>(scalars.status));
}

WorkloadProfile::WorkloadProfile(const ProfileParts& parts, size_t hash)
    : texts_(parts.texts), hash_(hash), scalars_(parts.scalars) {
  const auto& waypoint = parts.spec.waypoint;
  const auto& gateway = parts.spec.network_gateway;
  if (waypoint) waypoint_ = std::make_unique<const GatewayAddress>(*waypoint);
  if (gateway) network_gateway_ = std::make_unique<const GatewayAddress>(*gateway);
}

HostKey WorkloadProfile::service(size_t i) const {
  if (!scalars_.services_apart) return membership(i);
  const size_t at = kTexts + 3 * size_t{scalars_.memberships} + 2 * i;
  return {texts_[at], texts_[at + 1]};
}

std::string_view WorkloadProfile::policy(size_t i) const {
  return texts_[texts_.size() - scalars_.policies + i];
}

bool WorkloadProfile::is(const ProfileParts& parts) const {
  if (scalars_ != parts.scalars || texts_.size() != parts.texts.size()) return false;
  for (size_t i = 0; i < parts.texts.size(); ++i) {
    if (texts_[i] != parts.texts[i]) return false;
  }
  return same(waypoint_.get(), parts.spec.waypoint) &&
         same(network_gateway_.get(), parts.spec.network_gateway);
}

}  // namespace culvert::state
