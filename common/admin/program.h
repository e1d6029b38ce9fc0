#pragma once

#include "common/base/error.h"

namespace culvert::admin {

// What all our programs do with their command line:
//   [proxy …]   run        version   what this binary is        help, --help, -h   how to use it
struct Program {
  const char* name;
  const char* help;
  int (*run)(int argc, char** argv);  // the exit status
};

// The exit status. An exception that escapes `run` is told and ends the program.
int run_program(const Program& program, int argc, char** argv);

// Tells `error` on stderr; 1.
int fail(const Program& program, const Error& error);

}  // namespace culvert::admin
