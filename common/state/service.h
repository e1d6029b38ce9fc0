#pragma once

#include "common/state/pick_cache.h"
#include "common/state/service_spec.h"
#include "common/state/workload.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::state {

class Service;
using ServicePtr = boost::intrusive_ptr<const Service>;

// An endpoint of a service, as the service sees it; valid as long as that service.
struct EndpointView {
  const Workload* workload = nullptr;  // null: listed by a local file, but no such workload
  PortMapView ports;                   // its own, which win over the service's
  Health status = Health::kHealthy;

  // What it maps the port to itself. Zero, like absence, says nothing: nullopt.
  [[nodiscard]] std::optional<uint16_t> own_port(uint16_t service_port) const;
};

// A service of the mesh with its endpoints. Immutable once a Snapshot shows it, shared between
// threads; a change makes another one. It keeps its endpoints' workloads as they were when it was
// made, so what it says is consistent. string_views are valid as long as the service. What the
// fields mean is in ServiceSpec.
class Service : public boost::intrusive_ref_counter<Service> {
 public:
  // One that is in no Store: of endpoints it has those that the spec lists, without workloads.
  static ServicePtr make(const ServiceSpec& spec);

  [[nodiscard]] std::string_view name() const { return texts_[kName]; }
  [[nodiscard]] std::string_view ns() const { return texts_[kNamespace]; }
  [[nodiscard]] std::string_view hostname() const { return texts_[kHostname]; }
  [[nodiscard]] HostKey key() const { return {ns(), hostname()}; }
  [[nodiscard]] size_t vip_count() const { return (texts_.size() - kTexts) / 2; }
  struct Vip {
    std::string_view network;
    net::IpAddress ip;
    bool operator==(const Vip&) const = default;
  };
  [[nodiscard]] Vip vip(size_t i) const;
  [[nodiscard]] bool has_vip(const Vip& vip) const;
  [[nodiscard]] PortMapView ports() const { return PortMapView(texts_[kPorts]); }
  [[nodiscard]] const std::vector<CidrVip>& cidr_vips() const { return rare().cidr_vips; }
  [[nodiscard]] const std::vector<std::string>& subject_alt_names() const {
    return rare().subject_alt_names;
  }
  [[nodiscard]] const std::optional<GatewayAddress>& waypoint() const { return rare().waypoint; }
  [[nodiscard]] const std::vector<WeightedWaypoint>& weighted_waypoints() const {
    return rare().weighted_waypoints;
  }
  [[nodiscard]] const std::optional<LoadBalancer>& load_balancer() const {
    return rare().load_balancer;
  }
  [[nodiscard]] IpFamilies ip_families() const { return ip_families_; }
  [[nodiscard]] bool canonical() const { return canonical_; }
  [[nodiscard]] Visibility visibility() const { return visibility_; }

  // Endpoints: the workloads that name this service, by uid, then those only a local file lists.
  // Unhealthy ones are here too, see serves().
  [[nodiscard]] size_t endpoint_count() const { return members_.size() + named().size(); }
  [[nodiscard]] EndpointView endpoint(size_t i) const;
  // O(log n) for members.
  [[nodiscard]] std::optional<EndpointView> find_endpoint(std::string_view workload_uid) const;
  // Whether the health policy lets this endpoint be chosen.
  [[nodiscard]] bool serves(const EndpointView& endpoint) const;

  // As it was given to the Store, with all endpoints it has now.
  [[nodiscard]] ServiceSpec spec() const;

  // ---- for common/state
  struct NamedEndpoint {
    std::string uid;
    std::string ports;  // see PortMapView
    Health status = Health::kHealthy;
    WorkloadPtr workload;  // null: unknown
  };
  explicit Service(const ServiceSpec& spec);
  explicit Service(const HostKey& key);  // nothing else is known: its endpoints wait for it
  Service(const Service& other);
  Service& operator=(const Service&) = delete;
  [[nodiscard]] const std::vector<WorkloadPtr>& members() const { return members_; }
  [[nodiscard]] bool has_member(std::string_view uid) const;
  void set_members(std::vector<WorkloadPtr> by_uid) { members_ = std::move(by_uid); }
  [[nodiscard]] const std::vector<NamedEndpoint>& named() const;
  void set_named(std::vector<NamedEndpoint> named);
  [[nodiscard]] const PickCache& picks() const { return picks_; }

 private:
  enum Text : size_t { kName, kNamespace, kHostname, kPorts, kTexts };  // then network, ip of VIPs
  struct Rare {  // what few services have, in one place out of the way
    std::vector<CidrVip> cidr_vips;
    std::vector<std::string> subject_alt_names;
    std::optional<GatewayAddress> waypoint;
    std::vector<WeightedWaypoint> weighted_waypoints;
    std::optional<LoadBalancer> load_balancer;
    bool operator==(const Rare&) const = default;
  };
  using Members = std::vector<WorkloadPtr>;
  [[nodiscard]] Members::const_iterator find_member(std::string_view uid) const;
  static TextPack pack(const ServiceSpec& spec);
  [[nodiscard]] const Rare& rare() const;

  IpFamilies ip_families_ = IpFamilies::kAutomatic;
  bool canonical_ = false;
  Visibility visibility_ = Visibility::kPublic;
  TextPack texts_;
  std::shared_ptr<const Rare> rare_;                         // null: nothing of it
  std::vector<WorkloadPtr> members_;                         // by uid
  std::unique_ptr<const std::vector<NamedEndpoint>> named_;  // null: none; by uid, no members
  PickCache picks_;
};

}  // namespace culvert::state
