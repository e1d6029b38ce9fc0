#include "common/authz/evaluate.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <vector>

// A connection against range(0) ALLOW policies of which only the last names its client.
namespace culvert::authz {
namespace {

state::PolicyPtr allow(int64_t number) {
  state::PolicyMatch clients;
  clients.principals = {{state::StringMatch::Kind::kExact,
                         fmt::format("cluster.local/ns/ns-{}/sa/app-{}", number, number)}};
  state::PolicyMatch ports;
  ports.destination_ports = {80, 8080, 9090};
  state::Policy policy;
  policy.name = fmt::format("allow-{}", number);
  policy.namespace_ = "demo";
  policy.scope = state::Policy::Scope::kNamespace;
  policy.rules = {{{clients}, {ports}}};
  return std::make_shared<const state::Policy>(std::move(policy));
}

void rbac(benchmark::State& run) {
  std::vector<state::PolicyPtr> policies;
  policies.reserve(static_cast<size_t>(run.range(0)));
  for (int64_t i = 0; i < run.range(0); ++i) policies.push_back(allow(i));
  const auto last = fmt::format("{}", run.range(0) - 1);
  const Connection connection{
      .source_identity = state::Identity{"cluster.local", "ns-" + last, "app-" + last},
      .source = net::SocketAddress::parse("10.1.2.3:45678").value(),
      .destination = net::SocketAddress::parse("10.1.2.4:8080").value()};
  for (auto unused : run) {
    const Decision decision = evaluate(policies, connection, nullptr);
    if (!decision.allowed()) run.SkipWithError("not allowed");
  }
}
BENCHMARK(rbac)->Arg(1)->Arg(10)->Arg(100)->Arg(1'000);

}  // namespace
}  // namespace culvert::authz
