#pragma once

#include "common/base/result.h"

#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace culvert::waypoint {

inline constexpr size_t kMaxRegexLength = 1024;
inline constexpr int kMaxRegexProgram = 4096;  // RE2's count of instructions

// A regular expression in RE2's syntax, compiled once and shared between threads. RE2 runs in time
// linear in the text, whatever the pattern, so that no pattern and no request can be made to burn
// CPU.
//
// Text is matched byte by byte (RE2's Latin-1 mode): in UTF-8 mode a byte that is not valid UTF-8
// matches nothing, not even ".", and a client could use one to slip past a rule that denies.
class Regex {
 public:
  // Errors (culvert::Errc::kInvalid) say what is wrong in words. Refused besides bad syntax:
  // patterns longer than kMaxRegexLength, larger than kMaxRegexProgram once compiled, or with bytes
  // outside of ASCII.
  static Result<Regex> compile(std::string_view pattern);

  // The whole text, as Envoy's safe_regex.
  [[nodiscard]] bool full_match(std::string_view text) const;
  // Every match replaced; `\1` to `\9` in `substitution` stand for groups, `\0` for the match.
  [[nodiscard]] std::string replace_all(std::string_view text, std::string_view substitution) const;
  // Whether a substitution is well formed and names only groups that the pattern has.
  [[nodiscard]] Result<> check_substitution(std::string_view substitution) const;
  [[nodiscard]] const std::string& pattern() const;

 private:
  explicit Regex(std::shared_ptr<const re2::RE2> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const re2::RE2> compiled_;
};

}  // namespace culvert::waypoint
