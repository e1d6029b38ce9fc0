#include "waypoint/config_file.h"

#include "common/base/log.h"
#include "tests/support/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace culvert::waypoint {
namespace {

using ::testing::HasSubstr;

class ConfigFileTest : public ::testing::Test {
 protected:
  ConfigFileTest() {
    std::string pattern = ::testing::TempDir() + "config_file_XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ConfigFileTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path() const { return folder_ + "/waypoint.yaml"; }
  void write(const std::string& text) const {
    std::ofstream(path() + ".new") << text;
    std::filesystem::rename(path() + ".new", path());
  }
  std::unique_ptr<ConfigFile> open(const Self& defaults = {}) {
    auto file = std::make_unique<ConfigFile>(
        reactor_, path(), defaults,
        [this](const ModelPtr& model) {
          if (refuse_) return Result<>(invalid("not this one"));
          models_.push_back(model);
          return Result<>();
        },
        [this] { ++rejected_; });
    file->load();
    return file;
  }
  // What was logged, as one text.
  std::string logged() const {
    std::string all;
    for (const auto& line : capture_.lines()) all += line + "\n";
    return all;
  }

  std::string folder_;
  log::Capture capture_;
  net::Reactor reactor_;
  std::vector<ModelPtr> models_;
  int rejected_ = 0;
  bool refuse_ = false;
};

TEST_F(ConfigFileTest, ComesLaterThanTheProcess) {
  const auto file = open();
  EXPECT_EQ(rejected_, 1);
  EXPECT_THAT(logged(), HasSubstr("waiting for a version that works"));
  write("waypoint: {name: gate, namespace: demo}");
  ASSERT_TRUE(test::run_until(reactor_, [&] { return models_.size() == 1; }));
  EXPECT_EQ(models_[0]->self().name, "gate");
}

TEST_F(ConfigFileTest, RefusesABadVersionWholeAndTellsAllErrors) {
  write("waypoint: {name: gate}");
  const auto file = open();
  ASSERT_EQ(models_.size(), 1U);
  write("waypoint: {name: gate, names: 1}\nservice: []\n");
  ASSERT_TRUE(test::run_until(reactor_, [&] { return rejected_ == 1; }));
  EXPECT_EQ(models_.size(), 1U);
  EXPECT_THAT(logged(), HasSubstr("what was loaded before stays in force"));
  EXPECT_THAT(logged(), HasSubstr("waypoint.names"));
  EXPECT_THAT(logged(), HasSubstr("service: unknown key"));
  write("waypoint: {name: gate, clusterId: two}");
  ASSERT_TRUE(test::run_until(reactor_, [&] { return models_.size() == 2; }));
}

TEST_F(ConfigFileTest, CountsWhatItsOwnerRefuses) {
  write("waypoint: {name: gate}");
  refuse_ = true;
  const auto file = open();
  EXPECT_EQ(rejected_, 1);
  EXPECT_THAT(logged(), HasSubstr("not this one"));
}

TEST_F(ConfigFileTest, FileWinsOverThePlatform) {
  Self platform;
  platform.name = "from-env";
  platform.namespace_ = "env-namespace";
  platform.service_account = "env-account";
  platform.trust_domain = "env.example";
  write("options: {}");
  const auto file = open(platform);
  ASSERT_EQ(models_.size(), 1U);
  EXPECT_EQ(models_[0]->self().identity().to_string(),
            "spiffe://env.example/ns/env-namespace/sa/env-account");
  write("waypoint: {namespace: demo}");
  ASSERT_TRUE(test::run_until(reactor_, [&] { return models_.size() == 2; }));
  EXPECT_EQ(models_[1]->self().identity().to_string(),
            "spiffe://env.example/ns/demo/sa/env-account");
  write("waypoint: {name: other}");
  ASSERT_TRUE(test::run_until(reactor_, [&] { return models_.size() == 3; }));
  EXPECT_EQ(models_[2]->self().service_account, "other");
}

}  // namespace
}  // namespace culvert::waypoint
