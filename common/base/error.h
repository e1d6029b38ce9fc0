#pragma once

#include <string>
#include <system_error>
#include <utility>

namespace culvert {

// What went wrong, as a value. `code` says which kind (each module has its own category, the
// kernel's errors use std::system_category); `context` is for the person on call: what was
// attempted, for whom. Cheap to move; made only on the unhappy path.
struct Error {
  Error() = default;
  Error(std::error_code error_code) : code(error_code) {}  // NOLINT(google-explicit-constructor)
  Error(std::error_code error_code, std::string what)
      : code(error_code), context(std::move(what)) {}
  template <class Enum>
    requires std::is_error_code_enum_v<Enum>
  Error(Enum value) : code(value) {}  // NOLINT(google-explicit-constructor)
  template <class Enum>
    requires std::is_error_code_enum_v<Enum>
  Error(Enum value, std::string what) : code(value), context(std::move(what)) {}

  // System errors: "context: text of the code"; our own: "text of the code: context"; either alone
  // when the other is empty.
  [[nodiscard]] std::string message() const;

  std::error_code code;
  std::string context;
};

// The calling thread's errno as an Error.
[[nodiscard]] Error system_error(int errno_value, std::string context = {});

// kInvalid (bad configuration, bad file) and kMemory (a budget of memory is used up): the context
// is all there is to say.
enum class Errc { kInvalid = 1, kLimit, kClosed, kCancelled, kTimedOut, kMemory };
std::error_code make_error_code(Errc value);
[[nodiscard]] inline Error invalid(std::string what);

}  // namespace culvert

template <>
struct std::is_error_code_enum<culvert::Errc> : std::true_type {};

// After the specialization: it must be visible where an Errc first becomes an Error.
inline culvert::Error culvert::invalid(std::string what) {
  return {Errc::kInvalid, std::move(what)};
}
