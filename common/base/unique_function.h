#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace culvert {

// A move-only callable (std::move_only_function is C++23). For messages between threads, not per
// byte.
template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  template <class F>
    requires(!std::is_same_v<std::decay_t<F>, UniqueFunction> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  UniqueFunction(F&& callable)  // NOLINT(google-explicit-constructor)
      : target_(std::make_unique<Model<std::decay_t<F>>>(std::forward<F>(callable))) {}

  R operator()(Args... args) { return target_->call(std::forward<Args>(args)...); }
  explicit operator bool() const { return target_ != nullptr; }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual R call(Args... args) = 0;
  };
  template <class F>
  struct Model final : Concept {
    explicit Model(F f) : callable(std::move(f)) {}
    R call(Args... args) override { return callable(std::forward<Args>(args)...); }
    F callable;
  };
  std::unique_ptr<Concept> target_;
};

}  // namespace culvert
