#include "waypoint/command_line.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

namespace culvert::waypoint {
namespace {

using culvert::config::EnvReader;
using Words = std::map<std::string_view, std::string_view>;

// Envoy's levels and those of Istio's own logs, as ours.
const Words& proxy_levels() {
  static const Words kLevels{{"trace", "trace"},  {"debug", "debug"},    {"info", "info"},
                             {"warning", "warn"}, {"warn", "warn"},      {"error", "error"},
                             {"err", "error"},    {"critical", "error"}, {"off", "off"}};
  return kLevels;
}
const Words& output_levels() {
  static const Words kLevels{{"debug", "debug"}, {"info", "info"},   {"warn", "warn"},
                             {"error", "error"}, {"fatal", "error"}, {"none", "off"}};
  return kLevels;
}

class Parser {
 public:
  Parser(const std::vector<std::string>& args, EnvReader& errors) : args_(args), errors_(errors) {}

  CommandLine parse() {
    for (next_ = 0; next_ < args_.size();) {
      const std::string& arg = args_[next_++];
      if (arg.starts_with("--")) {
        flag(std::string_view(arg).substr(2));
      } else {
        positional(arg);
      }
    }
    return std::move(out_);
  }

 private:
  void positional(const std::string& word) {
    constexpr std::array<std::string_view, 2> kExpected = {"proxy", "waypoint"};
    if (words_ < kExpected.size() && word == kExpected[words_]) {
      ++words_;
    } else {
      errors_.fail(fmt::format("unexpected argument \"{}\" (usage: proxy waypoint [flags])", word));
    }
  }

  void flag(std::string_view text) {
    const size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string_view::npos) value = text.substr(equals + 1);
    if (name == "log_as_json") {
      out_.log_as_json = value.value_or("true") == "true";
      return;
    }
    static const std::map<std::string_view, void (Parser::*)(const std::string&)> kFlags{
        {"domain", &Parser::domain},
        {"serviceCluster", &Parser::service_cluster},
        {"concurrency", &Parser::concurrency},
        {"proxyLogLevel", &Parser::proxy_level},
        {"proxyComponentLogLevel", &Parser::component_levels},
        {"log_output_level", &Parser::output_level}};
    const auto known = kFlags.find(name);
    if (known == kFlags.end()) return errors_.fail(fmt::format("unknown flag --{}", name));
    if (!value && next_ < args_.size()) value = args_[next_++];
    if (!value) return errors_.fail(fmt::format("flag --{} needs a value", name));
    (this->*known->second)(*value);
  }

  void domain(const std::string& value) { out_.domain = value; }
  void service_cluster(const std::string& value) { out_.service_cluster = value; }

  void concurrency(const std::string& value) {
    const auto number = culvert::config::parse_unsigned(value, UINT16_MAX);
    if (!number) {
      return errors_.fail(fmt::format("--concurrency={}: {}", value, number.error().message()));
    }
    out_.concurrency = static_cast<uint16_t>(*number);
  }

  void proxy_level(const std::string& value) {
    if (const auto level = look_up(proxy_levels(), value, "proxyLogLevel")) {
      out_.proxy_level = *level;
    }
  }

  void component_levels(const std::string& value) {
    each(value, "proxyComponentLogLevel", proxy_levels(),
         [](std::string_view, std::string_view) {});
  }

  void output_level(const std::string& value) {
    each(value, "log_output_level", output_levels(),
         [this](std::string_view scope, std::string_view level) {
           if (scope.empty() || scope == "default" || scope == "all") out_.output_level = level;
         });
  }

  // "a:level,b:level"; a level alone has the scope "".
  void each(std::string_view list, std::string_view name, const Words& levels,
            const std::function<void(std::string_view, std::string_view)>& take) {
    for (size_t begin = 0; begin < list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      const std::string_view item = list.substr(begin, end - begin);
      begin = end + 1;
      const size_t colon = item.rfind(':');
      const bool scoped = colon != std::string_view::npos;
      const std::string_view level = scoped ? item.substr(colon + 1) : item;
      if (const auto known = look_up(levels, level, name)) {
        take(scoped ? item.substr(0, colon) : std::string_view(), *known);
      }
    }
  }

  std::optional<std::string_view> look_up(const Words& levels, std::string_view level,
                                          std::string_view name) {
    const auto known = levels.find(level);
    if (known != levels.end()) return known->second;
    errors_.fail(fmt::format("--{}: \"{}\" is not a level", name, level));
    return std::nullopt;
  }

  const std::vector<std::string>& args_;
  EnvReader& errors_;
  CommandLine out_;
  size_t next_ = 0;
  size_t words_ = 0;
};

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& args, EnvReader& errors) {
  return Parser(args, errors).parse();
}

}  // namespace culvert::waypoint
