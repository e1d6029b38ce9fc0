#include "common/state/service_index.h"

#include <algorithm>
#include <utility>

namespace culvert::state {
namespace {

bool same_key(const Service& a, const Service& b) {
  return a.namespace_ == b.namespace_ && a.hostname == b.hostname;
}

// An update keeps its place; another service of the same namespace goes before its older ones,
// which it hides (best_service) until it goes away; else last.
void put(ServiceList& list, const ServicePtr& service) {
  for (ServicePtr& other : list) {
    if (same_key(*other, *service)) {
      other = service;
      return;
    }
  }
  auto same_namespace = std::find_if(list.begin(), list.end(), [&](const ServicePtr& other) {
    return other->namespace_ == service->namespace_;
  });
  list.insert(same_namespace, service);
}

void take(ServiceList& list, const Service& service) {
  std::erase_if(list, [&](const ServicePtr& other) { return same_key(*other, service); });
}

CidrKey key_of(const CidrVip& vip) {
  return {vip.network, clear_host_bits(vip.cidr.base(), vip.cidr.length()), vip.cidr.length()};
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

ServicePtr ServiceIndex::find(const NamespacedHostname& key) const {
  const ServiceList* list = by_host_.find(ServiceHostKey{key.hostname});
  if (list == nullptr) return nullptr;
  for (const ServicePtr& service : *list) {
    if (service->namespace_ == key.namespace_) return service;
  }
  return nullptr;
}

void ServiceIndex::upsert(Service service) {
  const NamespacedHostname key = service.key();
  const ServicePtr before = find(key);
  auto after = std::make_shared<Service>(std::move(service));
  if (before) after->endpoints.insert(before->endpoints.begin(), before->endpoints.end());
  if (const auto waiting = staged_.find(key.to_string()); waiting != staged_.end()) {
    for (auto& [uid, endpoint] : waiting->second) {
      after->endpoints.insert_or_assign(uid, std::move(endpoint));
    }
    staged_.erase(waiting);
    published_staged_.reset();
  }
  reindex(before, after);
  drafts_.emplace(after.get(), after);
}

bool ServiceIndex::remove(const NamespacedHostname& key) {
  if (staged_.erase(key.to_string()) > 0) published_staged_.reset();
  const ServicePtr service = find(key);
  if (!service) return false;
  reindex(service, nullptr);
  return true;
}

void ServiceIndex::set_endpoint(const NamespacedHostname& key, Endpoint endpoint) {
  const std::string uid = endpoint.workload_uid;
  if (const ServicePtr service = find(key)) {
    const auto known = service->endpoints.find(uid);
    if (known != service->endpoints.end() && known->second == endpoint) return;
    draft_of(service).endpoints.insert_or_assign(uid, std::move(endpoint));
    return;
  }
  staged_[key.to_string()].insert_or_assign(uid, std::move(endpoint));
  published_staged_.reset();
}

void ServiceIndex::remove_endpoint(const NamespacedHostname& key, const std::string& uid) {
  if (const ServicePtr service = find(key)) {
    if (service->endpoints.contains(uid)) draft_of(service).endpoints.erase(uid);
    return;
  }
  const auto waiting = staged_.find(key.to_string());
  if (waiting == staged_.end() || waiting->second.erase(uid) == 0) return;
  if (waiting->second.empty()) staged_.erase(waiting);
  published_staged_.reset();
}

Service& ServiceIndex::draft_of(const ServicePtr& service) {
  if (const auto it = drafts_.find(service.get()); it != drafts_.end()) return *it->second;
  auto draft = std::make_shared<Service>(*service);
  reindex(service, draft);
  return *drafts_.emplace(draft.get(), draft).first->second;
}

void ServiceIndex::reindex(const ServicePtr& before, const ServicePtr& after) {
  drafts_.erase(before.get());
  // What `after` no longer has comes out; put() replaces the rest in place.
  const auto kept = [&](const auto& vips, const auto& vip) {
    return std::find(vips.begin(), vips.end(), vip) != vips.end();
  };
  if (before) {
    for (const NetworkAddress& vip : before->vips) {
      const AddressKey key{vip.network, vip.ip};
      if (after && kept(after->vips, vip)) continue;
      VipEntry* entry = by_vip_.edit(key);
      if (entry == nullptr) continue;  // listed twice
      take(entry->services, *before);
      if (entry->services.empty()) by_vip_.erase(key);
    }
    for (const CidrVip& vip : before->cidr_vips) {
      const CidrKey key = key_of(vip);
      if (after && kept(after->cidr_vips, vip)) continue;
      CidrEntry* entry = by_cidr_.edit(key);
      if (entry == nullptr) continue;
      take(entry->services, *before);
      if (!entry->services.empty()) continue;
      by_cidr_.erase(key);
      --cidr_lengths_[key.prefix.is_v4() ? 0 : 1][key.length];
    }
    if (!after) {
      const ServiceHostKey key{before->hostname};
      ServiceList* list = by_host_.edit(key);
      take(*list, *before);
      if (list->empty()) by_host_.erase(key);
    }
  }
  if (!after) return;
  for (const NetworkAddress& vip : after->vips) {
    const AddressKey key{vip.network, vip.ip};
    VipEntry* entry = by_vip_.edit(key);
    put((entry != nullptr ? *entry : by_vip_.insert(key, VipEntry{vip, {}})).services, after);
  }
  for (const CidrVip& vip : after->cidr_vips) {
    const CidrKey key = key_of(vip);
    CidrEntry* entry = by_cidr_.edit(key);
    if (entry == nullptr) {
      entry = &by_cidr_.insert(key, CidrEntry{vip.network, key.prefix, key.length, {}});
      ++cidr_lengths_[key.prefix.is_v4() ? 0 : 1][key.length];
    }
    put(entry->services, after);
  }
  const ServiceHostKey key{after->hostname};
  ServiceList* list = by_host_.edit(key);
  if (list == nullptr) {
    by_host_.insert(key, ServiceList{after});
  } else {
    put(*list, after);
  }
}

void ServiceIndex::freeze_into(Tables& tables) {
  tables.services_by_host = by_host_.freeze();
  tables.services_by_vip = by_vip_.freeze();
  tables.services_by_cidr = by_cidr_.freeze();
  for (size_t family = 0; family < cidr_lengths_.size(); ++family) {
    for (unsigned length = 0; length < cidr_lengths_[family].size(); ++length) {
      if (cidr_lengths_[family][length] > 0) tables.cidr_lengths[family].push_back(length);
    }
  }
  if (!published_staged_) published_staged_ = std::make_shared<const StagedServices>(staged_);
  tables.staged = published_staged_;
  drafts_.clear();
}

}  // namespace culvert::state
