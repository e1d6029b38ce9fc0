#include "common/net/file_watch.h"

#include "tests/support/loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

namespace culvert::net {
namespace {

using namespace std::chrono_literals;

// A neighbour in the folder that is written all the time (a log) postpones nothing.
TEST(FileWatch, TellsThoughSomethingElseInTheFolderNeverRests) {
  std::string name = testing::TempDir() + "file_watch.XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const std::filesystem::path folder = name;
  Reactor reactor;
  int told = 0;
  const FileWatch watch(reactor, folder / "mesh", [&] { ++told; });
  std::ofstream(folder / "mesh") << "new";
  Timer* next = nullptr;
  Timer neighbour(reactor, [&] {
    std::ofstream(folder / "log") << "line";
    next->arm_in(10ms);
  });
  next = &neighbour;
  neighbour.arm_in(1ms);
  test::run_until(reactor, [&] { return told > 0; });
  EXPECT_GT(told, 0);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace culvert::net
