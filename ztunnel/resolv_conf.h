#pragma once

#include "ztunnel/config.h"

#include <string_view>

namespace culvert::ztunnel {

// The name servers and the search list of a resolv.conf(5); what else it holds is passed over.
Config::Resolver parse_resolv_conf(std::string_view text);

}  // namespace culvert::ztunnel
