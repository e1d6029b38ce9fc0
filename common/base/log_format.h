#pragma once

#include "common/base/clock.h"
#include "common/base/log.h"

#include <string>
#include <string_view>
#include <vector>

// How a record becomes a line. Pure; any thread.
namespace culvert::log {

struct Record {
  WallTime time;
  Level level = Level::kInfo;
  std::string_view target;  // what text shows
  std::string_view scope;   // what JSON shows
  std::string_view message;
  const std::vector<Field>& fields;
};

// One line with its '\n'. Fields whose key begins with "log." appear in JSON only.
std::string format_line(Format format, const Record& record);

// `text` in double quotes as Rust's Debug writes a str: \" \\ \n \r \t \0, and \u{hex} for what
// does not print. This is what parsers of Istio's access logs expect. Bytes that are not UTF-8
// become U+FFFD.
std::string debug_quoted(std::string_view text);

// RFC 8259 section 7 string, quotes included; other than ASCII is kept as it is, non-UTF-8 becomes
// U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace culvert::log
