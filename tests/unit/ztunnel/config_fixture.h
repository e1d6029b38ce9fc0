#pragma once

#include "ztunnel/config.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::ztunnel {

// The configuration of an environment, with the machine of `around`; fails the test on an error.
inline Config config_of(const config::Env& env, const Surroundings& around = {}) {
  auto config = Config::from_env(env, around);
  EXPECT_TRUE(config) << config.error().message();
  return config ? *config : Config();
}

// The error text of an environment that must be refused; empty if it was not.
inline std::string error_of(const config::Env& env, const Surroundings& around = {}) {
  const auto config = Config::from_env(env, around);
  return config ? std::string() : config.error().message();
}

}  // namespace culvert::ztunnel
