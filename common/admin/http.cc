#include "common/admin/http.h"

#include <algorithm>
#include <cctype>
#include <exception>

namespace culvert::admin {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// application/x-www-form-urlencoded; a '%' that no two hex digits follow stays as it is.
std::string decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
               hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::vector<std::string_view> Request::header(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : headers) {
    if (equal_without_case(key, name)) values.push_back(value);
  }
  return values;
}

std::map<std::string, std::string> Request::parameters() const {
  std::map<std::string, std::string> parameters;
  const std::string_view text = query;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('&', begin), text.size());
    const std::string_view pair = text.substr(begin, end - begin);
    begin = end + 1;
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    const bool has_value = equals < pair.size();
    parameters[decoded(pair.substr(0, equals))] =
        has_value ? decoded(pair.substr(equals + 1)) : std::string();
  }
  return parameters;
}

void Site::on(std::string path, Handler handler, std::string method) {
  routes_[std::move(path)] = {std::move(method), std::move(handler)};
}

Response Site::answer(const Request& request) const {
  const auto route = routes_.find(request.path);
  if (route == routes_.end()) return Response::empty(404);
  const std::string& method = route->second.method;
  if (!method.empty() && method != request.method) return Response::empty(405);
  try {
    auto response = route->second.handler(request);
    if (response) return std::move(*response);
    return Response::text(response.error().message() + "\n", 500);
  } catch (const std::exception& error) {
    // A library that throws in one handler must not take the process, and with it the mesh, down.
    return Response::text(std::string(error.what()) + "\n", 500);
  }
}

}  // namespace culvert::admin
