#pragma once

#include "common/base/check.h"
#include "ztunnel/pod.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace culvert::ztunnel::inpod {

// Stand-ins for namespaces: a descriptor with an inode of its own per number.
class Namespaces {
 public:
  net::Fd fd(int number) { return net::Fd(::fcntl(of(number).get(), F_DUPFD_CLOEXEC, 0)); }
  uint64_t inode(int number) {
    struct stat status{};
    CULVERT_CHECK(::fstat(of(number).get(), &status) == 0);
    return status.st_ino;
  }

 private:
  net::Fd& of(int number) {
    net::Fd& fd = fds_[number];
    if (!fd) fd = net::Fd(::memfd_create("netns", MFD_CLOEXEC));
    return fd;
  }
  std::map<int, net::Fd> fds_;
};

// Remembers what it was told; answers at once, or (hold, hold_stops) when the test says so.
class FakeProxies final : public PodProxies {
 public:
  void start(const std::string& uid, const PodInfo& /*pod*/, net::NetnsPtr netns,
             Done done) override {
    note("start " + uid);
    CULVERT_CHECK(!starting_.contains(uid));  // StateManager's promise
    starting_.emplace(uid, Start{netns->id().inode, std::move(done)});
    if (!hold) finish(uid, fail.contains(uid) ? fail[uid] : "");
  }
  void stop(const std::string& uid, DrainMode mode, UniqueFunction<void()> done) override {
    note((mode == DrainMode::kGraceful ? "drain " : "kill ") + uid);
    CULVERT_CHECK(running.erase(uid) == 1);
    if (!hold_stops) return done();
    stopping_.emplace(uid, std::move(done));
  }
  void finish(const std::string& uid, const std::string& error = "") {
    auto start = starting_.extract(uid);
    CULVERT_CHECK(!start.empty());
    if (error.empty()) running[uid] = start.mapped().inode;
    start.mapped().done(error.empty() ? Result<>() : Result<>(invalid(error)));
  }
  void finish_stop(const std::string& uid) { stopping_.extract(uid).mapped()(); }

  [[nodiscard]] long starts(const std::string& uid) const {
    return std::ranges::count(log, "start " + uid);
  }
  [[nodiscard]] long stops() const {
    return std::ranges::count_if(log, [](const auto& line) { return !line.starts_with("start"); });
  }

  bool hold = false, hold_stops = false, quiet = false;
  std::map<std::string, std::string> fail;
  std::map<std::string, uint64_t> running;  // inode of its namespace
  std::vector<std::string> log;

 private:
  struct Start {
    uint64_t inode;
    Done done;
  };
  void note(std::string line) {
    if (!quiet) log.push_back(std::move(line));
  }
  std::map<std::string, Start> starting_;
  std::map<std::string, UniqueFunction<void()>> stopping_;
};

}  // namespace culvert::ztunnel::inpod
