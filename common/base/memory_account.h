#pragma once

#include "common/base/error.h"
#include "common/base/result.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace culvert {

// Bytes that are held on behalf of somebody (a workload, the process), against a budget. What they
// do with memory is not counted, only what waits in it because somebody does not read: who flows
// holds nothing, so a budget is felt by those who have stalled. A parent's budget holds as well.
//
// The more is held, the less is allowed, at any level of the chain:
//   1/2  tight(): windows do not grow, those that have grown shrink again
//   3/4  full(): no new work is taken, and who can do with less at a time does (has_room)
//   7/8  only who holds little (kLittle) may hold more: that is who flows
//   all  nobody may hold more
// Thread-safe, without order among threads: a pod's connections are on all workers.
class MemoryAccount {
 public:
  // Held by who flows: a small batch of output that the kernel did not take at once.
  static constexpr size_t kLittle = size_t{128} << 10;

  // `name`: of whom, for messages ("workload default/web"). `parent` outlives this.
  MemoryAccount(std::string name, uint64_t budget, MemoryAccount* parent = nullptr)
      : name_(std::move(name)), budget_(budget), parent_(parent) {}
  MemoryAccount(const MemoryAccount&) = delete;
  MemoryAccount& operator=(const MemoryAccount&) = delete;

  // Takes `bytes`, for a holder that has `total` then, everywhere up the chain or nowhere. Null:
  // taken; else the account that refused. It is counted from here up the chain.
  [[nodiscard]] const MemoryAccount* try_take(size_t bytes, size_t total);
  // Up the chain.
  void give_back(size_t bytes);

  // The kernel's memory for us is nearly gone, whoever has it. While that is so nothing new is
  // taken and nobody may hold more than a little. For the process's account.
  void set_pressure(bool on) { pressure_.store(on, std::memory_order_relaxed); }
  [[nodiscard]] bool pressure() const { return pressure_.load(std::memory_order_relaxed); }

  [[nodiscard]] bool tight() const;
  // Null: it is not; else the account that is.
  [[nodiscard]] const MemoryAccount* full() const;
  // It would not be full with `bytes` more: who decides how much to take in asks before.
  [[nodiscard]] bool has_room(size_t bytes) const { return full_with(bytes) == nullptr; }

  [[nodiscard]] uint64_t budget() const { return budget_; }
  [[nodiscard]] uint64_t held() const { return held_.load(std::memory_order_relaxed); }
  // How often somebody might not hold more: here or below, because of any account of the chain.
  [[nodiscard]] uint64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }
  // "memory budget of <name> is used up: it holds … of … bytes …", or that memory itself is.
  [[nodiscard]] Error used_up() const;

 private:
  [[nodiscard]] const MemoryAccount* full_with(size_t bytes) const;
  [[nodiscard]] uint64_t limit_for(size_t total) const;
  [[nodiscard]] bool take_here(size_t bytes, uint64_t limit);
  [[nodiscard]] const MemoryAccount* take(size_t bytes, size_t total);

  const std::string name_;
  const uint64_t budget_;
  MemoryAccount* const parent_;
  std::atomic<uint64_t> held_ = 0, refusals_ = 0;
  std::atomic<bool> pressure_ = false;
};

// What one holder has of an account; given back when it dies. Not thread-safe.
class HeldBytes {
 public:
  explicit HeldBytes(MemoryAccount& account) : account_(account) {}
  ~HeldBytes() { release(); }
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  // Holds `bytes` in all from now on. Error: the account's used_up(); as before then. Less is never
  // refused. The account is not touched while nothing changes.
  [[nodiscard]] Result<> resize(size_t bytes) {
    if (bytes == bytes_) return {};
    return change(bytes);
  }
  void release() {
    if (bytes_ > 0) account_.give_back(std::exchange(bytes_, 0));
  }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  Result<> change(size_t bytes);

  MemoryAccount& account_;
  size_t bytes_ = 0;
};

}  // namespace culvert
