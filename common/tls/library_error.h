#pragma once

#include <string>

namespace culvert::tls {

// The reasons in this thread's error queue of the TLS library, oldest first, as "REASON, REASON";
// empties the queue. Empty if the library left none. For common/tls and common/ca only.
[[nodiscard]] std::string take_library_errors();

}  // namespace culvert::tls
