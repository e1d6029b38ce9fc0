#pragma once

#include "common/state/tables.h"

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace culvert::state {

// The Store's services with their endpoints, the indexes over them, and the endpoints that wait for
// a service. Control thread only; private to common/state.
//
// A service that a snapshot shows is immutable. The first change to its endpoints makes a draft: a
// copy that takes its place in all indexes and is changed freely until the next freeze. So many
// endpoint changes in one batch cost one copy and one re-index.
class ServiceIndex {
 public:
  [[nodiscard]] ServicePtr find(const NamespacedHostname& key) const;
  void upsert(Service service);
  bool remove(const NamespacedHostname& key);
  // To the service if it is known, else to the staged ones. Setting what is already there changes
  // nothing.
  void set_endpoint(const NamespacedHostname& key, Endpoint endpoint);
  void remove_endpoint(const NamespacedHostname& key, const std::string& uid);
  void freeze_into(Tables& tables);

 private:
  // Replaces `before` (may be null) by `after` (may be null) in all indexes; the same key.
  void reindex(const ServicePtr& before, const ServicePtr& after);
  Service& draft_of(const ServicePtr& service);

  TableEditor<ServiceList> by_host_;
  TableEditor<VipEntry> by_vip_;
  TableEditor<CidrEntry> by_cidr_;
  std::array<std::array<uint32_t, 129>, 2>
      cidr_lengths_{};  // prefixes in by_cidr_, by family and length
  std::unordered_map<const Service*, std::shared_ptr<Service>> drafts_;
  StagedServices staged_;
  std::shared_ptr<const StagedServices> published_staged_;  // null: staged_ has changed since
};

}  // namespace culvert::state
