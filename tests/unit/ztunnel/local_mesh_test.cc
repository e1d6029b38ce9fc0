#include "ztunnel/local_mesh.h"

#include "tests/support/loop.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace culvert::ztunnel {
namespace {

std::string mesh_of(std::string_view ip) {
  return "workloads:\n- {uid: w, namespace: ns, workloadIps: [" + std::string(ip) +
         "], services: {}}\n";
}

class LocalMeshTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("culvert-local-mesh-test-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path() const { return folder_ / "mesh.yaml"; }
  void replace(const std::string& text) const {
    std::ofstream(path() + ".new") << text;
    std::filesystem::rename(path() + ".new", path());
  }
  [[nodiscard]] bool knows(std::string_view ip) const {
    return store_.current()->workload_by_address("", net::IpAddress::parse(ip).value()) != nullptr;
  }

  std::filesystem::path folder_;
  net::Reactor reactor_;
  state::Store store_{""};
  int changes_ = 0;
  int rejected_ = 0;
  LocalMesh mesh_{store_, [this](const state::SnapshotPtr&) { ++changes_; },
                  [this] { ++rejected_; }};
};

TEST_F(LocalMeshTest, FollowsItsFile) {
  replace(mesh_of("10.0.0.1"));
  ASSERT_TRUE(mesh_.load_file(reactor_, path()));
  EXPECT_EQ(changes_, 1);
  EXPECT_TRUE(knows("10.0.0.1"));
  replace(mesh_of("10.0.0.2"));
  test::run_until(reactor_, [&] { return changes_ == 2; });
  EXPECT_FALSE(knows("10.0.0.1"));
  EXPECT_TRUE(knows("10.0.0.2"));
}

// What is refused is said once, whatever else happens in the folder; so is what stays the same.
TEST_F(LocalMeshTest, OnlyANewTextCounts) {
  replace(mesh_of("10.0.0.1"));
  ASSERT_TRUE(mesh_.load_file(reactor_, path()));
  replace("workloads: [");
  test::run_until(reactor_, [&] { return rejected_ == 1; });
  // Told of the same events, after the mesh.
  int events = 0;
  const net::FileWatch watch(reactor_, path(), [&] { ++events; });
  std::ofstream(folder_ / "other") << "x";
  test::run_until(reactor_, [&] { return events == 1; });
  replace("workloads: [");  // another file with the same text
  test::run_until(reactor_, [&] { return events == 2; });
  EXPECT_EQ(rejected_, 1);
  replace(mesh_of("10.0.0.3"));
  test::run_until(reactor_, [&] { return knows("10.0.0.3"); });
  EXPECT_EQ(rejected_, 1);
  EXPECT_EQ(changes_, 2);
  // Written in place, with the same size.
  std::ofstream(path()) << mesh_of("10.0.0.4");
  test::run_until(reactor_, [&] { return knows("10.0.0.4"); });
  EXPECT_EQ(changes_, 3);
  EXPECT_EQ(rejected_, 1);
}

TEST_F(LocalMeshTest, AFileThatIsGoneKeepsWhatWasLoaded) {
  replace(mesh_of("10.0.0.1"));
  ASSERT_TRUE(mesh_.load_file(reactor_, path()));
  std::filesystem::remove(path());
  test::run_until(reactor_, [&] { return rejected_ == 1; });
  EXPECT_TRUE(knows("10.0.0.1"));
  EXPECT_EQ(changes_, 1);
}

TEST_F(LocalMeshTest, ErrorsAtTheStart) {
  EXPECT_EQ(mesh_.load_file(reactor_, path()).error().message(),
            path() + ": No such file or directory");
  replace("workloads: 1\n");
  EXPECT_EQ(mesh_.load_file(reactor_, path()).error().message(),
            path() + ": workloads: not a list (line 1)");
  EXPECT_EQ(changes_, 0);
}

}  // namespace
}  // namespace culvert::ztunnel
