#include "waypoint/config_file.h"

#include "common/base/log.h"

#include <string_view>
#include <utility>

namespace culvert::waypoint {
namespace {

const log::Target kLog{"config"};

// Many errors are many lines, each with its path and line in the file.
void log_lines(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    kLog.error("{}", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

ConfigFile::ConfigFile(net::Reactor& control, std::string path, Self defaults,
                       UniqueFunction<Result<>(const ModelPtr&)> on_model,
                       UniqueFunction<void()> on_rejected)
    : defaults_(std::move(defaults)),
      on_model_(std::move(on_model)),
      on_rejected_(std::move(on_rejected)),
      file_(control, std::move(path), [this](const Result<std::string>& text) { take(text); }) {}

void ConfigFile::load() { take(file_.read()); }

void ConfigFile::take(const Result<std::string>& text) {
  const Result<> applied = apply(text);
  if (applied) return;
  on_rejected_();
  kLog.error(
      "{} is refused, {}:", file_.path(),
      loaded_ ? "what was loaded before stays in force" : "waiting for a version that works");
  log_lines(applied.error().message());
}

Result<> ConfigFile::apply(const Result<std::string>& text) {
  if (!text) return text.error();
  auto parsed = parse_config(*text, defaults_);
  if (!parsed) return parsed.error();
  if (auto taken = on_model_(parsed->model); !taken) return taken;
  loaded_ = true;
  for (const std::string& warning : parsed->warnings) kLog.warn("{}", warning);
  kLog.info("{} loaded: {} services", file_.path(), parsed->model->services().size());
  return {};
}

}  // namespace culvert::waypoint
