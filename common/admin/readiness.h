#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::admin {

// What must be done before the process is ready: a set of named tasks. Any thread.
class Readiness {
 public:
  // One pending task. done() releases it, once; a token that is destroyed without done() stays
  // pending, because whoever held it failed.
  class Token {
   public:
    Token() = default;
    Token(Token&& other) noexcept;
    Token& operator=(Token&& other) noexcept;
    ~Token() = default;
    void done();
    explicit operator bool() const { return id_ != 0; }

   private:
    friend class Readiness;
    struct Shared;
    Token(std::shared_ptr<Shared> shared, uint64_t id) : shared_(std::move(shared)), id_(id) {}
    std::shared_ptr<Shared> shared_;
    uint64_t id_ = 0;
  };

  Readiness();
  // The same name may be pending several times.
  [[nodiscard]] Token register_task(std::string name);
  // Sorted; empty when ready.
  [[nodiscard]] std::vector<std::string> pending() const;

 private:
  std::shared_ptr<Token::Shared> shared_;
};

}  // namespace culvert::admin
