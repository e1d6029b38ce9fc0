#include "common/state/service.h"

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::state {
namespace {

std::string_view address_bytes(const net::IpAddress& ip) {
  return {reinterpret_cast<const char*>(ip.bytes().data()), ip.bytes().size()};
}

}  // namespace

std::optional<uint16_t> EndpointView::own_port(uint16_t service_port) const {
  const auto port = ports.find(service_port);
  return port.value_or(0) == 0 ? std::nullopt : port;
}

TextPack Service::pack(const ServiceSpec& spec) {
  const std::string ports = PortMapView::pack(spec.ports);
  std::vector<std::string_view> texts{spec.name, spec.namespace_, spec.hostname, ports};
  for (const NetworkAddress& vip : spec.vips) {
    texts.insert(texts.end(), {vip.network, address_bytes(vip.ip)});
  }
  return TextPack(texts);
}

Service::Service(const ServiceSpec& spec)
    : ip_families_(spec.ip_families),
      canonical_(spec.canonical),
      visibility_(spec.visibility),
      texts_(pack(spec)) {
  Rare rare{spec.cidr_vips, spec.subject_alt_names, spec.waypoint, spec.weighted_waypoints,
            spec.load_balancer};
  if (rare != Rare{}) rare_ = std::make_shared<const Rare>(std::move(rare));
  std::vector<NamedEndpoint> named;
  named.reserve(spec.endpoints.size());
  for (const auto& [uid, endpoint] : spec.endpoints) {
    named.push_back({uid, PortMapView::pack(endpoint.ports), endpoint.status, nullptr});
  }
  set_named(std::move(named));
}

Service::Service(const HostKey& key)
    : texts_(std::array<std::string_view, kTexts>{"", key.namespace_, key.hostname, ""}) {}

Service::Service(const Service& other)
    : boost::intrusive_ref_counter<Service>(other),  // counts anew
      ip_families_(other.ip_families_),
      canonical_(other.canonical_),
      visibility_(other.visibility_),
      texts_(other.texts_),
      rare_(other.rare_),
      members_(other.members_) {
  set_named(other.named());
}

ServicePtr Service::make(const ServiceSpec& spec) { return ServicePtr(new Service(spec)); }

const Service::Rare& Service::rare() const {
  static const Rare kNothing;
  return rare_ == nullptr ? kNothing : *rare_;
}

const std::vector<Service::NamedEndpoint>& Service::named() const {
  static const std::vector<NamedEndpoint> kNone;
  return named_ == nullptr ? kNone : *named_;
}

void Service::set_named(std::vector<NamedEndpoint> named) {
  named_ = named.empty() ? nullptr
                         : std::make_unique<const std::vector<NamedEndpoint>>(std::move(named));
}

Service::Vip Service::vip(size_t i) const {
  std::array<uint8_t, 16> bytes;
  const std::string_view packed = texts_[kTexts + 2 * i + 1];
  std::copy(packed.begin(), packed.end(), bytes.begin());
  return {texts_[kTexts + 2 * i], net::IpAddress::v6(bytes)};
}

bool Service::has_vip(const Vip& wanted) const {
  for (size_t i = 0; i < vip_count(); ++i) {
    if (vip(i) == wanted) return true;
  }
  return false;
}

EndpointView Service::endpoint(size_t i) const {
  if (i < members_.size()) {
    const Workload& workload = *members_[i];
    return {&workload, workload.ports_for(key()), workload.status()};
  }
  const NamedEndpoint& endpoint = named()[i - members_.size()];
  return {endpoint.workload.get(), PortMapView(endpoint.ports), endpoint.status};
}

Service::Members::const_iterator Service::find_member(std::string_view uid) const {
  const auto member = std::lower_bound(members_.begin(), members_.end(), uid,
                                       [](const WorkloadPtr& workload, std::string_view to) {
                                         return workload->compare_uid(to) < 0;
                                       });
  const bool found = member != members_.end() && (*member)->compare_uid(uid) == 0;
  return found ? member : members_.end();
}

bool Service::has_member(std::string_view uid) const { return find_member(uid) != members_.end(); }

std::optional<EndpointView> Service::find_endpoint(std::string_view workload_uid) const {
  if (const auto member = find_member(workload_uid); member != members_.end()) {
    return endpoint(static_cast<size_t>(member - members_.begin()));
  }
  for (size_t i = 0; i < named().size(); ++i) {
    if (named()[i].uid == workload_uid) return endpoint(members_.size() + i);
  }
  return std::nullopt;
}

bool Service::serves(const EndpointView& endpoint) const {
  const auto& balancer = load_balancer();
  return endpoint.status == Health::kHealthy ||
         (balancer && balancer->health_policy == HealthPolicy::kAllowAll);
}

ServiceSpec Service::spec() const {
  ServiceSpec spec;
  spec.name = name();
  spec.namespace_ = ns();
  spec.hostname = hostname();
  for (size_t i = 0; i < vip_count(); ++i) {
    spec.vips.push_back({std::string(vip(i).network), vip(i).ip});
  }
  spec.cidr_vips = cidr_vips();
  spec.ports = ports().unpack();
  for (size_t i = 0; i < members_.size(); ++i) {
    const EndpointView member = endpoint(i);
    std::string uid = member.workload->uid();
    spec.endpoints.emplace(uid, Endpoint{uid, member.ports.unpack(), member.status});
  }
  for (const NamedEndpoint& endpoint : named()) {
    spec.endpoints.emplace(
        endpoint.uid,
        Endpoint{endpoint.uid, PortMapView(endpoint.ports).unpack(), endpoint.status});
  }
  spec.subject_alt_names = subject_alt_names();
  spec.waypoint = waypoint();
  spec.weighted_waypoints = weighted_waypoints();
  spec.load_balancer = load_balancer();
  spec.ip_families = ip_families_;
  spec.canonical = canonical_;
  spec.visibility = visibility_;
  return spec;
}

}  // namespace culvert::state
