#pragma once

#include "common/state/text_pack.h"
#include "common/state/workload_spec.h"

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What workloads have in common, kept once for all of them: the pods of a deployment share a
// profile, the pods of a node a placement. Private to common/state; users see Workload.
namespace culvert::state {

using ServicePorts = std::map<NamespacedHostname, PortMap>;

// Where a workload runs.
class Placement : public boost::intrusive_ref_counter<Placement> {
 public:
  enum Text : size_t { kNetwork, kClusterId, kNode, kRegion, kZone, kSubzone, kTexts };
  using Texts = std::array<std::string_view, kTexts>;
  static Texts texts_of(const WorkloadSpec& spec);

  explicit Placement(const Texts& texts) : texts_(texts) {}
  [[nodiscard]] std::string_view text(Text which) const { return texts_[which]; }
  static size_t hash_of(const Texts& texts);
  [[nodiscard]] bool is(const Texts& texts) const;

 private:
  TextPack texts_;
};
using PlacementPtr = boost::intrusive_ptr<const Placement>;

// A WorkloadSpec taken apart: what its profile must say, and what is its own. Refers to the spec.
struct ProfileParts {
  struct Scalars {
    uint32_t capacity = 1;
    uint32_t memberships = 0, services = 0, policies = 0;
    Protocol protocol = Protocol::kTcp;
    NetworkMode network_mode = NetworkMode::kStandard;
    Health status = Health::kHealthy;
    bool native_tunnel = false;
    bool name_has_tail = false;   // the name is the stem and the workload's tail, as the uid is
    bool services_apart = false;  // `services` are not those it is a member of
    std::optional<ApplicationTunnel> application_tunnel;
    bool operator==(const Scalars&) const = default;
  };
  ProfileParts(const WorkloadSpec& spec, const ServicePorts& service_ports);
  [[nodiscard]] size_t hash() const;

  const WorkloadSpec& spec;
  std::string_view tail;  // the end of the uid: what tells the pods of a deployment apart
  Scalars scalars;
  std::vector<std::string_view> texts;  // see WorkloadProfile::Text
  std::vector<std::string> port_maps;   // what `texts` says of ports
};

class WorkloadProfile : public boost::intrusive_ref_counter<WorkloadProfile> {
 public:
  // Followed by namespace, host name and PortMapView of each membership; namespace and host name of
  // each service if they are kept apart; the keys of policies.
  enum Text : size_t {
    kUidStem,
    kNameStem,
    kNamespace,
    kTrustDomain,
    kServiceAccount,
    kWorkloadName,
    kWorkloadType,
    kCanonicalName,
    kCanonicalRevision,
    kHostname,
    kTexts
  };
  // `hash`: that of the parts.
  WorkloadProfile(const ProfileParts& parts, size_t hash);

  [[nodiscard]] std::string_view text(Text which) const { return texts_[which]; }
  [[nodiscard]] const ProfileParts::Scalars& scalars() const { return scalars_; }
  // Whether the uid is a pod's. A tail has no slash, so the stem tells.
  [[nodiscard]] bool is_pod() const { return texts_[kUidStem].find("//Pod/") != std::string::npos; }
  [[nodiscard]] const GatewayAddress* waypoint() const { return waypoint_.get(); }
  [[nodiscard]] const GatewayAddress* network_gateway() const { return network_gateway_.get(); }
  [[nodiscard]] HostKey membership(size_t i) const {
    return {texts_[kTexts + 3 * i], texts_[kTexts + 3 * i + 1]};
  }
  [[nodiscard]] PortMapView membership_ports(size_t i) const {
    return PortMapView(texts_[kTexts + 3 * i + 2]);
  }
  [[nodiscard]] HostKey service(size_t i) const;
  [[nodiscard]] std::string_view policy(size_t i) const;

  [[nodiscard]] size_t hash() const { return hash_; }
  [[nodiscard]] bool is(const ProfileParts& parts) const;

 private:
  TextPack texts_;
  size_t hash_;
  ProfileParts::Scalars scalars_;
  std::unique_ptr<const GatewayAddress> waypoint_, network_gateway_;
};
using ProfilePtr = boost::intrusive_ptr<const WorkloadProfile>;

}  // namespace culvert::state
