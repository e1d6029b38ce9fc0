#include "common/admin/readiness.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace culvert::admin {
namespace {

const log::Target kLog{"readiness"};

}  // namespace

struct Readiness::Token::Shared {
  struct Task {
    std::string name;
    Time since;
  };
  std::mutex mutex;
  std::map<uint64_t, Task> tasks;
  uint64_t last_id = 0;
};

Readiness::Token::Token(Token&& other) noexcept
    : shared_(std::move(other.shared_)), id_(std::exchange(other.id_, 0)) {}

Readiness::Token& Readiness::Token::operator=(Token&& other) noexcept {
  shared_ = std::move(other.shared_);
  id_ = std::exchange(other.id_, 0);
  return *this;
}

void Readiness::Token::done() {
  if (id_ == 0) return;
  Shared::Task task;
  size_t left = 0;
  {
    const std::lock_guard lock(shared_->mutex);
    auto node = shared_->tasks.extract(std::exchange(id_, 0));
    task = std::move(node.mapped());
    left = shared_->tasks.size();
  }
  const auto elapsed = std::chrono::duration<double, std::milli>(Clock::now() - task.since).count();
  if (left == 0) {
    kLog.info("Task '{}' complete ({:.3f}ms), marking server ready", task.name, elapsed);
  } else {
    kLog.info("Task '{}' complete ({:.3f}ms), still awaiting {} tasks", task.name, elapsed, left);
  }
}

Readiness::Readiness() : shared_(std::make_shared<Token::Shared>()) {}

Readiness::Token Readiness::register_task(std::string name) {
  const std::lock_guard lock(shared_->mutex);
  const uint64_t id = ++shared_->last_id;
  shared_->tasks.emplace(id, Token::Shared::Task{std::move(name), Clock::now()});
  return {shared_, id};
}

std::vector<std::string> Readiness::pending() const {
  std::vector<std::string> names;
  {
    const std::lock_guard lock(shared_->mutex);
    for (const auto& [id, task] : shared_->tasks) names.push_back(task.name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace culvert::admin
