#pragma once

#include "common/base/result.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Logging in the layout of Istio's ztunnel, which istioctl bug-report and log pipelines parse:
//   text: <RFC 3339 UTC, microseconds, Z>\t<level>\t<target>\t<message>\t<k=v k=v>\n
//   JSON: {"level":…,"time":…,"scope":<target>,"message":…,<fields>}
// Lines go through a bounded queue to one writer thread and stdout; a full queue blocks the
// producer, so nothing is lost. Any thread may log.
namespace culvert::log {

enum class Level : uint8_t { kOff, kError, kWarn, kInfo, kDebug, kTrace };
enum class Format : uint8_t { kText, kJson };

// One `key=value`. Text form: kString is printed quoted and escaped ("a\"b"), kBare as it is
// (addresses, numbers). JSON form: kNumber and kBool are native, the others strings.
struct Field {
  enum class Kind : uint8_t { kString, kBare, kNumber, kBool };
  std::string_view key;
  std::string value;
  Kind kind = Kind::kString;
};
inline Field str(std::string_view key, std::string value) { return {key, std::move(value)}; }
inline Field bare(std::string_view key, std::string value) {
  return {key, std::move(value), Field::Kind::kBare};
}
inline Field num(std::string_view key, uint64_t value) {
  return {key, std::to_string(value), Field::Kind::kNumber};
}

// The level filter: a global level and levels by target prefix, as in RUST_LOG: "info,access=off".
// Later directives for the same target win. Grammar: comma list of `level` or `target=level` (or
// `target:level`, the form istioctl's help shows); levels off, error, warn, info, debug, trace in
// any case. A target is a prefix of the full scope ("ztunnel::proxy::inbound", "access"); the
// longest match decides. With no global directive, errors still show: one scoped directive must not
// silence everything else.
class Filter {
 public:
  static Result<Filter> parse(std::string_view directives);
  // This filter with further directives applied on top.
  [[nodiscard]] Result<Filter> with(std::string_view directives) const;
  [[nodiscard]] Level level_for(std::string_view target) const;
  // Scoped directives first (most specific first), then the global level: "access=debug,info".
  [[nodiscard]] std::string to_string() const;

 private:
  std::optional<Level> global_;
  std::vector<std::pair<std::string, Level>> scoped_;
};

struct TargetState;  // log.cc

// A place that logs: name it once per file, `const log::Target kLog{"proxy::inbound"};`. Knows its
// level in one atomic load. Text shows the name as it is; JSON shows "<program>::<name>" except for
// "access" and the program's own name; filters match that same full scope.
class Target {
 public:
  explicit Target(std::string_view name);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  [[nodiscard]] bool enabled(Level level) const;
  void write(Level level, std::string_view message, const std::vector<Field>& fields = {}) const;

  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) const {
    log(Level::kError, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) const {
    log(Level::kWarn, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) const {
    log(Level::kInfo, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) const {
    log(Level::kDebug, format, std::forward<Args>(args)...);
  }

 private:
  template <class... Args>
  void log(Level level, fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
  }
  std::unique_ptr<TargetState> state_;
};

// Starts the writer. `program` prefixes JSON scopes. Called once by main before any thread starts;
// without it (unit tests) lines go straight to stderr. Returns the filter's error if `directives`
// does not parse.
Result<> start(Format format, std::string_view directives, std::string_view program);
// Writes what is queued and joins the writer thread. Called once at the end of main.
void stop();
// Writes `text` as a line of its own, as it is and whatever the filter: for logs that have a format
// of their own, such as a waypoint's access log. Any thread.
void write_line(std::string text);
// The filter in force, and replacing it at run time (POST /logging). Any thread.
Filter current_filter();
void set_filter(Filter filter);

// Captures lines (without their '\n') instead of writing them, for tests; restores on destruction.
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  [[nodiscard]] std::vector<std::string> lines() const;

 private:
  std::unique_ptr<std::vector<std::string>> lines_;
};

}  // namespace culvert::log
