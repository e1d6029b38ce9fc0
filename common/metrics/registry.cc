#include "common/metrics/registry.h"

#include "common/base/check.h"
#include "common/metrics/shard.h"

#include <algorithm>
#include <unordered_map>

namespace culvert::metrics {

Registry::Registry() = default;
Registry::~Registry() = default;

FamilyId Registry::add(FamilySpec spec) {
  CULVERT_CHECK(shards_.empty());
  CULVERT_CHECK(std::ranges::none_of(
      families_, [&](const FamilySpec& other) { return other.name == spec.name; }));
  CULVERT_CHECK(spec.unit.empty() || spec.name.ends_with("_" + spec.unit));
  CULVERT_CHECK(std::ranges::is_sorted(spec.buckets));
  families_.push_back(std::move(spec));
  callbacks_.emplace_back();
  return {families_.size() - 1};
}

void Registry::add_callback(std::string name, std::string help, std::function<int64_t()> read) {
  FamilySpec spec;
  spec.name = std::move(name);
  spec.help = std::move(help);
  spec.type = Type::kGauge;
  add_callback(std::move(spec),
               [read = std::move(read)] { return std::vector<Sample>{{.gauge = read()}}; });
}

void Registry::add_callback(FamilySpec spec, std::function<std::vector<Sample>()> read) {
  CULVERT_CHECK(spec.type != Type::kHistogram);
  callbacks_[add(std::move(spec)).index] = std::move(read);
}

Shard& Registry::make_shard() {
  // The constructor is private to make_shard, so no make_unique.
  shards_.push_back(std::unique_ptr<Shard>(new Shard(*this)));
  return *shards_.back();
}

std::vector<Registry::Sample> Registry::sum_shards(size_t family) const {
  std::vector<Sample> samples;
  std::unordered_map<std::string_view, size_t> places;
  for (const auto& shard : shards_) {
    for (const Shard::Series* series : shard->list(family)) {
      const auto [place, added] = places.emplace(series->labels.text(), samples.size());
      if (added) samples.push_back({.labels = series->labels});
      Sample& sample = samples[place->second];
      if (const auto* counter = std::get_if<Counter>(&series->value)) {
        sample.count += counter->value();
      } else if (const auto* gauge = std::get_if<Gauge>(&series->value)) {
        sample.gauge += gauge->value();
      } else if (const auto* histogram = std::get_if<Histogram>(&series->value)) {
        const std::vector<uint64_t> counts = histogram->counts();
        sample.buckets.resize(counts.size());
        std::ranges::transform(counts, sample.buckets, sample.buckets.begin(), std::plus());
        sample.sum += histogram->sum();
      }
    }
  }
  return samples;
}

std::vector<Registry::FamilySamples> Registry::collect() const {
  std::vector<FamilySamples> result;
  for (size_t i = 0; i < families_.size(); ++i) {
    FamilySamples family{.spec = &families_[i], .callback = static_cast<bool>(callbacks_[i])};
    if (family.callback) {
      family.samples = callbacks_[i]();
    } else {
      family.samples = sum_shards(i);
      if (family.samples.empty() && families_[i].labels.empty()) {
        family.samples.push_back(
            {.buckets = std::vector<uint64_t>(families_[i].buckets.size() + 1)});
      }
    }
    if (!family.samples.empty()) result.push_back(std::move(family));
  }
  return result;
}

}  // namespace culvert::metrics
