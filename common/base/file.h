#pragma once

#include "common/base/result.h"

#include <string>

namespace culvert {

// The whole of a file, as it is. Errors: the system's, with the path. Blocks: for start-up and the
// control thread.
Result<std::string> read_file(const std::string& path);

}  // namespace culvert
