#include "common/admin/version.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/config/env.h"
#include "ztunnel/app.h"
#include "ztunnel/surroundings.h"

#include <cstdio>
#include <exception>
#include <string_view>

namespace {

using culvert::admin::Version;
using culvert::ztunnel::App;
using culvert::ztunnel::Config;

constexpr const char* kHelp =
    "Culvert ztunnel: the node proxy of an ambient service mesh\n"
    "\n"
    "usage: ztunnel [proxy [...]]   run; configured by environment variables\n"
    "       ztunnel version         print what this binary is\n"
    "       ztunnel help            print this\n";

int fail(const culvert::Error& error) {
  std::fprintf(stderr, "ztunnel: %s\n", error.message().c_str());
  return 1;
}

int run(int argc, char** argv) {
  auto around = culvert::ztunnel::read_surroundings(argc, argv);
  if (!around) return fail(around.error());
  auto config = Config::from_env(culvert::config::process_env(), *around);
  if (!config) return fail(config.error());
  if (auto started = culvert::log::start(config->logging.format, config->logging.filter, "ztunnel");
      !started)
    return fail(started.error());
  const culvert::log::Target log{"main"};
  log.info("version: {}", Version::of(config->istio_version).line());
  for (const auto& warning : config->warnings) log.warn("{}", warning);
  culvert::raise_descriptor_limit();
  App app(std::move(*config));
  if (auto started = app.start(); !started) {
    log.error("cannot start: {}", started.error().message());
    culvert::log::stop();
    return fail(started.error());
  }
  const bool clean = app.run();
  culvert::log::stop();
  return clean ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "proxy";
  if (command == "version") {
    const auto env = culvert::config::process_env();
    const auto istio = env.find("ISTIO_META_ISTIO_VERSION");
    std::printf("%s\n", Version::of(istio == env.end() ? "unknown" : istio->second).line().c_str());
    return 0;
  }
  if (command == "help" || command == "--help" || command == "-h") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (command != "proxy") {
    std::fprintf(stderr, "unknown command: %s\n", argv[1]);
    std::fputs(kHelp, stdout);
    return 1;
  }
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ztunnel: %s\n", error.what());
    return 1;
  }
}
