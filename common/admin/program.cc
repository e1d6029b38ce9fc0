#include "common/admin/program.h"

#include "common/admin/version.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

namespace culvert::admin {

int run_program(const Program& program, int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "proxy";
  if (command == "version") {
    const char* const istio = std::getenv("ISTIO_META_ISTIO_VERSION");
    std::printf("%s\n", Version::of(istio == nullptr ? "unknown" : istio).line().c_str());
    return 0;
  }
  if (command == "help" || command == "--help" || command == "-h") {
    std::fputs(program.help, stdout);
    return 0;
  }
  if (command != "proxy") {
    std::fprintf(stderr, "unknown command: %s\n", argv[1]);
    std::fputs(program.help, stdout);
    return 1;
  }
  try {
    return program.run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program.name, error.what());
    return 1;
  }
}

int fail(const Program& program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.name, error.message().c_str());
  return 1;
}

}  // namespace culvert::admin
