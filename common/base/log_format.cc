#include "common/base/log_format.h"

#include <fmt/compile.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>

namespace culvert::log {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"off",  "error", "warn",
                                                         "info", "debug", "trace"};
constexpr char32_t kReplacement = 0xFFFD;

// The next code point, advancing `text`; one byte is skipped per malformed sequence.
char32_t next_code_point(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  size_t length = 1;
  char32_t value = lead;
  if (lead >= 0xC2 && lead < 0xE0) {
    length = 2;
    value = lead & 0x1FU;
  } else if (lead >= 0xE0 && lead < 0xF0) {
    length = 3;
    value = lead & 0x0FU;
  } else if (lead >= 0xF0 && lead < 0xF5) {
    length = 4;
    value = lead & 0x07U;
  } else if (lead >= 0x80) {
    text.remove_prefix(1);
    return kReplacement;
  }
  for (size_t i = 1; i < length; ++i) {
    if (i >= text.size() || (byte(i) & 0xC0U) != 0x80) {
      text.remove_prefix(1);
      return kReplacement;
    }
    value = (value << 6U) | (byte(i) & 0x3FU);
  }
  // Overlong forms and surrogates are not UTF-8 (RFC 3629 section 3).
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) {
    text.remove_prefix(1);
    return kReplacement;
  }
  text.remove_prefix(length);
  return value;
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0U | (c >> 6U)), static_cast<char>(0x80U | (c & 0x3FU))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0U | (c >> 12U)), static_cast<char>(0x80U | ((c >> 6U) & 0x3FU)),
            static_cast<char>(0x80U | (c & 0x3FU))};
  } else {
    out += {static_cast<char>(0xF0U | (c >> 18U)), static_cast<char>(0x80U | ((c >> 12U) & 0x3FU)),
            static_cast<char>(0x80U | ((c >> 6U) & 0x3FU)), static_cast<char>(0x80U | (c & 0x3FU))};
  }
}

// Unicode's control, format, separator, private-use and combining characters, as ranges. Istio's
// values are ASCII; this keeps terminals and line-based parsers safe from the rest.
bool prints(char32_t c) {
  static constexpr std::array<std::pair<char32_t, char32_t>, 16> kHidden = {{{0x00, 0x1F},
                                                                             {0x7F, 0xA0},
                                                                             {0xAD, 0xAD},
                                                                             {0x300, 0x36F},
                                                                             {0x600, 0x605},
                                                                             {0x61C, 0x61C},
                                                                             {0x6DD, 0x6DD},
                                                                             {0x1680, 0x1680},
                                                                             {0x180E, 0x180E},
                                                                             {0x2000, 0x200F},
                                                                             {0x2028, 0x202F},
                                                                             {0x205F, 0x206F},
                                                                             {0x3000, 0x3000},
                                                                             {0xE000, 0xF8FF},
                                                                             {0xFEFF, 0xFEFF},
                                                                             {0xE0000, 0x10FFFF}}};
  return std::ranges::none_of(
      kHidden, [c](const auto& range) { return c >= range.first && c <= range.second; });
}

void append_debug_char(std::string& out, char32_t c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case 0:
      out += "\\0";
      return;
    default:
      break;
  }
  if (prints(c)) {
    append_utf8(out, c);
  } else {
    fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", static_cast<uint32_t>(c));
  }
}

// Plain text parts are not quoted, but must not carry terminal escapes. Line breaks are kept: the
// start log holds the whole configuration in one message.
void append_plain(std::string& out, std::string_view text) {
  const auto harmless = [](unsigned char c) { return (c >= 0x20 && c < 0x7F) || c == '\n'; };
  if (std::ranges::all_of(text, harmless)) {
    out += text;
    return;
  }
  while (!text.empty()) {
    const char32_t c = next_code_point(text);
    if (c == '\n' || c == '"' || c == '\\') {
      out += static_cast<char>(c);
    } else {
      append_debug_char(out, c);
    }
  }
}

// RFC 3339, UTC, microseconds. The part up to the second is kept per thread: a busy thread logs
// many lines within one second.
void append_time(std::string& out, WallTime time) {
  using std::chrono::microseconds;
  using std::chrono::seconds;
  const auto since_epoch = std::chrono::floor<microseconds>(time.time_since_epoch());
  const auto whole = std::chrono::floor<seconds>(since_epoch);
  thread_local seconds cached = seconds::min();
  thread_local std::string prefix;
  if (whole != cached) {
    const std::time_t now = static_cast<std::time_t>(whole.count());
    std::tm utc{};
    gmtime_r(&now, &utc);
    prefix = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1,
                         utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    cached = whole;
  }
  out += prefix;
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(".{:06}Z"), (since_epoch - whole).count());
}

std::string text_line(const Record& record) {
  std::string out;
  out.reserve(512);
  append_time(out, record.time);
  out += '\t';
  out += kLevelNames[static_cast<size_t>(record.level)];
  out += '\t';
  out += record.target;
  out += '\t';
  append_plain(out, record.message);
  // The tab is there even when no field follows: column counts stay the same.
  out += '\t';
  bool first = true;
  for (const Field& field : record.fields) {
    if (field.key.starts_with("log.")) continue;
    if (!first) out += ' ';
    first = false;
    out += field.key;
    out += '=';
    if (field.kind == Field::Kind::kString) {
      out += debug_quoted(field.value);
    } else {
      append_plain(out, field.value);
    }
  }
  out += '\n';
  return out;
}

std::string json_line(const Record& record) {
  std::string out;
  out.reserve(640);
  out += R"({"level":")";
  out += kLevelNames[static_cast<size_t>(record.level)];
  out += R"(","time":")";
  append_time(out, record.time);
  out += R"(","scope":)";
  out += json_quoted(record.scope);
  out += R"(,"message":)";
  out += json_quoted(record.message);
  for (const Field& field : record.fields) {
    out += ',';
    out += json_quoted(field.key);
    out += ':';
    const bool native = field.kind == Field::Kind::kNumber || field.kind == Field::Kind::kBool;
    out += native ? field.value : json_quoted(field.value);
  }
  out += "}\n";
  return out;
}

}  // namespace

std::string format_line(Format format, const Record& record) {
  return format == Format::kJson ? json_line(record) : text_line(record);
}

std::string debug_quoted(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  const auto plain = [](unsigned char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
  if (std::ranges::all_of(text, plain)) {
    out += text;
  } else {
    while (!text.empty()) append_debug_char(out, next_code_point(text));
  }
  out += '"';
  return out;
}

std::string json_quoted(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  while (!text.empty()) {
    const char32_t c = next_code_point(text);
    static constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t";
    static constexpr std::string_view kLetters = "\"\\bfnrt";
    if (const size_t at = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
        at != std::string_view::npos) {
      out += '\\';
      out += kLetters[at];
    } else if (c < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      append_utf8(out, c);
    }
  }
  out += '"';
  return out;
}

}  // namespace culvert::log
