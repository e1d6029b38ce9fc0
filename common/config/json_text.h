#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace culvert::config {

// Indented by two spaces. Bytes that are not UTF-8 (names come from outside) become U+FFFD; never
// throws.
std::string dump_text(const nlohmann::json& value);

// Writes JSON that is too large to be held as a value, indented by two spaces like dump_text():
//   JsonText text(out);
//   text.begin('{'); text.key("workloads"); text.begin('['); text.value(…); text.end(); text.end();
class JsonText {
 public:
  // Appends to `out`. `depth`: that of a JsonText which takes the result by raw().
  explicit JsonText(std::string& out, size_t depth = 0) : out_(out), outside_(depth) {}

  void begin(char bracket);  // '{' or '[', as a value
  void end();
  void key(std::string_view name);
  // Bytes that are not UTF-8 become U+FFFD; never throws.
  void value(const nlohmann::json& value);
  // What another JsonText of the depth of this one wrote, as a value.
  void raw(std::string_view text);
  [[nodiscard]] size_t depth() const { return outside_ + open_.size(); }

 private:
  void separate();
  void new_line();

  std::string& out_;
  const size_t outside_;
  std::string open_;   // the brackets that are open
  bool empty_ = true;  // the innermost of them
  bool after_key_ = false;
};

}  // namespace culvert::config
