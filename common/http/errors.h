#pragma once

#include <system_error>

namespace culvert::http {

// What is wrong with a head, whatever the version of HTTP that carried it.
enum class Errc {
  kInvalidHeaderName = 1,
  kInvalidHeaderValue,
  kTooManyHeaders,
  kHeadersTooLarge,
  kPathNotAbsolute,
  kPathInvalidCharacter,
  kPathFragment,
  kPathEncodedNul,
};

std::error_code make_error_code(Errc value);

// The status that a server answers: 400, or 431 where a limit was exceeded.
[[nodiscard]] int http_status(Errc value);

}  // namespace culvert::http

template <>
struct std::is_error_code_enum<culvert::http::Errc> : std::true_type {};
