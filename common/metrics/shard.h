#pragma once

#include "common/metrics/labels.h"
#include "common/metrics/registry.h"
#include "common/metrics/series.h"

#include <initializer_list>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace culvert::metrics {

// The metrics of one thread. Only that thread finds series and changes them; references stay valid
// as long as the registry, so keep them instead of looking up again. A family has at most
// max_series series in each shard; further label sets are counted together under the value
// "overflow", with one warning.
class Shard {
 public:
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Finds or makes the series. The family's type must be the one asked for: CHECK.
  Counter& counter(FamilyId family, const Labels& labels = {});
  Gauge& gauge(FamilyId family, const Labels& labels = {});
  Histogram& histogram(FamilyId family, const Labels& labels = {});
  // Values in the order of the family's label names.
  [[nodiscard]] Labels labels(FamilyId family,
                              std::initializer_list<std::string_view> values) const;

 private:
  friend class Registry;
  struct Series {
    template <class Value, class... Args>
    Series(Labels label_set, std::in_place_type_t<Value> type, Args&&... args)
        : labels(std::move(label_set)), value(type, std::forward<Args>(args)...) {}
    Labels labels;
    std::variant<Counter, Gauge, Histogram> value;
  };
  struct Family {
    // In order of creation; the mutex guards growing and copying this list, nothing else.
    std::vector<std::unique_ptr<Series>> series;
    std::unordered_map<std::string_view, Series*> by_labels;
    Series* overflow = nullptr;
  };

  explicit Shard(const Registry& registry);
  Series& find(FamilyId family, Type type, const Labels& labels);
  Series& insert(FamilyId family, const Labels& labels);
  [[nodiscard]] std::vector<const Series*> list(size_t family) const;  // any thread

  const Registry& registry_;
  mutable std::mutex mutex_;
  std::vector<Family> families_;
};

}  // namespace culvert::metrics
