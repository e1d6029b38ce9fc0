#include "common/config/json_text.h"

#include <nlohmann/json.hpp>

namespace culvert::config {

std::string dump_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

void JsonText::new_line() { out_.append("\n").append(2 * depth(), ' '); }

// Before a value or a key.
void JsonText::separate() {
  if (after_key_ || open_.empty()) {
    after_key_ = false;
    return;
  }
  if (!empty_) out_ += ',';
  new_line();
  empty_ = false;
}

void JsonText::begin(char bracket) {
  separate();
  out_ += bracket;
  open_ += bracket;
  empty_ = true;
}

void JsonText::end() {
  const char bracket = open_.back() == '{' ? '}' : ']';
  open_.pop_back();
  if (!empty_) new_line();
  out_ += bracket;
  empty_ = false;
}

void JsonText::key(std::string_view name) {
  separate();
  out_.append(dump_text(name)).append(": ");
  after_key_ = true;
}

void JsonText::value(const nlohmann::json& value) {
  separate();
  // A line break in the text is one of the layout: those in strings are escaped.
  for (const char c : dump_text(value)) {
    if (c == '\n') {
      new_line();
    } else {
      out_ += c;
    }
  }
}

void JsonText::raw(std::string_view text) {
  separate();
  out_ += text;
}

}  // namespace culvert::config
