#pragma once

#include <array>
#include <string>
#include <string_view>

namespace culvert::net {

// Something that only some kernels have, or that a container's profile may forbid.
struct KernelFeature {
  std::string_view name;  // as /config_dump shows it
  bool available = false;
  bool used = false;   // by this process, where it can use it
  std::string reason;  // why not, or what for
};
using KernelFeatures = std::array<KernelFeature, 4>;

// How the kernel is asked. Each returns 0, or the errno that says why not.
struct KernelProbes {
  int (*kernel_tls)();
  int (*io_uring)();
  int (*not_sent_lowat)();
  int (*large_pipe)();  // of Pipe::kCapacity
  static KernelProbes real();
};

// Asks once, at start; what is absent is done without, silently. Never waits, never fails, leaves
// no descriptor open and loads no kernel module. Any thread.
[[nodiscard]] KernelFeatures probe_kernel_features(const KernelProbes& ask = KernelProbes::real());

// "kernelTls absent: …; ioUring available, not used: …", for one line of the log.
[[nodiscard]] std::string describe(const KernelFeatures& features);

}  // namespace culvert::net
