#include "common/base/memory_account.h"

#include <fmt/format.h>

namespace culvert {

// Overflows are no concern: budgets are of this machine's memory.
uint64_t MemoryAccount::limit_for(size_t total) const {
  if (total <= kLittle) return budget_;
  return pressure() ? 0 : budget_ - budget_ / 8;
}

bool MemoryAccount::take_here(size_t bytes, uint64_t limit) {
  uint64_t held = held_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit || held > limit - bytes) return false;
  } while (!held_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  return true;
}

const MemoryAccount* MemoryAccount::try_take(size_t bytes, size_t total) {
  const MemoryAccount* const refused = take(bytes, total);
  if (refused == nullptr) return nullptr;
  for (MemoryAccount* account = this; account != nullptr; account = account->parent_)
    account->refusals_.fetch_add(1, std::memory_order_relaxed);
  return refused;
}

const MemoryAccount* MemoryAccount::take(size_t bytes, size_t total) {
  if (!take_here(bytes, limit_for(total))) return this;
  if (parent_ == nullptr) return nullptr;
  const MemoryAccount* const refused = parent_->take(bytes, total);
  if (refused != nullptr) held_.fetch_sub(bytes, std::memory_order_relaxed);
  return refused;
}

void MemoryAccount::give_back(size_t bytes) {
  for (MemoryAccount* account = this; account != nullptr; account = account->parent_)
    account->held_.fetch_sub(bytes, std::memory_order_relaxed);
}

bool MemoryAccount::tight() const {
  for (const MemoryAccount* account = this; account != nullptr; account = account->parent_)
    if (account->held() > account->budget_ / 2 || account->pressure()) return true;
  return false;
}

const MemoryAccount* MemoryAccount::full() const { return full_with(0); }

const MemoryAccount* MemoryAccount::full_with(size_t bytes) const {
  for (const MemoryAccount* account = this; account != nullptr; account = account->parent_)
    if (account->held() + bytes > account->budget_ / 4 * 3 || account->pressure()) return account;
  return nullptr;
}

Error MemoryAccount::used_up() const {
  if (pressure())
    return {Errc::kMemory, fmt::format("the memory that {} may use is nearly gone", name_)};
  return {
      Errc::kMemory,
      fmt::format("memory budget of {} is used up: {} of {} bytes are held for who does not read",
                  name_, held(), budget_)};
}

Result<> HeldBytes::change(size_t bytes) {
  if (bytes < bytes_) {
    account_.give_back(bytes_ - bytes);
  } else if (const MemoryAccount* refused = account_.try_take(bytes - bytes_, bytes)) {
    return refused->used_up();
  }
  bytes_ = bytes;
  return {};
}

}  // namespace culvert
