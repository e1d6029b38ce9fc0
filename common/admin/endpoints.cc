#include "common/admin/endpoints.h"

#include "common/metrics/openmetrics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace culvert::admin {

void add_stats_endpoints(Site& site, const metrics::Registry& registry) {
  const auto scrape = [&registry](const Request& request) {
    const auto type = metrics::exposition_content_type(request.header("accept"));
    return Response{200, std::string(type), metrics::render_openmetrics(registry), true};
  };
  site.on("/metrics", scrape);
  site.on("/stats/prometheus", scrape);
}

void add_readiness_endpoints(Site& site, const Readiness& readiness, unsigned not_ready) {
  site.on(
      "/healthz/ready",
      [&readiness, not_ready](const Request&) {
        const auto pending = readiness.pending();
        if (pending.empty()) return Response::text("ready\n");
        return Response::text(fmt::format("not ready, pending: {}\n", fmt::join(pending, ", ")),
                              not_ready);
      },
      "GET");
}

}  // namespace culvert::admin
