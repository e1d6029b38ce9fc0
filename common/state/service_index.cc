#include "common/state/service_index.h"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

namespace culvert::state {
namespace {

// An update keeps its place; another service of the same namespace goes before its older ones,
// which it hides (best_service) until it goes away; else last.
void put(ServiceList& list, const Service* before, const Service& service) {
  const auto all = list.all();
  const auto place_of = [&](auto&& predicate) {
    return static_cast<size_t>(std::find_if(all.begin(), all.end(), predicate) - all.begin());
  };
  const size_t old = place_of([&](const Service* other) { return other == before; });
  if (old < all.size()) return list.replace(old, &service);
  const size_t listed = place_of([&](const Service* other) { return other == &service; });
  if (listed < all.size()) return;  // a VIP that is there twice
  list.insert(place_of([&](const Service* other) { return other->ns() == service.ns(); }),
              &service);
}

template <class Key>
void put(TableEditor<ServiceList>& table, const Key& key, const Service* before,
         const Service& service) {
  if (ServiceList* list = table.edit(key)) {
    put(*list, before, service);
  } else {
    table.insert(key, ServiceList(&service));
  }
}

CidrKey key_of(const CidrVip& vip) {
  return {vip.network, clear_host_bits(vip.cidr.base(), vip.cidr.length()), vip.cidr.length()};
}

// `before`, by uid, with the changes applied; of several to one workload the last counts.
std::vector<WorkloadPtr> changed_members(const std::vector<WorkloadPtr>& before,
                                         std::span<MembershipChange> changes) {
  const auto order = [](const MembershipChange& a, const MembershipChange& b) {
    return a.workload == b.workload ? std::strong_ordering::equal
                                    : a.workload->compare_uid(*b.workload);
  };
  std::sort(changes.begin(), changes.end(), [&](const auto& a, const auto& b) {
    const auto uids = order(a, b);
    return uids != 0 ? uids < 0 : a.order < b.order;
  });
  std::vector<WorkloadPtr> members;
  members.reserve(before.size() + changes.size());
  auto old = before.begin();
  for (auto change = changes.begin(); change != changes.end(); ++change) {
    const auto next = std::next(change);
    if (next != changes.end() && order(*change, *next) == 0) continue;
    const auto keep_until = std::lower_bound(old, before.end(), change->workload,
                                             [](const WorkloadPtr& member, const WorkloadPtr& at) {
                                               return member->compare_uid(*at) < 0;
                                             });
    members.insert(members.end(), old, keep_until);
    old = keep_until;
    if (old != before.end() && (*old)->compare_uid(*change->workload) == 0) ++old;
    if (change->joins) members.push_back(change->workload);
  }
  members.insert(members.end(), old, before.end());
  members.shrink_to_fit();
  return members;
}

}  // namespace

net::IpAddress clear_host_bits(const net::IpAddress& ip, unsigned length) {
  std::array<uint8_t, 16> bytes = ip.bytes();
  const unsigned bits = length + (ip.is_v4() ? 96 : 0);
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned kept = bits > 8 * i ? std::min(bits - 8 * i, 8U) : 0;
    bytes[i] = static_cast<uint8_t>(bytes[i] & (0xff00U >> kept));
  }
  return net::IpAddress::v6(bytes);
}

ServicePtr ServiceIndex::find(const HostKey& key) const {
  const ServicePtr* found = by_key_.find(ServiceKey{key});
  return found == nullptr ? nullptr : *found;
}

bool ServiceIndex::upsert(const ServiceSpec& spec) {
  const NamespacedHostname key = spec.key();
  const ServicePtr before = find(key);
  auto* draft = new Service(spec);
  const ServicePtr after(draft);
  ServicePtr source = before;  // of endpoints
  if (const ServicePtr* waiting = staged_.find(ServiceKey{key})) {
    source = *waiting;
    staged_.erase(ServiceKey{key});
  }
  if (source) {
    draft->set_members(source->members());
    auto named = draft->named();
    for (const auto& endpoint : source->named()) {
      if (!spec.endpoints.contains(endpoint.uid)) named.push_back(endpoint);
    }
    draft->set_named(std::move(named));
  }
  if (!draft->named().empty()) with_named_.insert(key);
  reindex(before, after);
  drafts_.emplace(draft, draft);
  return before != nullptr;
}

bool ServiceIndex::remove(const HostKey& key) {
  apply_changes();  // what was noted before must not come back with a later service of this name
  staged_.erase(ServiceKey{key});
  with_named_.erase({std::string(key.namespace_), std::string(key.hostname)});
  const ServicePtr service = find(key);
  if (!service) return false;
  reindex(service, nullptr);
  return true;
}

void ServiceIndex::note(const WorkloadPtr& workload, size_t membership, bool joins) {
  const size_t hash = ServiceKey{workload->membership(membership)}.hash();
  changes_.push_back({hash, workload, static_cast<uint32_t>(membership), joins ? 1U : 0U,
                      static_cast<uint32_t>(changes_.size())});
}

void ServiceIndex::replace_endpoint(const WorkloadPtr& before, const WorkloadPtr& now) {
  for (size_t i = 0; before != nullptr && i < before->membership_count(); ++i) {
    note(before, i, false);
  }
  for (size_t i = 0; now != nullptr && i < now->membership_count(); ++i) note(now, i, true);
}

void ServiceIndex::apply_changes() {
  std::sort(changes_.begin(), changes_.end(),
            [](const MembershipChange& a, const MembershipChange& b) {
              if (a.key_hash != b.key_hash) return a.key_hash < b.key_hash;
              const HostKey left = a.key();
              const HostKey right = b.key();
              return left.namespace_ != right.namespace_ ? left.namespace_ < right.namespace_
                                                         : left.hostname < right.hostname;
            });
  for (auto first = changes_.begin(); first != changes_.end();) {
    const auto last = std::find_if(first, changes_.end(), [&](const MembershipChange& change) {
      return change.key_hash != first->key_hash || change.key() != first->key();
    });
    apply_changes_of({first, last});
    first = last;
  }
  std::vector<MembershipChange>().swap(changes_);  // a load makes many: their memory is not kept
}

void ServiceIndex::apply_changes_of(std::span<MembershipChange> one_service) {
  const HostKey key = one_service.front().key();
  const ServicePtr known = find(key);
  const ServicePtr* waiting = known ? nullptr : staged_.find(ServiceKey{key});
  static const std::vector<WorkloadPtr> kNobody;
  const auto& before = known                ? known->members()
                       : waiting != nullptr ? (*waiting)->members()
                                            : kNobody;
  std::vector<WorkloadPtr> members = changed_members(before, one_service);
  if (members == before) return;
  if (known) {
    Service& draft = draft_of(known);
    draft.set_members(std::move(members));
    return;
  }
  staged_.erase(ServiceKey{key});
  if (members.empty()) return;
  auto* staged = new Service(key);
  const ServicePtr owned(staged);
  staged->set_members(std::move(members));
  staged_.insert(ServiceKey{key}, owned);
}

Service& ServiceIndex::draft_of(const ServicePtr& service) {
  if (const auto it = drafts_.find(service.get()); it != drafts_.end()) return *it->second;
  auto* draft = new Service(*service);
  const ServicePtr owned(draft);
  reindex(service, owned);
  drafts_.emplace(draft, draft);
  return *draft;
}

// Endpoints that are listed by uid point to the workload of that uid as it is now; one that is a
// member as well counts as that.
void ServiceIndex::resolve_named(const WorkloadIndex& workloads) {
  for (auto key = with_named_.begin(); key != with_named_.end();) {
    const ServicePtr service = find(*key);
    std::vector<Service::NamedEndpoint> resolved;
    bool changed = false;
    for (const auto& endpoint : service->named()) {
      if (service->has_member(endpoint.uid)) continue;
      resolved.push_back(endpoint);
      resolved.back().workload = workloads.find(endpoint.uid);
      changed = changed || resolved.back().workload != endpoint.workload;
    }
    const bool none = resolved.empty();
    if (changed || resolved.size() != service->named().size()) {
      draft_of(service).set_named(std::move(resolved));
    }
    key = none ? with_named_.erase(key) : std::next(key);
  }
}

void ServiceIndex::reindex(const ServicePtr& before, const ServicePtr& after) {
  drafts_.erase(before.get());
  if (before) {
    // What `after` no longer has comes out; put() replaces the rest in place.
    for (size_t i = 0; i < before->vip_count(); ++i) {
      const Service::Vip vip = before->vip(i);
      if (!after || !after->has_vip(vip)) {
        erase_from(by_vip_, AddressKey{vip.network, vip.ip}, *before);
      }
    }
    for (const CidrVip& vip : before->cidr_vips()) {
      const CidrKey key = key_of(vip);
      const auto same_place = [&](const CidrVip& other) {
        const CidrKey place = key_of(other);
        return place.network == key.network && place.prefix == key.prefix &&
               place.length == key.length;
      };
      if (after && std::ranges::any_of(after->cidr_vips(), same_place)) continue;
      CidrEntry* entry = by_cidr_.edit(key);
      if (entry == nullptr) continue;
      entry->services.erase(before.get());
      if (!entry->services.empty()) continue;
      by_cidr_.erase(key);
      --cidr_lengths_[key.prefix.is_v4() ? 0 : 1][key.length];
    }
    if (!after) {
      erase_from(by_host_, ServiceHostKey{before->hostname()}, *before);
      by_key_.erase(ServiceKey{before->key()});
    }
  }
  if (!after) return;
  for (size_t i = 0; i < after->vip_count(); ++i) {
    const Service::Vip vip = after->vip(i);
    put(by_vip_, AddressKey{vip.network, vip.ip}, before.get(), *after);
  }
  for (const CidrVip& vip : after->cidr_vips()) {
    const CidrKey key = key_of(vip);
    CidrEntry* entry = by_cidr_.edit(key);
    if (entry == nullptr) {
      entry = &by_cidr_.insert(key, CidrEntry{vip.network, key.prefix, key.length, {}});
      ++cidr_lengths_[key.prefix.is_v4() ? 0 : 1][key.length];
    }
    put(entry->services, before.get(), *after);
  }
  put(by_host_, ServiceHostKey{after->hostname()}, before.get(), *after);
  const ServiceKey key{after->key()};
  if (ServicePtr* owner = by_key_.edit(key)) {
    *owner = after;
  } else {
    by_key_.insert(key, after);
  }
}

void ServiceIndex::freeze_into(Tables& tables, const WorkloadIndex& workloads) {
  apply_changes();
  resolve_named(workloads);
  tables.services = by_key_.freeze();
  tables.services_by_host = by_host_.freeze();
  tables.services_by_vip = by_vip_.freeze();
  tables.services_by_cidr = by_cidr_.freeze();
  for (size_t family = 0; family < cidr_lengths_.size(); ++family) {
    for (unsigned length = 0; length < cidr_lengths_[family].size(); ++length) {
      if (cidr_lengths_[family][length] > 0) tables.cidr_lengths[family].push_back(length);
    }
  }
  tables.staged = staged_.freeze();
  std::unordered_map<const Service*, Service*>().swap(drafts_);
}

}  // namespace culvert::state
