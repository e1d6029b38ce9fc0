#pragma once

#include "common/base/log.h"
#include "common/net/scope.h"
#include "tests/support/loop.h"
#include "tests/support/scripted_upstreams.h"
#include "tests/unit/waypoint/support.h"
#include "waypoint/config/config_yaml.h"
#include "waypoint/request/proxy.h"
#include "waypoint/tunnel/tcp_proxy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace culvert::waypoint::test {

using culvert::test::Script;
using culvert::test::ScriptedClient;
using culvert::test::ScriptedUpstreams;
using culvert::test::StreamEnd;
using culvert::test::StreamEndPtr;
using Hold = Script::Hold;

inline constexpr const char* kClientId = "spiffe://cluster.local/ns/demo/sa/client";

// A worker with the model of a local file, scripted endpoints, and what it logs and counts.
// The mesh: service "server" 10.96.1.10 with ports 80 (http), 81 (http2), 82 (sniff), 5432 (tcp)
// on two pods 10.244.1.11 and 10.244.1.12, and whatever `sections` says.
class ProxyLab {
 public:
  explicit ProxyLab(const std::string& sections = "", const std::string& options = "",
                    const std::string& traffic_policy = "")
      : worker_(tls::Options{}, memory_),
        upstreams(worker_.reactor),
        families_(registry_),
        shard_(registry_.make_shard()),
        telemetry_(families_, shard_),
        proxy_(std::in_place, worker_, upstreams, telemetry_) {
    worker_.random = std::make_unique<Sequence>(std::vector<uint64_t>{0});
    load(config(sections, options, traffic_policy));
  }

  static std::string config(const std::string& sections, const std::string& options = "",
                            const std::string& traffic_policy = "") {
    std::string out =
        "waypoint: {namespace: demo}\n"
        "options:\n"
        "  accessLog: {format: json}\n" +
        options +
        "services:\n"
        "- name: server\n"
        "  addresses: [10.96.1.10]\n"
        "  ports:\n"
        "  - {port: 80, targetPort: 8080, protocol: http}\n"
        "  - {port: 81, targetPort: 8081, protocol: http2}\n"
        "  - {port: 82, targetPort: 8082}\n"
        "  - {port: 5432, protocol: tcp}\n"
        "  endpoints: [{workload: server-1}, {workload: server-2}]\n" +
        traffic_policy +
        "- name: canary\n"
        "  served: false\n"
        "  ports: [{port: 80, targetPort: 8080, protocol: http}]\n"
        "  endpoints: [{workload: canary}]\n"
        "- name: empty\n"
        "  served: false\n"
        "  ports: [{port: 80, protocol: http}]\n"
        "workloads:\n"
        "- {name: client, addresses: [10.244.1.10], serviceAccount: client}\n"
        "- {name: server-1, addresses: [10.244.1.11], serviceAccount: server, workloadName: server,"
        " canonicalRevision: v1}\n"
        "- {name: server-2, addresses: [10.244.1.12], serviceAccount: server, workloadName: "
        "server, direct: true}\n"
        "- {name: canary, addresses: [10.244.1.13], serviceAccount: canary}\n" +
        sections;
    return out;
  }

  // One rule for port 80 of "server".
  static std::string route(const std::string& rule) {
    return "httpRoutes:\n- name: r\n  parentRefs: [{kind: Service, name: server}]\n  rules:\n" +
           rule;
  }
  static std::string to_server(const std::string& more) {
    return route("  - backendRefs: [{name: server, port: 80}]\n" + more);
  }

  void load(const std::string& yaml) {
    auto loaded = parse_config(yaml);
    ASSERT_TRUE(loaded) << loaded.error().message() << "\n" << yaml;
    worker_.model = loaded->model;
  }
  void random(std::vector<uint64_t> values) {
    worker_.random = std::make_unique<Sequence>(std::move(values));
  }
  Worker& worker() { return worker_; }
  net::Reactor& reactor() { return worker_.reactor; }
  Proxy& proxy() { return *proxy_; }
  Telemetry& telemetry() { return telemetry_; }

  ClientTunnelPtr tunnel(std::string authority = "10.96.1.10:80") {
    ClientTunnel out;
    out.client = address("10.244.1.10:50000");
    out.principal = kClientId;
    out.identity = state::Identity{"cluster.local", "demo", "client"};
    out.authority = std::move(authority);
    out.model = worker_.model;
    out.destination = worker_.model->resolve(out.authority).value();
    return std::make_shared<const ClientTunnel>(std::move(out));
  }

  // A client whose request is being served; destroying it is the client going away.
  struct Running {
    Running(ProxyLab& lab, http::RequestHead head)
        : client(lab.reactor(), std::move(head)), scope(lab.reactor()), lab_(lab) {}
    void start(ClientTunnelPtr on = nullptr) {
      tunnel = on ? std::move(on) : lab_.tunnel();
      scope.spawn(lab_.proxy().serve(client, tunnel));
    }
    bool wait() {
      return culvert::test::run_until(lab_.reactor(), [&] { return scope.empty(); });
    }
    void go(ClientTunnelPtr on = nullptr) {
      start(std::move(on));
      wait();
    }
    void leave() { scope.cancel(); }
    [[nodiscard]] int status() const { return client.response ? client.response->status : -1; }
    [[nodiscard]] std::string header(std::string_view name) const {
      return client.response ? std::string(client.response->headers.get(name).value_or("(none)"))
                             : "(no response)";
    }
    ScriptedClient client;
    ClientTunnelPtr tunnel;
    net::Scope scope;

   private:
    ProxyLab& lab_;
  };
  std::unique_ptr<Running> make(
      std::string_view method = "GET", std::string_view path = "/",
      const std::vector<std::pair<std::string_view, std::string_view>>& headers = {},
      std::string_view host = "server.demo") {
    return std::make_unique<Running>(*this, request(method, host, path, headers));
  }
  std::unique_ptr<Running> get(
      std::string_view path = "/",
      const std::vector<std::pair<std::string_view, std::string_view>>& headers = {},
      std::string_view host = "server.demo") {
    auto out = make("GET", path, headers, host);
    out->go();
    return out;
  }
  // Turns that do not wait, enough for whatever can go on without time passing.
  void settle() {
    for (int i = 0; i < 20; ++i) reactor().turn(Duration::zero());
  }

  // All lines of the access log so far.
  [[nodiscard]] std::vector<nlohmann::json> log() const {
    std::vector<nlohmann::json> out;
    for (const std::string& line : capture_.lines()) {
      auto parsed = nlohmann::json::parse(line, nullptr, false);
      if (parsed.is_object() && parsed.contains("response_flags")) out.push_back(parsed);
    }
    return out;
  }
  [[nodiscard]] nlohmann::json last() const {
    const auto lines = log();
    if (lines.empty()) {
      ADD_FAILURE() << "nothing was logged";
      return {};
    }
    return lines.back();
  }
  // "503 UH no_healthy_upstream" of the last line.
  [[nodiscard]] std::string verdict() const {
    const auto line = last();
    if (!line.is_object()) return "";
    const auto text = [](const nlohmann::json& v) {
      return v.is_string() ? v.get<std::string>() : v.dump();
    };
    return text(line["response_code"]) + " " + text(line["response_flags"]) + " " +
           text(line["response_code_details"]);
  }

  struct Series {
    std::map<std::string, std::string> labels;
    uint64_t count = 0;
    double sum = 0;
  };
  [[nodiscard]] std::vector<Series> metric(std::string name) const {
    if (name.ends_with("_total")) name.resize(name.size() - 6);
    std::vector<Series> out;
    for (const auto& family : registry_.collect()) {
      if (family.spec->name != name) continue;
      for (const auto& sample : family.samples) {
        Series one;
        one.labels = parse_labels(sample.labels.text());
        one.count = sample.count;
        for (const uint64_t n : sample.buckets) one.count += n;
        one.sum = sample.sum;
        out.push_back(std::move(one));
      }
    }
    return out;
  }

 private:
  // a="1",b="2"; no value in these tests holds a quote.
  static std::map<std::string, std::string> parse_labels(std::string_view text) {
    std::map<std::string, std::string> out;
    while (!text.empty()) {
      const size_t equals = text.find("=\"");
      const size_t quote = text.find('"', equals + 2);
      out.emplace(text.substr(0, equals), text.substr(equals + 2, quote - equals - 2));
      text.remove_prefix(std::min(text.size(), quote + 2));
    }
    return out;
  }
  log::Capture capture_;
  MemoryAccount memory_{"the process", uint64_t{1} << 30};
  Worker worker_;

 public:
  ScriptedUpstreams upstreams;

 private:
  metrics::Registry registry_;
  MetricFamilies families_;
  metrics::Shard& shard_;
  Telemetry telemetry_;
  std::optional<Proxy> proxy_;
};

}  // namespace culvert::waypoint::test
