#include "ztunnel/resolv_conf.h"

#include <algorithm>

namespace culvert::ztunnel {
namespace {

// Takes the first line off `text`.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  while (true) {
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return words;
    line.remove_prefix(first);
    const size_t length = std::min(line.find_first_of(" \t\r"), line.size());
    words.emplace_back(line.substr(0, length));
    line.remove_prefix(length);
  }
}

}  // namespace

Config::Resolver parse_resolv_conf(std::string_view text) {
  Config::Resolver resolver;
  while (!text.empty()) {
    const auto words = words_of(take_line(text));
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") resolver.name_servers.push_back(words[1]);
    // The last of several lists counts.
    if (words[0] == "search") resolver.search.assign(words.begin() + 1, words.end());
  }
  return resolver;
}

}  // namespace culvert::ztunnel
