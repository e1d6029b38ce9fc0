#pragma once

#include "common/metrics/labels.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::metrics {

class Shard;

enum class Type : uint8_t { kCounter, kGauge, kHistogram };

// One metric family. `name` is the base name (a counter's samples get "_total" when rendered) and
// ends in
// "_<unit>" if there is a unit. `help` comes without the final dot, which rendering adds.
struct FamilySpec {
  std::string name;
  std::string help;
  Type type = Type::kCounter;
  std::vector<std::string> labels = {};  // in the order they are printed
  std::string unit = {};
  std::vector<double> buckets = {};  // histograms: upper bounds, ascending, without +Inf
  size_t max_series = 100'000;       // per shard
};

struct FamilyId {
  size_t index = 0;
};

// All metrics of a process: families in their order of output, and one Shard per thread that
// counts. Made and filled at start-up on one thread (families first, then shards: CHECK); collect()
// may then be called from any thread, and takes no lock that a counting thread holds for long.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  struct Sample {
    Labels labels = {};
    int64_t gauge = 0;
    uint64_t count = 0;                  // counter
    double sum = 0;                      // histogram
    std::vector<uint64_t> buckets = {};  // histogram: per bucket, the last one +Inf
  };

  FamilyId add(FamilySpec spec);
  // A label-less gauge read when scraped, on the scraping thread; its help is printed as given.
  void add_callback(std::string name, std::string help, std::function<int64_t()> read);
  // The same for any family of gauges or counters, with labels: `read` gives its samples.
  void add_callback(FamilySpec spec, std::function<std::vector<Sample>()> read);
  // The shard of one thread; owned by the registry. After the last add().
  Shard& make_shard();

  [[nodiscard]] const std::vector<FamilySpec>& families() const { return families_; }

  struct FamilySamples {
    const FamilySpec* spec = nullptr;
    bool callback = false;
    std::vector<Sample> samples = {};  // one per label set, summed over shards
  };
  // Families that have samples, in order of registration. A family without labels always has one.
  [[nodiscard]] std::vector<FamilySamples> collect() const;

 private:
  [[nodiscard]] std::vector<Sample> sum_shards(size_t family) const;

  std::vector<FamilySpec> families_;
  std::vector<std::function<std::vector<Sample>()>> callbacks_;  // by family; empty: it is counted
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace culvert::metrics
