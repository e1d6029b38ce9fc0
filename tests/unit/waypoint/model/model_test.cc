#include "waypoint/model/model.h"

#include "tests/unit/waypoint/support.h"

#include <gtest/gtest.h>

namespace culvert::waypoint {
namespace {

using test::address;
using test::ip;

ChainPtr chain(std::string name) {
  auto out = std::make_shared<Chain>();
  out->name = std::move(name);
  return out;
}

Service service(std::string name, std::vector<uint16_t> ports) {
  Service out;
  out.ref = {name + ".demo.svc.cluster.local", name, "demo"};
  out.hostnames = {out.ref.hostname, name + ".demo"};
  for (const uint16_t port : ports) {
    out.ports[port] = {port, AppProtocol::kSniff, chain(name + " http"), chain(name + " tcp")};
  }
  return out;
}

Model::Parts parts() {
  Model::Parts out;
  Service server = service("server", {80, 9090});
  server.vips = {ip("10.96.1.10"), ip("fd00::10")};
  Service wide = service("wide", {80, 443});
  wide.ranges = {net::Cidr::parse("10.96.0.0/12").value()};
  Service narrow = service("narrow", {80});
  narrow.ranges = {net::Cidr::parse("10.97.0.0/16").value()};
  out.services = {server, wide, narrow};
  out.direct_addresses = {ip("10.97.0.5")};
  out.direct_http = chain("direct-http");
  out.direct_tcp = chain("direct-tcp");
  return out;
}

std::string served(const Model& model, std::string_view authority) {
  const auto found = model.resolve(authority);
  return found ? found->port.tcp->name : "refused";
}

TEST(Model, ResolvesAuthorities) {
  const ModelPtr model = Model::build(parts()).value();
  const std::pair<const char*, const char*> cases[] = {
      {"10.96.1.10:80", "server tcp"},
      {"[fd00::10]:9090", "server tcp"},
      {"[::ffff:10.96.1.10]:80", "server tcp"},
      // The range of "wide" has port 443, but the address is a VIP of "server".
      {"10.96.1.10:443", "refused"},
      {"10.96.1.11:443", "wide tcp"},
      {"10.97.1.1:80", "narrow tcp"},
      {"10.97.1.1:443", "wide tcp"},
      {"10.97.0.5:12345", "direct-tcp"},
      {"192.0.2.1:80", "refused"},
      {"server.demo.svc.cluster.local:80", "server tcp"},
      {"SERVER.demo:9090", "server tcp"},
      {"server.demo.:80", "server tcp"},
      {"server.demo:81", "refused"},
      {"other.demo:80", "refused"},
      {"server.demo", "refused"},
      {"10.96.1.10", "refused"},
      {"10.96.1.10:0", "refused"},
      {"user@server.demo:80", "refused"},
      {"server.demo:80/x", "refused"},
      {"", "refused"},
  };
  for (const auto& [authority, expected] : cases)
    EXPECT_EQ(served(*model, authority), expected) << authority;
}

TEST(Model, DestinationsSayWhatPoliciesSee) {
  const ModelPtr model = Model::build(parts()).value();
  EXPECT_EQ(model->resolve("server.demo:80")->address, address("10.96.1.10:80"));
  EXPECT_EQ(model->resolve("wide.demo:80")->address, address("0.0.0.0:80"));
  EXPECT_EQ(model->resolve("10.97.1.1:80")->address, address("10.97.1.1:80"));
  EXPECT_EQ(model->resolve("10.97.0.5:7")->service, nullptr);
  EXPECT_EQ(model->resolve("server.demo:80")->service->ref.name, "server");
}

TEST(Model, ConflictsAreErrors) {
  const auto error = [](const Model::Parts& input) {
    const auto model = Model::build(input);
    return model ? std::string() : model.error().message();
  };
  auto same_vip = parts();
  same_vip.services.push_back(service("other", {80}));
  same_vip.services.back().vips = {ip("10.96.1.10")};
  EXPECT_NE(error(same_vip).find("both claim 10.96.1.10:80"), std::string::npos);
  auto other_port = parts();
  other_port.services.push_back(service("other", {81}));
  other_port.services.back().vips = {ip("10.96.1.10")};
  EXPECT_EQ(error(other_port), "");
  auto same_host = parts();
  same_host.services.push_back(service("server", {80}));
  EXPECT_NE(error(same_host).find("claimed twice"), std::string::npos);
  auto clash = parts();
  clash.direct_addresses.push_back(ip("10.96.1.10"));
  EXPECT_NE(error(clash).find("10.96.1.10"), std::string::npos);
  auto no_chain = parts();
  no_chain.services[0].ports[80].tcp = nullptr;
  EXPECT_NE(error(no_chain).find("no chain"), std::string::npos);
}

TEST(Model, WorkloadsByAddress) {
  auto input = parts();
  auto old_pod = std::make_shared<Workload>();
  old_pod->name = "old";
  old_pod->addresses = {ip("10.244.1.10")};
  auto new_pod = std::make_shared<Workload>();
  new_pod->name = "new";
  new_pod->addresses = {ip("10.244.1.10"), ip("fd00::2")};
  input.workloads = {old_pod, new_pod};
  const ModelPtr model = Model::build(input).value();
  EXPECT_EQ(model->workload(ip("10.244.1.10"))->name, "new");
  EXPECT_EQ(model->workload(ip("fd00::2"))->name, "new");
  EXPECT_EQ(model->workload(ip("10.0.0.1")), nullptr);
}

TEST(Model, EveryFilterMustAllow) {
  Chain chain;
  EXPECT_TRUE(authorize(chain, {}).allowed);
  chain.filters.emplace_back(AuthzFilter{AuthzAction::kDeny, {{"deny", AuthzCondition::any({})}}});
  chain.filters.emplace_back(
      AuthzFilter{AuthzAction::kAllow, {{"allow", AuthzCondition::all({})}}});
  EXPECT_TRUE(authorize(chain, {}).allowed);
  chain.filters.insert(chain.filters.begin(),
                       AuthzFilter{AuthzAction::kDeny, {{"all", AuthzCondition::all({})}}});
  EXPECT_EQ(authorize(chain, {}).rule, "all");
}

}  // namespace
}  // namespace culvert::waypoint
