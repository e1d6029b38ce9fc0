#pragma once

#include "common/http/message.h"
#include "common/state/balance.h"
#include "waypoint/model/model_route.h"

#include <optional>
#include <span>
#include <string_view>

// From a request to what is done with it. Pure; any thread.
namespace culvert::waypoint {

// The first route that matches, in the order given; nullptr: none, answered with 404. The request's
// path has been normalised.
[[nodiscard]] const Route* match_route(std::span<const Route> routes,
                                       const http::RequestHead& request);

// The parts, for tests and for matches outside of routes.
[[nodiscard]] bool matches(const HostMatch& match, std::string_view authority);
[[nodiscard]] bool matches(const PathMatch& match, std::string_view path);  // without query
[[nodiscard]] bool matches(const HeaderMatch& match, const http::RequestHead& request);

// One of the targets, by weight. nullptr only for an empty list.
[[nodiscard]] const WeightedTarget* choose_target(std::span<const WeightedTarget> targets,
                                                  uint64_t total_weight, state::Random& random);
// Whether this request is among those that are mirrored.
[[nodiscard]] bool is_mirrored(const Mirror& mirror, state::Random& random);

// Puts routes into the order of precedence of Gateway API, keeping the given order among equals:
// host (exact, longer wildcard, shorter, none), path (exact, prefix, regular expression), longer
// path, with method, more headers, more query parameters. Routes from istiod come sorted and are
// not to be sorted again.
void sort_by_precedence(std::vector<Route>& routes);

}  // namespace culvert::waypoint
