#include "waypoint/config/document.h"
#include "waypoint/model/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace culvert::waypoint::config {
namespace {

constexpr size_t kMaxRoutes = 10'000;  // of one chain, after its rules are multiplied out

using Key = std::pair<std::string, std::string>;  // namespace, name

class Compiler {
 public:
  Compiler(const Document& document, Errors& errors, std::vector<std::string>& warnings)
      : document_(document), errors_(errors), warnings_(warnings) {}

  ModelPtr run();

 private:
  void index();
  void check_parents(const std::vector<ParentRef>& parents, bool http);
  void check_targets(const Policy& policy);
  void add_upstreams(const ServiceSpec& service);
  std::vector<Endpoint> endpoints_of(const ServiceSpec& service, const Port& port);
  std::optional<Endpoint> workload_endpoint(const ServiceEndpoint& spec, const ServiceSpec& service,
                                            uint16_t port);
  UpstreamPtr upstream(const BackendRef& backend, const std::string& route);
  std::vector<WeightedTarget> targets(const std::vector<BackendRef>& backends,
                                      const std::string& route, uint64_t& total);
  void compile_http_routes();
  std::shared_ptr<const RouteRule> compile_http_rule(const HttpRule& rule, const HttpRoute& route);
  Service compile_service(const ServiceSpec& spec);
  ChainPtr http_chain(const ServiceSpec& spec, const Port& port);
  ChainPtr tcp_chain(const ServiceSpec& spec, const Port& port);
  ChainPtr direct_chain(bool http);
  std::vector<Filter> policies_for(const ServiceSpec* service, bool http) const;

  const Document& document_;
  Errors& errors_;
  std::vector<std::string>& warnings_;
  std::map<Key, const ServiceSpec*> services_;
  std::map<Key, WorkloadPtr> workloads_;
  std::map<std::pair<Key, uint16_t>, UpstreamPtr> upstreams_;
  // Rules are compiled once and shared by all chains that use them.
  std::map<const HttpRule*, std::shared_ptr<const RouteRule>> rules_;
};

bool names(const ParentRef& parent, const ServiceSpec& service, uint16_t port) {
  return parent.name == service.ref.name && parent.namespace_ == service.ref.namespace_ &&
         (!parent.port || *parent.port == port);
}

template <class Route>
bool attaches(const Route& route, const ServiceSpec& service, uint16_t port) {
  return std::any_of(route.parents.begin(), route.parents.end(),
                     [&](const ParentRef& parent) { return names(parent, service, port); });
}

std::string chain_name(const ServiceSpec& service, uint16_t port, bool http) {
  return fmt::format("inbound-vip|{}|{}|{}", port, http ? "http" : "tcp", service.ref.hostname);
}

std::shared_ptr<const RouteRule> forward_rule(std::string name, const UpstreamPtr& upstream,
                                              const Limits& limits) {
  Forward forward;
  forward.timeout = limits.request_timeout;
  forward.idle_timeout = limits.stream_idle_timeout;
  forward.targets.push_back({upstream->name, upstream, 1, {}, {}});
  auto rule = std::make_shared<RouteRule>();
  rule->name = std::move(name);
  rule->action = std::move(forward);
  return rule;
}

void Compiler::index() {
  for (const ServiceSpec& service : document_.services) {
    if (!services_.emplace(Key{service.ref.namespace_, service.ref.name}, &service).second) {
      errors_.add(service.where, fmt::format("service {}/{} appears twice", service.ref.namespace_,
                                             service.ref.name));
    }
    std::set<uint16_t> ports;
    for (const Port& port : service.ports) {
      if (!ports.insert(port.port).second) errors_.add(port.where, "port appears twice");
    }
    if (service.served && service.vips.empty() && service.ranges.empty() &&
        service.endpoints.empty()) {
      warnings_.push_back(fmt::format("service {}/{} has neither addresses nor endpoints",
                                      service.ref.namespace_, service.ref.name));
    }
  }
  for (const WorkloadSpec& spec : document_.workloads) {
    auto workload = std::make_shared<const Workload>(spec.workload);
    const Key key{workload->namespace_, workload->name};
    if (!workloads_.emplace(key, std::move(workload)).second) {
      errors_.add(spec.where, fmt::format("workload {}/{} appears twice", key.first, key.second));
    }
  }
}

void Compiler::check_parents(const std::vector<ParentRef>& parents, bool http) {
  for (const ParentRef& parent : parents) {
    const auto at = services_.find({parent.namespace_, parent.name});
    if (at == services_.end()) {
      errors_.add(parent.where, fmt::format("there is no service {}/{} in this file",
                                            parent.namespace_, parent.name));
      continue;
    }
    const auto fits = [&](const Port& port) {
      return names(parent, *at->second, port.port) &&
             (http ? has_http_chain(port.protocol) : has_tcp_chain(port.protocol));
    };
    if (!std::any_of(at->second->ports.begin(), at->second->ports.end(), fits)) {
      errors_.add(parent.where, fmt::format("service {}/{} has no such port that carries {}",
                                            parent.namespace_, parent.name, http ? "HTTP" : "TCP"));
    }
  }
}

// A policy that protects nothing is a mistake that nobody would notice.
void Compiler::check_targets(const Policy& policy) {
  for (const TargetRef& target : policy.targets) {
    if (target.gateway) {
      if (target.name != document_.self.name || policy.namespace_ != document_.self.namespace_) {
        errors_.add(target.where,
                    fmt::format("this waypoint is {}/{}, not {}/{}", document_.self.namespace_,
                                document_.self.name, policy.namespace_, target.name));
      }
      continue;
    }
    const auto at = services_.find({policy.namespace_, target.name});
    if (at == services_.end() || !at->second->served) {
      errors_.add(target.where, fmt::format("there is no served service {}/{} in this file",
                                            policy.namespace_, target.name));
    }
  }
}

std::optional<Endpoint> Compiler::workload_endpoint(const ServiceEndpoint& spec,
                                                    const ServiceSpec& service, uint16_t port) {
  const auto at = workloads_.find({service.ref.namespace_, spec.workload});
  if (at == workloads_.end()) {
    errors_.add(spec.where, fmt::format("there is no workload {}/{} in this file",
                                        service.ref.namespace_, spec.workload));
    return std::nullopt;
  }
  const Workload& workload = *at->second;
  Endpoint out;
  out.tunnel = workload.tunnel;
  out.address = {workload.addresses.front(), port};
  out.identity = workload.identity();
  out.workload = at->second;
  out.locality = workload.locality;
  return out;
}

std::vector<Endpoint> Compiler::endpoints_of(const ServiceSpec& service, const Port& port) {
  std::vector<Endpoint> out;
  for (const ServiceEndpoint& spec : service.endpoints) {
    const auto mapped = spec.ports.find(port.port);
    const uint16_t number = mapped == spec.ports.end() ? port.target : mapped->second;
    Endpoint endpoint;
    if (spec.address) {
      endpoint.tunnel = spec.tunnel;
      endpoint.address = {*spec.address, number};
      endpoint.identity = spec.identity;
    } else if (auto found = workload_endpoint(spec, service, number)) {
      endpoint = std::move(*found);
    } else {
      continue;
    }
    endpoint.node = {endpoint.address.ip, kHbonePort};
    endpoint.state = spec.state;
    if (service.publish_not_ready && endpoint.state.health == Health::kUnhealthy) {
      endpoint.state.health = Health::kHealthy;
    }
    out.push_back(std::move(endpoint));
  }
  return out;
}

void Compiler::add_upstreams(const ServiceSpec& service) {
  for (const Port& port : service.ports) {
    auto upstream = std::make_shared<Upstream>();
    upstream->name = service.served
                         ? chain_name(service, port.port, has_http_chain(port.protocol))
                         : fmt::format("outbound|{}||{}", port.port, service.ref.hostname);
    upstream->service = service.ref;
    upstream->port = port.port;
    upstream->protocol = port.protocol;
    upstream->limits = service.limits;
    upstream->set_endpoints(endpoints_of(service, port));
    upstreams_[{{service.ref.namespace_, service.ref.name}, port.port}] = std::move(upstream);
  }
}

UpstreamPtr Compiler::upstream(const BackendRef& backend, const std::string& route) {
  const auto at = upstreams_.find({{backend.namespace_, backend.name}, backend.port});
  if (at != upstreams_.end()) return at->second;
  warnings_.push_back(
      fmt::format("{} (line {}): route {} names the backend {}/{} port {}, which is not in this "
                  "file; what it would "
                  "get is answered with 500",
                  backend.where.path, backend.where.line, route, backend.namespace_, backend.name,
                  backend.port));
  return nullptr;
}

std::vector<WeightedTarget> Compiler::targets(const std::vector<BackendRef>& backends,
                                              const std::string& route, uint64_t& total) {
  std::vector<WeightedTarget> out;
  total = 0;
  for (const BackendRef& backend : backends) {
    if (backend.weight == 0) continue;
    total += backend.weight;
    UpstreamPtr found = upstream(backend, route);
    std::string name = found ? found->name
                             : fmt::format("outbound|{}||{}.{}.svc.{}", backend.port, backend.name,
                                           backend.namespace_, document_.self.cluster_domain);
    out.push_back({std::move(name), std::move(found), backend.weight, backend.request_headers,
                   backend.response_headers});
  }
  return out;
}

std::shared_ptr<const RouteRule> Compiler::compile_http_rule(const HttpRule& rule,
                                                             const HttpRoute& route) {
  auto out = std::make_shared<RouteRule>(rule.rule);
  auto* forward = std::get_if<Forward>(&out->action);
  if (forward == nullptr) return out;
  const std::string name = route.namespace_ + "/" + route.name;
  forward->targets = targets(rule.backends, name, forward->total_weight);
  for (const MirrorRef& mirror : rule.mirrors) {
    forward->mirrors.push_back({upstream(mirror.backend, name), mirror.per_million});
  }
  // Gateway API: weights that sum to zero leave nobody to ask.
  if (forward->targets.empty()) out->action = DirectResponse{500, "", ""};
  return out;
}

void Compiler::compile_http_routes() {
  for (const HttpRoute& route : document_.http_routes) {
    for (const HttpRule& rule : route.rules) rules_[&rule] = compile_http_rule(rule, route);
  }
}

std::vector<Filter> Compiler::policies_for(const ServiceSpec* service, bool http) const {
  std::vector<const Policy*> applicable;
  for (const Policy& policy : document_.policies) {
    const auto applies = [&](const TargetRef& target) {
      if (target.gateway) return true;
      return service != nullptr && target.name == service->ref.name &&
             policy.namespace_ == service->ref.namespace_;
    };
    if (std::any_of(policy.targets.begin(), policy.targets.end(), applies)) {
      applicable.push_back(&policy);
    }
  }
  return compile_policies(applicable, http);
}

ChainPtr Compiler::http_chain(const ServiceSpec& spec, const Port& port) {
  auto chain = std::make_shared<Chain>();
  chain->name = chain_name(spec, port.port, true);
  chain->http = true;
  chain->service = spec.ref;
  chain->filters = policies_for(&spec, true);
  bool attached = false;
  for (const HttpRoute& route : document_.http_routes) {
    if (!attaches(route, spec, port.port)) continue;
    attached = true;
    for (const HttpRule& rule : route.rules) {
      for (RouteMatch match : rule.matches) {
        for (const HostMatch& host : route.hosts) {
          match.host = host;
          chain->routes.push_back({match, rules_.at(&rule)});
        }
      }
    }
  }
  if (chain->routes.size() > kMaxRoutes) {
    errors_.add(spec.where, fmt::format("port {} has {} routes; at most {} are accepted", port.port,
                                        chain->routes.size(), kMaxRoutes));
  }
  sort_by_precedence(chain->routes);
  if (!attached) {
    const UpstreamPtr& own = upstreams_.at({{spec.ref.namespace_, spec.ref.name}, port.port});
    chain->routes.push_back({{}, forward_rule("default", own, document_.options.limits)});
  }
  return chain;
}

ChainPtr Compiler::tcp_chain(const ServiceSpec& spec, const Port& port) {
  auto chain = std::make_shared<Chain>();
  chain->name = chain_name(spec, port.port, false);
  chain->service = spec.ref;
  chain->filters = policies_for(&spec, false);
  for (const TcpRoute& route : document_.tcp_routes) {
    if (!attaches(route, spec, port.port)) continue;
    // The first route in the file decides; Gateway API gives no way to merge two.
    chain->tcp_targets =
        targets(route.backends, route.namespace_ + "/" + route.name, chain->tcp_total_weight);
    return chain;
  }
  const UpstreamPtr& own = upstreams_.at({{spec.ref.namespace_, spec.ref.name}, port.port});
  chain->tcp_targets.push_back({own->name, own, 1, {}, {}});
  chain->tcp_total_weight = 1;
  return chain;
}

ChainPtr Compiler::direct_chain(bool http) {
  auto upstream = std::make_shared<Upstream>();
  upstream->name = "encap";
  upstream->kind = Upstream::Kind::kOriginalDestination;
  auto chain = std::make_shared<Chain>();
  chain->name = http ? "direct-http" : "direct-tcp";
  chain->http = http;
  chain->filters = policies_for(nullptr, http);
  if (http) {
    chain->routes.push_back({{}, forward_rule("default", upstream, document_.options.limits)});
  } else {
    chain->tcp_targets.push_back({upstream->name, upstream, 1, {}, {}});
    chain->tcp_total_weight = 1;
  }
  return chain;
}

Service Compiler::compile_service(const ServiceSpec& spec) {
  Service out{spec.ref, spec.hostnames, spec.vips, spec.ranges, {}};
  for (const Port& port : spec.ports) {
    ServicePort compiled{port.port, port.protocol, nullptr, nullptr};
    if (has_http_chain(port.protocol)) compiled.http = http_chain(spec, port);
    if (has_tcp_chain(port.protocol)) compiled.tcp = tcp_chain(spec, port);
    out.ports.emplace(port.port, std::move(compiled));
  }
  return out;
}

ModelPtr Compiler::run() {
  index();
  std::set<Key> policies;
  for (const Policy& policy : document_.policies) {
    check_targets(policy);
    if (!policies.insert({policy.namespace_, policy.name}).second) {
      errors_.add(policy.where, "a policy of this name appears twice");
    }
  }
  for (const HttpRoute& route : document_.http_routes) check_parents(route.parents, true);
  for (const TcpRoute& route : document_.tcp_routes) check_parents(route.parents, false);
  for (const ServiceSpec& service : document_.services) add_upstreams(service);
  if (!errors_.empty()) return nullptr;

  compile_http_routes();
  Model::Parts parts;
  parts.self = document_.self;
  parts.options = document_.options;
  for (const ServiceSpec& service : document_.services) {
    if (service.served) parts.services.push_back(compile_service(service));
  }
  for (const WorkloadSpec& spec : document_.workloads) {
    parts.workloads.push_back(workloads_.at({spec.workload.namespace_, spec.workload.name}));
    if (!spec.direct) continue;
    const auto& addresses = spec.workload.addresses;
    parts.direct_addresses.insert(parts.direct_addresses.end(), addresses.begin(), addresses.end());
  }
  parts.direct_http = direct_chain(true);
  parts.direct_tcp = direct_chain(false);
  if (!errors_.empty()) return nullptr;
  auto model = Model::build(std::move(parts));
  if (!model) {
    errors_.add({}, model.error().message());
    return nullptr;
  }
  return *model;
}

}  // namespace

ModelPtr compile(const Document& document, Errors& errors, std::vector<std::string>& warnings) {
  return Compiler(document, errors, warnings).run();
}

}  // namespace culvert::waypoint::config
