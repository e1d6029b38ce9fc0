#include "common/metrics/shard.h"

#include "common/base/check.h"
#include "common/base/log.h"

namespace culvert::metrics {
namespace {

const log::Target kLog{"metrics"};

}  // namespace

Shard::Shard(const Registry& registry)
    : registry_(registry), families_(registry.families().size()) {}

Counter& Shard::counter(FamilyId family, const Labels& labels) {
  return std::get<Counter>(find(family, Type::kCounter, labels).value);
}

Gauge& Shard::gauge(FamilyId family, const Labels& labels) {
  return std::get<Gauge>(find(family, Type::kGauge, labels).value);
}

Histogram& Shard::histogram(FamilyId family, const Labels& labels) {
  return std::get<Histogram>(find(family, Type::kHistogram, labels).value);
}

Labels Shard::labels(FamilyId family, std::initializer_list<std::string_view> values) const {
  return Labels::make(registry_.families()[family.index].labels, {values.begin(), values.size()});
}

Shard::Series& Shard::find(FamilyId id, Type type, const Labels& labels) {
  CULVERT_CHECK(id.index < families_.size());
  CULVERT_CHECK(registry_.families()[id.index].type == type);
  Family& family = families_[id.index];
  if (const auto it = family.by_labels.find(labels.text()); it != family.by_labels.end()) {
    return *it->second;
  }
  const FamilySpec& spec = registry_.families()[id.index];
  if (family.by_labels.size() < spec.max_series) return insert(id, labels);

  if (family.overflow == nullptr) {
    kLog.warn("{}: {} series on one thread; further label sets are counted as \"overflow\"",
              spec.name, spec.max_series);
    const std::vector<std::string_view> values(spec.labels.size(), "overflow");
    family.overflow = &insert(id, Labels::make(spec.labels, values));
  }
  return *family.overflow;
}

Shard::Series& Shard::insert(FamilyId id, const Labels& labels) {
  const FamilySpec& spec = registry_.families()[id.index];
  std::unique_ptr<Series> series;
  switch (spec.type) {
    case Type::kCounter:
      series = std::make_unique<Series>(labels, std::in_place_type<Counter>);
      break;
    case Type::kGauge:
      series = std::make_unique<Series>(labels, std::in_place_type<Gauge>);
      break;
    case Type::kHistogram:
      series = std::make_unique<Series>(labels, std::in_place_type<Histogram>, spec.buckets);
      break;
  }
  Family& family = families_[id.index];
  Series& added = *series;
  family.by_labels.emplace(added.labels.text(), &added);
  const std::lock_guard lock(mutex_);
  family.series.push_back(std::move(series));
  return added;
}

std::vector<const Shard::Series*> Shard::list(size_t family) const {
  const std::lock_guard lock(mutex_);
  std::vector<const Series*> series;
  series.reserve(families_[family].series.size());
  for (const auto& entry : families_[family].series) series.push_back(entry.get());
  return series;
}

}  // namespace culvert::metrics
