#include "waypoint/model/regex.h"

#include <fmt/format.h>

#include <re2/re2.h>

#include <algorithm>

namespace culvert::waypoint {
namespace {

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxRegexLength) {
    return invalid(fmt::format("regular expression of {} bytes; at most {} are accepted",
                               pattern.size(), kMaxRegexLength));
  }
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (!std::all_of(pattern.begin(), pattern.end(), is_ascii)) {
    return invalid(
        "regular expression with characters outside of ASCII; requests are matched byte by "
        "byte, so write the percent-encoded or \\x form of each byte");
  }
  re2::RE2::Options options;
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  auto compiled = std::make_shared<const re2::RE2>(piece(pattern), options);
  if (!compiled->ok()) {
    return invalid(fmt::format("not a regular expression RE2 understands: {}", compiled->error()));
  }
  if (compiled->ProgramSize() > kMaxRegexProgram) {
    return invalid(fmt::format("regular expression too complex: {} instructions; at most {}",
                               compiled->ProgramSize(), kMaxRegexProgram));
  }
  return Regex(std::move(compiled));
}

bool Regex::full_match(std::string_view text) const {
  return re2::RE2::FullMatch(piece(text), *compiled_);
}

std::string Regex::replace_all(std::string_view text, std::string_view substitution) const {
  std::string out(text);
  re2::RE2::GlobalReplace(&out, *compiled_, piece(substitution));
  return out;
}

Result<> Regex::check_substitution(std::string_view substitution) const {
  std::string error;
  if (!compiled_->CheckRewriteString(piece(substitution), &error)) {
    return invalid(fmt::format("bad substitution: {}", error));
  }
  return {};
}

const std::string& Regex::pattern() const { return compiled_->pattern(); }

}  // namespace culvert::waypoint
