#pragma once

#include "common/metrics/registry.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::metrics {

// The OpenMetrics text that Istio's ztunnel serves: HELP (with a final dot), TYPE, UNIT, samples,
// "# EOF". Counters carry "_total" on samples and not on HELP and TYPE; families without series are
// left out.
std::string render_openmetrics(const Registry& registry);

// The Content-Type of that text. OpenMetrics if any element of any Accept header names its media
// type (case-insensitive, parameters and surrounding blanks ignored), else plain text. The body is
// the same.
std::string_view exposition_content_type(const std::vector<std::string_view>& accept_headers);

}  // namespace culvert::metrics
