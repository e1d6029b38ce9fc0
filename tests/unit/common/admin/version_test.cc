#include "common/admin/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace culvert::admin {
namespace {

TEST(Version, PrintsIstiosLine) {
  const Version version{"1", "2", "3", "4", "5", "6", "7"};
  EXPECT_EQ(version.line(),
            R"(version.BuildInfo{Version:"1", GitRevision:"2", RustVersion:"3", BuildProfile:"4", )"
            R"(BuildStatus:"5", IstioVersion:"6", CryptoProvider:"7"})");
}

TEST(Version, HasIstiosKeys) {
  EXPECT_EQ(Version({"1", "2", "3", "4", "5", "6", "7"}).to_json(),
            nlohmann::json::parse(R"({"version":"1","gitRevision":"2","rustVersion":"3",
                "buildProfile":"4","buildStatus":"5","istioVersion":"6","cryptoProvider":"7"})"));
}

TEST(Version, KnowsThisBuild) {
  const Version version = Version::of("1.32.0");
  EXPECT_EQ(version.istio_version, "1.32.0");
  EXPECT_EQ(version.crypto_provider, "boringssl");
  EXPECT_NE(version.version, "");
  EXPECT_NE(version.git_revision, "");
  EXPECT_THAT(version.rust_version, ::testing::HasSubstr("."));
}

}  // namespace
}  // namespace culvert::admin
