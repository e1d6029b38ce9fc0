#include "common/tls/library_error.h"

#include <openssl/err.h>

#include <string_view>

namespace culvert::tls {

std::string take_library_errors() {
  std::string text;
  std::string_view last;
  while (const uint32_t code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (reason == nullptr) reason = "unknown reason";
    if (last == reason) continue;  // the library's layers often repeat each other
    last = reason;
    if (!text.empty()) text += ", ";
    text += reason;
  }
  return text;
}

}  // namespace culvert::tls
