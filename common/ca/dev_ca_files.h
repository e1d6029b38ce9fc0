#pragma once

#include "common/base/result.h"

#include <filesystem>
#include <functional>
#include <string>

namespace culvert::ca {

// The development CA on disk: <dir>/root-cert.pem and <dir>/root-key.pem (mode 0600).
struct DevCaFiles {
  DevCaFiles() = default;
  DevCaFiles(DevCaFiles&&) = default;
  DevCaFiles& operator=(DevCaFiles&&) = default;
  ~DevCaFiles();  // wipes the key

  std::string certificate_pem;
  std::string key_pem;
};

// Reads both files; if neither is there, stores what `make` gives (and creates `dir`). Processes
// that start at once end up with the same files: the first one makes them under a lock on the
// directory, the certificate appears last. Blocks, for 10 seconds at most. Errors name the file and
// the remedy.
Result<DevCaFiles> load_or_create(const std::filesystem::path& dir,
                                  const std::function<DevCaFiles()>& make);

}  // namespace culvert::ca
