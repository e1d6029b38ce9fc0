#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace culvert::state {

// A list of pointers that nearly always has one element, in the space of one pointer. Does not own
// what they point to.
template <class T>
class Few {
 public:
  Few() = default;
  explicit Few(const T* one) : one_(one) {}
  Few(const Few& other) : one_(other.one_) {
    if (is_vector()) hold(std::make_unique<Vector>(*vector()));
  }
  Few(Few&& other) noexcept : one_(std::exchange(other.one_, nullptr)) {}
  Few& operator=(Few other) noexcept {
    std::swap(one_, other.one_);
    return *this;
  }
  ~Few() {
    if (is_vector()) delete vector();
  }

  [[nodiscard]] std::span<const T* const> all() const {
    if (is_vector()) return *vector();
    return {&one_, one_ == nullptr ? size_t{0} : size_t{1}};
  }
  [[nodiscard]] bool empty() const { return one_ == nullptr; }
  [[nodiscard]] const T& front() const { return *all().front(); }
  [[nodiscard]] const T& back() const { return *all().back(); }

  void insert(size_t at, const T* element) {
    if (one_ == nullptr) {
      one_ = element;
      return;
    }
    if (!is_vector()) hold(std::make_unique<Vector>(1, one_));
    vector()->insert(vector()->begin() + static_cast<std::ptrdiff_t>(at), element);
  }
  void replace(size_t at, const T* element) {
    if (is_vector()) {
      (*vector())[at] = element;
    } else {
      one_ = element;
    }
  }
  void erase(const T* element) {
    if (!is_vector()) {
      if (one_ == element) one_ = nullptr;
      return;
    }
    std::erase(*vector(), element);
    if (vector()->size() > 1) return;
    const std::unique_ptr<Vector> few(vector());
    one_ = few->empty() ? nullptr : few->front();
  }

 private:
  using Vector = std::vector<const T*>;
  // A pointer to a vector is held off by one byte: no pointer to a T is odd.
  static_assert(alignof(T) > 1 && alignof(Vector) > 1);

  [[nodiscard]] bool is_vector() const { return reinterpret_cast<uintptr_t>(one_) % 2 != 0; }
  [[nodiscard]] Vector* vector() const {
    const char* held = reinterpret_cast<const char*>(one_) - 1;
    return reinterpret_cast<Vector*>(const_cast<char*>(held));
  }
  void hold(std::unique_ptr<Vector> elements) {
    one_ = reinterpret_cast<const T*>(reinterpret_cast<const char*>(elements.release()) + 1);
  }

  const T* one_ = nullptr;
};

}  // namespace culvert::state
