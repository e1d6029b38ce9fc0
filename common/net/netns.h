#pragma once

#include "common/base/result.h"
#include "common/base/unique_function.h"
#include "common/net/fd.h"

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <memory>

namespace culvert::net {

// A network namespace, by descriptor. Sockets belong for ever to the namespace of the thread that
// made them, so a thread enters, creates, and returns. Holding the descriptor keeps the namespace's
// inode from being reused, which is what makes Id a safe comparison.
class Netns {
 public:
  struct Id {
    uint64_t inode = 0, device = 0;
    auto operator<=>(const Id&) const = default;
  };

  // `target`: any descriptor of the namespace (as ZDS passes it). Errors: fstat's.
  static Result<std::shared_ptr<const Netns>> open(Fd target);
  // The calling thread's own namespace.
  static Result<std::shared_ptr<const Netns>> current();

  [[nodiscard]] const Id& id() const { return id_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Runs `work` with the calling thread inside this namespace and returns to `home` afterwards.
  // Error: the namespace cannot be entered. Not being able to return would leave the thread in a
  // pod: the process aborts. `work` must not wait.
  Result<> run(const Netns& home, UniqueFunction<void()> work) const;

 private:
  Netns(Fd fd, Id id) : fd_(std::move(fd)), id_(id) {}
  Fd fd_;
  Id id_;
};

using NetnsPtr = std::shared_ptr<const Netns>;

}  // namespace culvert::net
