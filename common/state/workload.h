#pragma once

#include "common/state/workload_profile.h"

#include <compare>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::state {

class Workload;
// Keeps the workload as it was found, whatever happens to the snapshot it came from.
using WorkloadPtr = boost::intrusive_ptr<const Workload>;

// The addresses of a workload, by value; valid as long as the workload.
class IpRange {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = net::IpAddress;
    using difference_type = std::ptrdiff_t;
    using pointer = const net::IpAddress*;
    using reference = net::IpAddress;
    Iterator() = default;
    explicit Iterator(const char* at) : at_(at) {}
    net::IpAddress operator*() const;
    Iterator& operator++() {
      at_ += 1 + *at_;
      return *this;
    }
    Iterator operator++(int) {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const char* at_ = nullptr;
  };
  // As they are kept: each after its length.
  explicit IpRange(std::span<const char> bytes)
      : begin_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  [[nodiscard]] Iterator begin() const { return begin_; }
  [[nodiscard]] Iterator end() const { return end_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] bool contains(const net::IpAddress& ip) const;

 private:
  Iterator begin_, end_;
};

// A workload of the mesh. Immutable, shared between threads, small: of its own it has only its
// addresses and the end of its name, everything else it shares with its like. string_views are
// valid as long as the workload. What the fields mean is in WorkloadSpec.
class Workload : public boost::intrusive_ref_counter<Workload> {
 public:
  // One that shares nothing and is in no Store; `service_ports` as in Store::upsert_workload.
  static WorkloadPtr make(const WorkloadSpec& spec, const ServicePorts& service_ports = {});

  [[nodiscard]] std::string uid() const { return std::string(stem()).append(tail()); }
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string_view ns() const { return text(Profile::kNamespace); }
  [[nodiscard]] IpRange ips() const { return IpRange(std::span(own(), ip_bytes_)); }
  [[nodiscard]] std::string_view network() const { return text(Placement::kNetwork); }
  [[nodiscard]] Protocol protocol() const { return scalars().protocol; }
  [[nodiscard]] NetworkMode network_mode() const { return scalars().network_mode; }
  [[nodiscard]] std::string_view trust_domain() const { return text(Profile::kTrustDomain); }
  [[nodiscard]] std::string_view service_account() const { return text(Profile::kServiceAccount); }
  [[nodiscard]] Identity identity() const;
  // nullptr: none.
  [[nodiscard]] const GatewayAddress* waypoint() const { return profile_->waypoint(); }
  [[nodiscard]] const GatewayAddress* network_gateway() const {
    return profile_->network_gateway();
  }
  [[nodiscard]] std::string_view node() const { return text(Placement::kNode); }
  [[nodiscard]] std::string_view workload_name() const { return text(Profile::kWorkloadName); }
  [[nodiscard]] std::string_view workload_type() const { return text(Profile::kWorkloadType); }
  [[nodiscard]] std::string_view canonical_name() const { return text(Profile::kCanonicalName); }
  [[nodiscard]] std::string_view canonical_revision() const {
    return text(Profile::kCanonicalRevision);
  }
  [[nodiscard]] std::string_view hostname() const { return text(Profile::kHostname); }
  [[nodiscard]] bool native_tunnel() const { return scalars().native_tunnel; }
  [[nodiscard]] const std::optional<ApplicationTunnel>& application_tunnel() const {
    return scalars().application_tunnel;
  }
  [[nodiscard]] size_t policy_count() const { return scalars().policies; }
  [[nodiscard]] std::string_view policy(size_t i) const { return profile_->policy(i); }
  [[nodiscard]] Health status() const { return scalars().status; }
  [[nodiscard]] std::string_view cluster_id() const { return text(Placement::kClusterId); }
  [[nodiscard]] std::string_view region() const { return text(Placement::kRegion); }
  [[nodiscard]] std::string_view zone() const { return text(Placement::kZone); }
  [[nodiscard]] std::string_view subzone() const { return text(Placement::kSubzone); }
  [[nodiscard]] uint32_t capacity() const { return scalars().capacity; }
  [[nodiscard]] size_t service_count() const { return scalars().services; }
  [[nodiscard]] HostKey service(size_t i) const { return profile_->service(i); }

  // As it was given to the Store.
  [[nodiscard]] WorkloadSpec spec() const;

  // The order of uids and of names, and equality, without making those strings.
  [[nodiscard]] std::strong_ordering compare_uid(std::string_view uid) const;
  [[nodiscard]] std::strong_ordering compare_uid(const Workload& other) const;
  [[nodiscard]] std::strong_ordering compare_name(std::string_view name) const;

  // ---- for common/state
  [[nodiscard]] const PlacementPtr& placement() const { return placement_; }
  [[nodiscard]] const WorkloadProfile& profile() const { return *profile_; }
  // The services it is an endpoint of, with its ports; as service_ports gave them.
  [[nodiscard]] size_t membership_count() const { return scalars().memberships; }
  [[nodiscard]] HostKey membership(size_t i) const { return profile_->membership(i); }
  [[nodiscard]] PortMapView membership_ports(size_t i) const {
    return profile_->membership_ports(i);
  }
  // Those for one service; empty: no member of it, or without ports of its own.
  [[nodiscard]] PortMapView ports_for(const HostKey& service) const;
  [[nodiscard]] bool is(const ProfileParts& parts, const Placement::Texts& placement) const;
  static WorkloadPtr make(const ProfileParts& parts, ProfilePtr profile, PlacementPtr placement);
  static void operator delete(void* memory) { ::operator delete(memory); }

 private:
  using Profile = WorkloadProfile;
  Workload(ProfilePtr profile, PlacementPtr placement)
      : profile_(std::move(profile)), placement_(std::move(placement)) {}
  static void* operator new(size_t size, size_t more) { return ::operator new(size + more); }
  static void operator delete(void* memory, size_t /*more*/) { ::operator delete(memory); }

  [[nodiscard]] const ProfileParts::Scalars& scalars() const { return profile_->scalars(); }
  [[nodiscard]] std::string_view text(Profile::Text which) const { return profile_->text(which); }
  [[nodiscard]] std::string_view text(Placement::Text which) const {
    return placement_->text(which);
  }
  [[nodiscard]] std::string_view stem() const { return text(Profile::kUidStem); }
  [[nodiscard]] std::string_view tail() const {
    const char* tail = own() + ip_bytes_;
    return {tail + 1, static_cast<uint8_t>(*tail)};
  }
  // Behind this object, in the same allocation: the addresses, each after its length; the tail,
  // after its length.
  [[nodiscard]] const char* own() const { return reinterpret_cast<const char*>(this + 1); }

  uint32_t ip_bytes_ = 0;
  ProfilePtr profile_;
  PlacementPtr placement_;
};

}  // namespace culvert::state
