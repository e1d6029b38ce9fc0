#include "common/net/kernel_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <linux/capability.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace culvert::net {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

template <int error>
int answer() {
  return error;
}

TEST(KernelFeaturesTest, WhatIsThereIsUsedWhereItHelps) {
  const auto found = probe_kernel_features({answer<0>, answer<0>, answer<0>, answer<0>});
  const std::array names{"kernelTls", "ioUring", "notSentLowat", "largePipes"};
  const std::array used{false, false, true, true};
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].name, names[i]);
    EXPECT_TRUE(found[i].available) << names[i];
    EXPECT_EQ(found[i].used, used[i]) << names[i];
    EXPECT_NE(found[i].reason, "") << names[i];
  }
  EXPECT_THAT(found[0].reason, HasSubstr("KeyUpdate"));
  EXPECT_THAT(describe(found),
              StartsWith("kernelTls available, not used: not measured, and before Linux 6.14"));
  EXPECT_THAT(describe(found), HasSubstr("; largePipes used: splice moves up to 1 MiB"));
}

TEST(KernelFeaturesTest, WhatTheKernelRefusesIsAbsentWithItsReason) {
  const auto found =
      probe_kernel_features({answer<ENOENT>, answer<EPERM>, answer<ENOPROTOOPT>, answer<EMFILE>});
  const std::array reasons{"No such file or directory", "Operation not permitted",
                           "Protocol not available", "Too many open files"};
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_FALSE(found[i].available) << i;
    EXPECT_FALSE(found[i].used) << i;
    EXPECT_THAT(found[i].reason, StartsWith(reasons[i]));
  }
  EXPECT_THAT(describe(found), StartsWith("kernelTls absent: No such file or directory, "));
  EXPECT_THAT(describe(found), HasSubstr("; ioUring absent: Operation not permitted, "));
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

uint32_t effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  EXPECT_EQ(::syscall(SYS_capget, &header, sets.data()), 0);
  return sets[0].effective;
}

TEST(KernelFeaturesTest, AsksThisKernelAndLeavesNothingBehind) {
  const size_t descriptors = open_descriptors();
  const uint32_t capabilities = effective_capabilities();
  const auto found = probe_kernel_features();
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(effective_capabilities(), capabilities);

  io_uring_params parameters{};
  const auto ring = static_cast<int>(::syscall(SYS_io_uring_setup, 1, &parameters));
  EXPECT_EQ(found[1].available, ring >= 0) << found[1].reason;
  if (ring >= 0) ::close(ring);
  EXPECT_TRUE(found[2].available) << found[2].reason;  // since Linux 3.12
  EXPECT_EQ(found[2].used, found[2].available);
}

}  // namespace
}  // namespace culvert::net
