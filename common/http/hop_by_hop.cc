#include "common/http/hop_by_hop.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace culvert::http {
namespace {

constexpr std::array<std::string_view, 6> kHopByHop = {
    "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"};
constexpr std::array<std::string_view, 6> kNeverOptions = {
    "host", "content-length", "authorization", "expect", "trailer", "cookie"};

}  // namespace

bool is_hop_by_hop(std::string_view name) {
  return std::ranges::find(kHopByHop, name) != kHopByHop.end();
}

bool may_be_connection_option(std::string_view option) {
  return std::ranges::none_of(kNeverOptions,
                              [option](std::string_view name) { return iequals(name, option); });
}

void remove_hop_by_hop(Headers& headers, bool keep_te_trailers) {
  std::vector<std::string> options;
  headers.for_each("connection", [&](std::string_view value) {
    for_each_list_item(value, [&](std::string_view option) {
      if (!option.empty() && may_be_connection_option(option)) options.emplace_back(option);
      return true;
    });
  });
  const bool trailers = keep_te_trailers && headers.has_token("te", "trailers");
  headers.remove_if([&](const Headers::Field& field) {
    return is_hop_by_hop(field.name) ||
           std::ranges::any_of(
               options, [&](const std::string& option) { return iequals(option, field.name); });
  });
  // A field that fitted before fits again.
  if (trailers) (void)headers.add("te", "trailers");
}

}  // namespace culvert::http
