#pragma once

#include "common/config/yaml_reader.h"
#include "common/state/policy.h"

namespace culvert::config {

// Parts of the local form; private to common/config.
// "10.0.0.0/8"; a bare address is an error.
net::Cidr read_cidr(const YamlValue& value);
// One element of `policies`.
state::Policy read_policy(const YamlValue& value);

}  // namespace culvert::config
