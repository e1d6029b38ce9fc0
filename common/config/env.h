#pragma once

#include "common/base/result.h"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Environment variables as typed values. The grammar is that of Istio's ztunnel, so that a manifest
// written for it means the same here.
namespace culvert::config {

// The environment as a value: parsing is a pure function of it.
using Env = std::map<std::string, std::string>;

// The process's environment. Values that are not UTF-8 are left out, as if they were not set.
Env process_env();

// The grammar of single values. The error is the reason alone ("invalid digit found in string").
Result<bool> parse_bool(std::string_view text);  // exactly "true" or "false"
// Decimal without sign (a leading '+' is taken), at most `max`.
Result<uint64_t> parse_unsigned(std::string_view text,
                                uint64_t max = std::numeric_limits<uint64_t>::max());
// "5" (seconds), "100ms", "1h30m", "1m+30s"; units ns, us, µs, ms, s, m, h, d, w, mon (30 d), y
// (365 d).
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
// A Kubernetes CPU quantity ("2", "1.5", "500m"), positive and finite, rounded up to whole CPUs.
Result<uint64_t> parse_cpu_quantity(std::string_view text);

// Bytes: "1048576", "512Ki", "64Mi", "2Gi".
Result<uint64_t> parse_bytes(std::string_view text);

// Reads typed variables and collects every error, so that a person repairs a manifest once and not
// once per mistake. A bad value yields the fallback meanwhile. "Set but empty" is a value: an error
// for numbers, booleans and durations.
class EnvReader {
 public:
  explicit EnvReader(const Env& env) : env_(env) {}

  [[nodiscard]] std::optional<std::string> text(const std::string& name) const;
  [[nodiscard]] std::string text(const std::string& name, std::string_view fallback) const;
  // For the few variables that are compared and never fail.
  [[nodiscard]] bool equals(const std::string& name, std::string_view value) const;

  bool boolean(const std::string& name, bool fallback);
  std::optional<bool> optional_boolean(const std::string& name);
  template <std::unsigned_integral T>
  std::optional<T> optional_number(const std::string& name) {
    const auto value = checked(name, [](std::string_view text) {
      return parse_unsigned(text, std::numeric_limits<T>::max());
    });
    return value ? std::optional<T>(static_cast<T>(*value)) : std::nullopt;
  }
  template <std::unsigned_integral T>
  T number(const std::string& name, T fallback) {
    return optional_number<T>(name).value_or(fallback);
  }
  std::optional<std::chrono::nanoseconds> optional_duration(const std::string& name);
  std::chrono::nanoseconds duration(const std::string& name, std::chrono::nanoseconds fallback);
  std::optional<uint64_t> cpu_quantity(const std::string& name);
  std::optional<uint64_t> bytes(const std::string& name);

  // Records "invalid env var NAME=VALUE (reason)" for a value judged elsewhere.
  void reject(const std::string& name, std::string_view reason);
  // Records any other configuration error.
  void fail(std::string message) { errors_.push_back(std::move(message)); }

  [[nodiscard]] const std::vector<std::string>& errors() const { return errors_; }
  // All errors as one, joined by "; ".
  [[nodiscard]] Result<> result() const;

 private:
  template <class Parse>
  auto checked(const std::string& name, Parse parse)
      -> std::optional<typename decltype(parse(std::string_view()))::value_type> {
    const auto found = env_.find(name);
    if (found == env_.end()) return std::nullopt;
    auto value = parse(found->second);
    if (value) return *value;
    reject(name, value.error().message());
    return std::nullopt;
  }

  const Env& env_;
  std::vector<std::string> errors_;
};

}  // namespace culvert::config
