#pragma once

#include "waypoint/config/reader.h"
#include "waypoint/model/model.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// The local YAML file as read: checked piece by piece, references between the pieces still names.
// One reader per section fills it; compile() turns it into a Model.
namespace culvert::waypoint::config {

struct Port {
  Where where;
  uint16_t port = 0;
  uint16_t target = 0;
  AppProtocol protocol = AppProtocol::kSniff;
};

// Either a workload by name or an address.
struct ServiceEndpoint {
  Where where;
  std::string workload;
  std::optional<net::IpAddress> address;
  Tunnel tunnel = Tunnel::kPlain;  // for an address
  std::optional<state::Identity> identity;
  std::map<uint16_t, uint16_t>
      ports;  // service port -> target port, where it differs from the service's
  EndpointState state;
};

struct ServiceSpec {
  Where where;
  ServiceRef ref;
  std::vector<std::string> hostnames;
  std::vector<net::IpAddress> vips;
  std::vector<net::Cidr> ranges;
  std::vector<Port> ports;
  std::vector<ServiceEndpoint> endpoints;
  UpstreamLimits limits;
  bool served = true;  // false: only a backend of routes
  bool publish_not_ready = false;
};

struct WorkloadSpec {
  Where where;
  Workload workload;
  bool direct = false;
};

struct BackendRef {
  Where where;
  std::string name, namespace_;
  uint16_t port = 0;
  uint32_t weight = 1;
  HeaderOps request_headers, response_headers;
};

struct ParentRef {
  Where where;
  std::string name, namespace_;
  std::optional<uint16_t> port;
};

struct MirrorRef {
  BackendRef backend;
  uint32_t per_million = 1'000'000;
};

struct HttpRule {
  std::vector<RouteMatch> matches;  // hosts are added from the route
  RouteRule rule;                   // a Forward without its targets and mirrors
  std::vector<BackendRef> backends;
  std::vector<MirrorRef> mirrors;
};

struct HttpRoute {
  Where where;
  std::string name, namespace_;
  std::vector<ParentRef> parents;
  std::vector<HostMatch> hosts;  // never empty
  std::vector<HttpRule> rules;
};

struct TcpRoute {
  Where where;
  std::string name, namespace_;
  std::vector<ParentRef> parents;
  std::vector<BackendRef> backends;
};

// The values of one attribute: any of them, or with `negate` none.
struct Constraint {
  std::vector<AuthzLeaf> any_of;
  bool negate = false;
};
struct PolicyRule {
  std::vector<std::vector<Constraint>> from, to;  // any of them; each all of its constraints
  std::vector<Constraint> when;                   // all
};
struct TargetRef {
  Where where;
  bool gateway = false;  // else a service
  std::string name;
};
struct Policy {
  Where where;
  std::string name, namespace_;
  AuthzAction action = AuthzAction::kAllow;
  std::vector<TargetRef> targets;
  std::vector<PolicyRule> rules;
};

struct Document {
  Self self;
  Options options;
  std::vector<ServiceSpec> services;
  std::vector<WorkloadSpec> workloads;
  std::vector<HttpRoute> http_routes;
  std::vector<TcpRoute> tcp_routes;
  std::vector<Policy> policies;
};

// ---- readers, one per section; each takes one element of its list
Self read_self(const Item& item, const Self& defaults);
Options read_options(const Item& item);
ServiceSpec read_service(const Item& item, const Self& self);
WorkloadSpec read_workload(const Item& item, const Self& self);
HttpRoute read_http_route(const Item& item, const Self& self, const Options& options);
TcpRoute read_tcp_route(const Item& item, const Self& self);
Policy read_policy(const Item& item, const Self& self);

// ---- shared by readers
// `name` (required) and `namespace` (the waypoint's own unless given): Kubernetes names.
std::pair<std::string, std::string> read_name(const Fields& fields, const Self& self);
std::optional<net::IpAddress> read_ip(const Item& item);
std::optional<net::Cidr> read_cidr(const Item& item);        // a bare address is a range of one
std::optional<std::string> read_hostname(const Item& item);  // lower case
std::optional<std::string> to_hostname(std::string text, const Item& item);
BackendRef read_backend(const Item& item, const std::string& ns, bool weighted);
std::vector<ParentRef> read_parents(const Item& item, const std::string& ns);
// The filters of a rule; sets parts of `rule`. `prefixes`: whether all matches of the rule are by
// prefix.
void read_filters(const Item& item, HttpRule& rule, const std::string& ns, bool prefixes);

// ---- compiling
// Policies of one chain: a DENY filter if any policy denies, then an ALLOW filter if any allows.
std::vector<Filter> compile_policies(const std::vector<const Policy*>& policies, bool http);
// Resolves references; complains into `errors` and returns nullptr if it has any. `warnings`
// receives what is legal and probably not meant.
ModelPtr compile(const Document& document, Errors& errors, std::vector<std::string>& warnings);

}  // namespace culvert::waypoint::config
