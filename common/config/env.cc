#include "common/config/env.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace culvert::config {
namespace {

using std::chrono::nanoseconds;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

// Structure of RFC 3629 only: enough to know a value that no Istio tool would have written.
bool is_utf8(std::string_view text) {
  size_t pending = 0;
  for (const unsigned char c : text) {
    if (pending > 0) {
      if ((c & 0xC0U) != 0x80) return false;
      --pending;
    } else if (c >= 0xC2 && c < 0xE0) {
      pending = 1;
    } else if (c >= 0xE0 && c < 0xF0) {
      pending = 2;
    } else if (c >= 0xF0 && c < 0xF5) {
      pending = 3;
    } else if (c >= 0x80) {
      return false;
    }
  }
  return pending == 0;
}

std::optional<int64_t> unit_nanoseconds(std::string_view unit) {
  constexpr int64_t kSecond = 1'000'000'000;
  constexpr int64_t kDay = 86'400 * kSecond;
  static constexpr std::array<std::pair<std::string_view, int64_t>, 13> kUnits = {
      {{"", kSecond},
       {"ns", 1},
       {"us", 1'000},
       {"\u00b5s", 1'000},
       {"\u03bcs", 1'000},
       {"ms", 1'000'000},
       {"s", kSecond},
       {"m", 60 * kSecond},
       {"h", 3600 * kSecond},
       {"d", kDay},
       {"w", 7 * kDay},
       {"mon", 30 * kDay},
       {"y", 365 * kDay}}};
  for (const auto& [name, length] : kUnits) {
    if (unit == name) return length;
  }
  return std::nullopt;
}

}  // namespace

Env process_env() {
  Env env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos || !is_utf8(text)) continue;
    env.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return env;
}

Result<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return invalid("provided string was not `true` or `false`");
}

Result<uint64_t> parse_unsigned(std::string_view text, uint64_t max) {
  if (text.empty()) return invalid("cannot parse integer from empty string");
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || !is_digit(text.front())) return invalid("invalid digit found in string");
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end != text.data() + text.size()) {
    return invalid("invalid digit found in string");
  }
  if (error != std::errc() || value > max) return invalid("number too large to fit in target type");
  return value;
}

Result<nanoseconds> parse_duration(std::string_view whole) {
  std::string_view text = trim(whole);
  if (text.empty()) return invalid("cannot parse duration from empty string");
  int64_t total = 0;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits == 0) return invalid(fmt::format("expected a number at '{}'", text));
    const auto number = parse_unsigned(text.substr(0, digits), std::numeric_limits<int64_t>::max());
    text.remove_prefix(digits);
    size_t letters = 0;
    while (letters < text.size() && !is_digit(text[letters]) && text[letters] != '+') ++letters;
    const std::string_view unit = trim(text.substr(0, letters));
    text.remove_prefix(letters);

    const auto length = unit_nanoseconds(unit);
    if (!length) return invalid(fmt::format("unknown unit '{}'", unit));
    int64_t part = 0;
    if (!number || __builtin_mul_overflow(static_cast<int64_t>(*number), *length, &part) ||
        __builtin_add_overflow(total, part, &total)) {
      return invalid("duration too long");
    }
    if (text.starts_with('+')) {
      text.remove_prefix(1);
      text = trim(text);
      if (text.empty()) return invalid("expected a number after '+'");
    }
  }
  return nanoseconds(total);
}

Result<uint64_t> parse_cpu_quantity(std::string_view text) {
  Error malformed = invalid("must be a positive CPU quantity");
  double scale = 1;
  if (text.ends_with('m')) {
    scale = 1000;
    text.remove_suffix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return malformed;
  const double cpus = std::ceil(value / scale);
  // More CPUs than a uint32 is not a machine; it also keeps the conversion defined.
  if (!std::isfinite(cpus) || value <= 0 || cpus > std::numeric_limits<uint32_t>::max()) {
    return malformed;
  }
  return static_cast<uint64_t>(cpus);
}

Result<uint64_t> parse_bytes(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, unsigned>, 3> kUnits = {
      {{"Ki", 10}, {"Mi", 20}, {"Gi", 30}}};
  unsigned shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (!text.ends_with(unit)) continue;
    text.remove_suffix(unit.size());
    shift = bits;
    break;
  }
  const auto number = parse_unsigned(text, std::numeric_limits<uint64_t>::max() >> shift);
  if (!number) return invalid("must be a number of bytes, or one with Ki, Mi or Gi behind it");
  return *number << shift;
}

std::optional<std::string> EnvReader::text(const std::string& name) const {
  const auto found = env_.find(name);
  return found == env_.end() ? std::nullopt : std::optional(found->second);
}

std::string EnvReader::text(const std::string& name, std::string_view fallback) const {
  return text(name).value_or(std::string(fallback));
}

bool EnvReader::equals(const std::string& name, std::string_view value) const {
  const auto found = env_.find(name);
  return found != env_.end() && found->second == value;
}

std::optional<bool> EnvReader::optional_boolean(const std::string& name) {
  return checked(name, parse_bool);
}

bool EnvReader::boolean(const std::string& name, bool fallback) {
  return optional_boolean(name).value_or(fallback);
}

std::optional<nanoseconds> EnvReader::optional_duration(const std::string& name) {
  return checked(name, parse_duration);
}

nanoseconds EnvReader::duration(const std::string& name, nanoseconds fallback) {
  return optional_duration(name).value_or(fallback);
}

std::optional<uint64_t> EnvReader::cpu_quantity(const std::string& name) {
  return checked(name, parse_cpu_quantity);
}

std::optional<uint64_t> EnvReader::bytes(const std::string& name) {
  return checked(name, parse_bytes);
}

void EnvReader::reject(const std::string& name, std::string_view reason) {
  const std::string value = text(name, "");
  fail(fmt::format("invalid env var {}={} ({})", name, value, reason));
}

Result<> EnvReader::result() const {
  if (errors_.empty()) return {};
  return invalid(fmt::format("{}", fmt::join(errors_, "; ")));
}

}  // namespace culvert::config
