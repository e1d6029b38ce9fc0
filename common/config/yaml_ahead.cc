#include "common/config/yaml_ahead.h"

#include <pthread.h>

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace culvert::config {
namespace {

using BatchPtr = std::unique_ptr<YamlBatch>;

// Batches on their way from the thread that parses to the one that takes, and back. Never are both
// waiting: there are at least two batches, and one that is nowhere here is in somebody's hands.
class Handover {
 public:
  // The parser's: see YamlExchange.
  BatchPtr exchange(BatchPtr full) {
    std::unique_lock lock(mutex_);
    full_.push_back(std::move(full));
    changed_.notify_one();
    if (made_ < kYamlBatchesAhead) {
      ++made_;
      return std::make_unique<YamlBatch>();
    }
    changed_.wait(lock, [this] { return stopped_ || !empty_.empty(); });
    return stopped_ ? nullptr : take_first(empty_);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_one();
  }

  // The taker's: the next batch for one that is done with, null at first; null: the end.
  BatchPtr next(BatchPtr done) {
    std::unique_lock lock(mutex_);
    if (done != nullptr) {
      empty_.push_back(std::move(done));
      changed_.notify_one();
    }
    changed_.wait(lock, [this] { return ended_ || !full_.empty(); });
    return full_.empty() ? nullptr : take_first(full_);
  }
  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_one();
  }

 private:
  static BatchPtr take_first(std::vector<BatchPtr>& batches) {
    BatchPtr first = std::move(batches.front());
    batches.erase(batches.begin());
    return first;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<BatchPtr> full_, empty_;  // the oldest first
  size_t made_ = 1;                     // the parser has one from the start
  bool ended_ = false, stopped_ = false;
};

template <class Action>
class Finally {
 public:
  explicit Finally(Action action) : action_(std::move(action)) {}
  ~Finally() { action_(); }
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;

 private:
  Action action_;
};

}  // namespace

Result<YamlDocument> parse_yaml_ahead(const YamlInput& input, const YamlLimits& limits,
                                      const YamlElement& element) {
  Handover handover;
  const auto parse = [&] {
    const Finally end([&] { handover.end(); });
    (void)::pthread_setname_np(::pthread_self(), "yaml");
    return parse_yaml(input, limits,
                      [&](BatchPtr full) { return handover.exchange(std::move(full)); });
  };
  std::future<Result<YamlDocument>> parsed;
  try {
    parsed = std::async(std::launch::async, parse);
  } catch (const std::system_error& error) {
    return Error(error.code(), "no thread to parse YAML");
  }
  // Should `element` throw, the thread must not wait for ever: `parsed` waits for its end.
  const Finally stop([&] { handover.stop(); });
  for (BatchPtr batch; (batch = handover.next(std::move(batch))) != nullptr;) {
    for (size_t i = 0; i < batch->elements.size(); ++i) {
      element(batch->key, batch->first + i, batch->elements[i]);
    }
  }
  return parsed.get();
}

}  // namespace culvert::config
