#include "common/state/workload.h"

#include "common/base/check.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace culvert::state {
namespace {

constexpr size_t kV4Bytes = 4;
constexpr size_t kV6Bytes = 16;

// An address as it is kept: its length, then its bytes.
void append_ip(std::string& out, const net::IpAddress& ip) {
  const size_t size = ip.is_v4() ? kV4Bytes : kV6Bytes;
  out += static_cast<char>(size);
  const auto& bytes = ip.bytes();
  out.append(reinterpret_cast<const char*>(bytes.data()) + bytes.size() - size, size);
}

std::string pack_ips(const std::vector<net::IpAddress>& ips) {
  std::string packed;
  packed.reserve(ips.size() * (1 + kV4Bytes));
  for (const net::IpAddress& ip : ips) append_ip(packed, ip);
  return packed;
}

// The order of first + second against `text`.
std::strong_ordering compare(std::string_view first, std::string_view second,
                             std::string_view text) {
  const auto order = first <=> text.substr(0, first.size());
  return order != 0 ? order : second <=> text.substr(first.size());
}

}  // namespace

std::string NetworkAddress::to_string() const { return network + "/" + ip.to_string(); }

std::string NamespacedHostname::to_string() const { return namespace_ + "/" + hostname; }

net::IpAddress IpRange::Iterator::operator*() const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(at_ + 1);
  if (*at_ == kV4Bytes) return net::IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  std::array<uint8_t, kV6Bytes> all;
  std::copy_n(bytes, all.size(), all.begin());
  return net::IpAddress::v6(all);
}

bool IpRange::contains(const net::IpAddress& ip) const {
  return std::find(begin(), end(), ip) != end();
}

WorkloadPtr Workload::make(const ProfileParts& parts, ProfilePtr profile, PlacementPtr placement) {
  const std::string ips = pack_ips(parts.spec.ips);
  CULVERT_CHECK(ips.size() <= UINT32_MAX);  // what says them is limited to far less
  auto* made =
      new (ips.size() + 1 + parts.tail.size()) Workload(std::move(profile), std::move(placement));
  WorkloadPtr workload(made);
  made->ip_bytes_ = static_cast<uint32_t>(ips.size());
  char* own = std::copy(ips.begin(), ips.end(), reinterpret_cast<char*>(made + 1));
  *own++ = static_cast<char>(parts.tail.size());
  std::copy(parts.tail.begin(), parts.tail.end(), own);
  return workload;
}

WorkloadPtr Workload::make(const WorkloadSpec& spec, const ServicePorts& service_ports) {
  const ProfileParts parts(spec, service_ports);
  return make(parts, ProfilePtr(new WorkloadProfile(parts, parts.hash())),
              PlacementPtr(new Placement(Placement::texts_of(spec))));
}

bool Workload::is(const ProfileParts& parts, const Placement::Texts& placement) const {
  return tail() == parts.tail && profile_->is(parts) && placement_->is(placement) &&
         std::string_view(own(), ip_bytes_) == pack_ips(parts.spec.ips);
}

std::string Workload::name() const {
  std::string name(text(Profile::kNameStem));
  if (scalars().name_has_tail) name += tail();
  return name;
}

Identity Workload::identity() const {
  return {std::string(trust_domain()), std::string(ns()), std::string(service_account())};
}

std::strong_ordering Workload::compare_uid(std::string_view uid) const {
  return compare(stem(), tail(), uid);
}

std::strong_ordering Workload::compare_uid(const Workload& other) const {
  if (stem() == other.stem()) return tail() <=> other.tail();
  return compare_uid(other.uid());
}

std::strong_ordering Workload::compare_name(std::string_view name) const {
  const std::string_view end = scalars().name_has_tail ? tail() : std::string_view();
  return compare(text(Profile::kNameStem), end, name);
}

PortMapView Workload::ports_for(const HostKey& service) const {
  for (size_t i = 0; i < membership_count(); ++i) {
    if (membership(i) == service) return membership_ports(i);
  }
  return {};
}

WorkloadSpec Workload::spec() const {
  const auto optional = [](const GatewayAddress* gateway) {
    return gateway == nullptr ? std::nullopt : std::optional(*gateway);
  };
  WorkloadSpec spec;
  spec.uid = uid();
  spec.name = name();
  spec.namespace_ = ns();
  spec.ips.assign(ips().begin(), ips().end());
  spec.network = network();
  spec.protocol = protocol();
  spec.network_mode = network_mode();
  spec.trust_domain = trust_domain();
  spec.service_account = service_account();
  spec.waypoint = optional(waypoint());
  spec.network_gateway = optional(network_gateway());
  spec.node = node();
  spec.workload_name = workload_name();
  spec.workload_type = workload_type();
  spec.canonical_name = canonical_name();
  spec.canonical_revision = canonical_revision();
  spec.hostname = hostname();
  spec.native_tunnel = native_tunnel();
  spec.application_tunnel = application_tunnel();
  for (size_t i = 0; i < policy_count(); ++i) spec.authorization_policies.emplace_back(policy(i));
  spec.status = status();
  spec.cluster_id = cluster_id();
  spec.locality = {std::string(region()), std::string(zone()), std::string(subzone())};
  spec.capacity = capacity();
  for (size_t i = 0; i < service_count(); ++i) {
    spec.services.push_back({std::string(service(i).namespace_), std::string(service(i).hostname)});
  }
  return spec;
}

}  // namespace culvert::state
