#pragma once

#include "common/base/result.h"

namespace culvert::ztunnel::inpod {

// Whether the process may do what in-pod mode needs: enter a network namespace (CAP_SYS_ADMIN) and
// mark a socket (CAP_NET_ADMIN or CAP_NET_RAW). Asked once before anything is started, so that a
// wrong security context is a clear error at start-up and not a failure of every pod. Both probes
// change nothing.
//
// Errors: "failed to set netns: …", "failed to set socket mark: …". Any thread.
Result<> verify_capabilities();

}  // namespace culvert::ztunnel::inpod
