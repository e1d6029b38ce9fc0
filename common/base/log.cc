#include "common/base/log.h"

#include "common/base/log_format.h"
#include "common/base/log_writer.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <unordered_set>

namespace culvert::log {

struct TargetState {
  std::string name;
  std::string scope;  // guarded by the hub's mutex: start() changes the program's name
  std::atomic<Level> level{Level::kInfo};
};

namespace {

// The logger's process-wide state: the one global of the project. Targets are namespace-scope
// constants in many files, so it must exist before the first and outlive the last of them: made on
// first use, never destroyed.
struct Hub {
  std::mutex mutex;
  Filter filter = *Filter::parse("info");
  Format format = Format::kText;
  std::string program;
  std::unordered_set<TargetState*> targets;
  std::shared_ptr<Writer> writer;
  std::vector<std::vector<std::string>*> captures;  // innermost last

  // With the mutex held.
  void evaluate(TargetState& state) const {
    const bool bare = program.empty() || state.name == "access" || state.name == program;
    state.scope = bare ? state.name : fmt::format("{}::{}", program, state.name);
    state.level.store(filter.level_for(state.scope), std::memory_order_relaxed);
  }
  void evaluate_all() const {
    for (TargetState* state : targets) evaluate(*state);
  }
};

Hub& hub() {
  static Hub& instance = *new Hub;
  return instance;
}

// A line with its '\n': to the writer if there is one, else to whoever captures, else to stderr.
void put(std::string line, const std::shared_ptr<Writer>& writer) {
  if (writer) {
    writer->push(std::move(line));
    return;
  }
  const std::lock_guard lock(hub().mutex);
  if (hub().captures.empty()) {
    std::fwrite(line.data(), 1, line.size(), stderr);
  } else {
    line.pop_back();
    hub().captures.back()->push_back(std::move(line));
  }
}

}  // namespace

Target::Target(std::string_view name) : state_(std::make_unique<TargetState>()) {
  state_->name = name;
  const std::lock_guard lock(hub().mutex);
  hub().targets.insert(state_.get());
  hub().evaluate(*state_);
}

Target::~Target() {
  const std::lock_guard lock(hub().mutex);
  hub().targets.erase(state_.get());
}

bool Target::enabled(Level level) const {
  return level != Level::kOff && level <= state_->level.load(std::memory_order_relaxed);
}

void Target::write(Level level, std::string_view message, const std::vector<Field>& fields) const {
  if (!enabled(level)) return;
  Format format = Format::kText;
  std::string scope;
  std::shared_ptr<Writer> writer;
  {
    const std::lock_guard lock(hub().mutex);
    format = hub().format;
    if (format == Format::kJson) scope = state_->scope;
    if (hub().captures.empty()) writer = hub().writer;
  }
  // Formatting and waiting for room in the queue happen outside the lock: threads must not queue
  // for it.
  const Record record{WallClock::now(), level, state_->name, scope, message, fields};
  put(format_line(format, record), writer);
}

void write_line(std::string text) {
  std::shared_ptr<Writer> writer;
  {
    const std::lock_guard lock(hub().mutex);
    if (hub().captures.empty()) writer = hub().writer;
  }
  text += '\n';
  put(std::move(text), writer);
}

Result<> start(Format format, std::string_view directives, std::string_view program) {
  auto filter = Filter::parse(directives);
  if (!filter) return filter.error();
  auto writer = std::make_shared<Writer>(STDOUT_FILENO);
  const std::lock_guard lock(hub().mutex);
  hub().format = format;
  hub().program = program;
  hub().filter = std::move(*filter);
  hub().writer = std::move(writer);
  hub().evaluate_all();
  return {};
}

void stop() {
  std::shared_ptr<Writer> writer;
  {
    const std::lock_guard lock(hub().mutex);
    writer = std::move(hub().writer);
    hub().writer.reset();
  }
  // The last holder joins the thread, which writes what is queued first.
}

Filter current_filter() {
  const std::lock_guard lock(hub().mutex);
  return hub().filter;
}

void set_filter(Filter filter) {
  const std::lock_guard lock(hub().mutex);
  hub().filter = std::move(filter);
  hub().evaluate_all();
}

Capture::Capture() : lines_(std::make_unique<std::vector<std::string>>()) {
  const std::lock_guard lock(hub().mutex);
  hub().captures.push_back(lines_.get());
}

Capture::~Capture() {
  const std::lock_guard lock(hub().mutex);
  std::erase(hub().captures, lines_.get());
}

std::vector<std::string> Capture::lines() const {
  const std::lock_guard lock(hub().mutex);
  return *lines_;
}

}  // namespace culvert::log
