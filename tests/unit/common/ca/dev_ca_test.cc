#include "common/ca/dev_ca.h"

#include "common/base/log.h"
#include "common/tls/engine.h"
#include "tests/support/test_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace culvert::ca {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class DevCaTest : public ::testing::Test {
 protected:
  DevCaTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dev-ca-XXXXXX").string();
    dir_ = std::filesystem::path(mkdtemp(pattern.data())) / "ca";
  }
  ~DevCaTest() override { std::filesystem::remove_all(dir_.parent_path()); }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(dir_ / name).rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(dir_);
    std::ofstream(dir_ / name) << text;
    std::filesystem::permissions(dir_ / name, std::filesystem::perms(0600));
  }
  void expect_refused(const std::string& text) const {
    const auto ca = DevCa::open(dir_);
    ASSERT_FALSE(ca);
    EXPECT_THAT(ca.error().message(), HasSubstr(text));
    EXPECT_THAT(ca.error().message(), HasSubstr("development CA"));
  }

  std::filesystem::path dir_;
  const log::Capture capture_;
};

TEST_F(DevCaTest, IsCreatedOnFirstUseAndKept) {
  ASSERT_TRUE(DevCa::open(dir_));
  const std::string certificate = read("root-cert.pem"), key = read("root-key.pem");
  EXPECT_THAT(key, HasSubstr("BEGIN PRIVATE KEY"));
  struct stat info{};
  ASSERT_EQ(::stat((dir_ / "root-key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);

  ASSERT_TRUE(DevCa::open(dir_));
  EXPECT_EQ(read("root-cert.pem"), certificate);
  EXPECT_EQ(read("root-key.pem"), key);
  // Nothing else stays behind.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_), {}), 2);
}

TEST_F(DevCaTest, SaysThatItIsInUse) {
  ASSERT_TRUE(DevCa::open(dir_));
  EXPECT_THAT(capture_.lines(), Contains(HasSubstr("not for production")));
  EXPECT_THAT(capture_.lines(), Not(Contains(HasSubstr("chmod"))));
}

TEST_F(DevCaTest, IssuesTheIdentityAskedFor) {
  const WallTime now = WallClock::from_time_t(1'800'000'000);
  DevCaOptions options;
  options.ttl = std::chrono::hours(2);
  options.wall = [now] { return now; };
  auto ca = DevCa::open(dir_, options);
  ASSERT_TRUE(ca);
  const auto credential = (*ca)->issue(test::identity("demo", "app"));
  ASSERT_TRUE(credential) << credential.error().message();
  EXPECT_EQ((*credential)->identity(), test::identity("demo", "app"));
  EXPECT_EQ((*credential)->not_before(), now - std::chrono::minutes(2));
  EXPECT_EQ((*credential)->not_after(), now + std::chrono::hours(2));
  EXPECT_EQ((*credential)->chain().size(), 1U);
  ASSERT_EQ((*credential)->roots().size(), 1U);
  EXPECT_EQ((*credential)->roots()[0].pem, read("root-cert.pem"));

  const auto second = (*ca)->issue(test::identity("demo", "app"));
  EXPECT_NE((*second)->chain()[0].serial_number, (*credential)->chain()[0].serial_number);
}

TEST_F(DevCaTest, SignAnswersOnce) {
  auto ca = DevCa::open(dir_);
  ASSERT_TRUE(ca);
  int answers = 0;
  (*ca)->sign(test::identity("demo", "app"), [&](Result<tls::CredentialPtr> result) {
    ++answers;
    EXPECT_TRUE(result);
  });
  EXPECT_EQ(answers, 1);
}

// Two processes that name the same folder can talk to each other.
void expect_handshake(DevCa& one, DevCa& two) {
  tls::Context context(tls::Options{});
  auto client = tls::Engine::client(context, one.issue(test::identity("demo", "client")).value(),
                                    {test::identity("demo", "server")});
  auto server = tls::Engine::server(context, two.issue(test::identity("demo", "server")).value());
  ByteQueue up, down;
  bool client_done = false, server_done = false;
  for (int i = 0; i < 3; ++i) {
    if (!client_done) {
      const auto step = client->handshake(std::as_const(down).readable(), up);
      down.clear();
      ASSERT_TRUE(step) << step.error().message();
      client_done = *step == tls::Engine::Handshake::kDone;
    }
    if (!server_done) {
      const auto step = server->handshake(std::as_const(up).readable(), down);
      up.clear();
      ASSERT_TRUE(step) << step.error().message();
      server_done = *step == tls::Engine::Handshake::kDone;
    }
  }
  EXPECT_TRUE(client_done && server_done);
}

TEST_F(DevCaTest, ProcessesOfOneFolderTrustEachOther) {
  auto one = DevCa::open(dir_), two = DevCa::open(dir_);
  ASSERT_TRUE(one && two);
  expect_handshake(**one, **two);
}

TEST_F(DevCaTest, AnIntermediateChangesNothingForPeers) {
  DevCaOptions options;
  options.intermediate = true;
  auto one = DevCa::open(dir_, options), two = DevCa::open(dir_);
  ASSERT_TRUE(one && two);
  EXPECT_EQ((*one)->issue(test::identity("demo", "a")).value()->chain().size(), 2U);
  expect_handshake(**one, **two);
  expect_handshake(**two, **one);
}

TEST_F(DevCaTest, ProcessesThatStartAtOnceShareOneCa) {
  constexpr int kProcesses = 8;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // All wait until the parent closes its end.
      char nothing = 0;
      ::close(ready[1]);
      static_cast<void>(!::read(ready[0], &nothing, 1));
      auto ca = DevCa::open(dir_);
      ::_exit(ca && (*ca)->issue(test::identity("demo", "app")) ? 0 : 1);
    }
    children.push_back(child);
  }
  ::close(ready[0]);
  ::close(ready[1]);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_), {}), 2);
  EXPECT_TRUE(DevCa::open(dir_));
}

TEST_F(DevCaTest, ThreadsThatStartAtOnceShareOneCa) {
  std::vector<std::string> roots(8);
  std::vector<std::thread> threads;
  for (auto& root : roots) {
    threads.emplace_back([&] {
      auto ca = DevCa::open(dir_);
      if (ca) root = (*ca)->issue(test::identity("demo", "app")).value()->roots()[0].pem;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(roots, ::testing::Each(read("root-cert.pem")));
}

TEST_F(DevCaTest, WarnsOfAKeyThatOthersCanRead) {
  ASSERT_TRUE(DevCa::open(dir_));
  std::filesystem::permissions(dir_ / "root-key.pem", std::filesystem::perms(0644));
  ASSERT_TRUE(DevCa::open(dir_));
  EXPECT_THAT(capture_.lines(), Contains(HasSubstr("chmod 600")));
}

TEST_F(DevCaTest, MissingHalvesAreErrors) {
  ASSERT_TRUE(DevCa::open(dir_));
  const std::string certificate = read("root-cert.pem");
  std::filesystem::remove(dir_ / "root-cert.pem");
  expect_refused("root-cert.pem is not: put it back");
  write("root-cert.pem", certificate);
  std::filesystem::remove(dir_ / "root-key.pem");
  expect_refused("root-key.pem: No such file");
}

TEST_F(DevCaTest, BadFilesAreErrors) {
  write("root-cert.pem", "");
  write("root-key.pem", "");
  expect_refused("root-cert.pem has no certificate");
  const test::TestCa mine("mine");
  write("root-cert.pem", mine.pem());
  expect_refused("root-key.pem: no PEM block");
  write("root-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  expect_refused("root-key.pem: not a PKCS#8");
  test::CertSpec other;
  write("root-key.pem", mine.mint(other).key_pem);
  expect_refused("root-key.pem does not belong to root-cert.pem");
  write("root-cert.pem", std::string((1 << 20) + 1, 'x'));
  expect_refused("larger than 1 MiB");
}

TEST_F(DevCaTest, TheRootMustBeAValidCa) {
  test::CertSpec leaf;
  leaf.organization = "no CA";
  auto minted = test::TestCa::self_signed(leaf);
  write("root-cert.pem", minted.pem);
  write("root-key.pem", minted.key_pem);
  expect_refused("root-cert.pem is not a CA certificate");
  leaf.ca = true;
  leaf.not_after = WallClock::now() - std::chrono::minutes(1);
  minted = test::TestCa::self_signed(leaf);
  write("root-cert.pem", minted.pem);
  write("root-key.pem", minted.key_pem);
  expect_refused("root-cert.pem is not valid now");
}

TEST_F(DevCaTest, AnOwnRootMayBeUsedAndBoundsTheLeaf) {
  test::CertSpec root;
  root.ca = true;
  root.organization = "own root";
  root.not_after = WallClock::from_time_t(WallClock::to_time_t(WallClock::now()) + 3600);
  const auto minted = test::TestCa::self_signed(root);
  write("root-cert.pem", minted.pem);
  write("root-key.pem", minted.key_pem);
  auto ca = DevCa::open(dir_);
  ASSERT_TRUE(ca) << ca.error().message();
  EXPECT_EQ((*ca)->issue(test::identity("demo", "app")).value()->not_after(), root.not_after);
  expect_handshake(**ca, **ca);
}

TEST_F(DevCaTest, AFolderThatCannotBeMadeIsAnError) {
  write("file", "");
  const auto ca = DevCa::open(dir_ / "file" / "ca");
  ASSERT_FALSE(ca);
  EXPECT_THAT(ca.error().message(), HasSubstr("cannot create the directory"));
}

TEST_F(DevCaTest, RefusesIdentitiesThatDoNotReadBack) {
  auto ca = DevCa::open(dir_);
  ASSERT_TRUE(ca);
  const auto slash = (*ca)->issue(test::identity("demo", "a/b"));
  ASSERT_FALSE(slash);
  EXPECT_EQ(slash.error().message(),
            "did not find expected SAN: spiffe://cluster.local/ns/demo/sa/a/b");
  EXPECT_FALSE((*ca)->issue(test::identity("demo", "a\nb")));
}

TEST_F(DevCaTest, AnExpiredRootStopsIssuing) {
  WallTime now = WallClock::now();
  DevCaOptions options;
  options.wall = [&now] { return now; };
  auto ca = DevCa::open(dir_, options);
  ASSERT_TRUE(ca);
  now += std::chrono::hours(24) * 3651;
  const auto issued = (*ca)->issue(test::identity("demo", "app"));
  ASSERT_FALSE(issued);
  EXPECT_THAT(issued.error().message(), HasSubstr("root has expired"));
}

}  // namespace
}  // namespace culvert::ca
