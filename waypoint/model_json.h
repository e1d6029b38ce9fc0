#pragma once

#include "waypoint/model/model.h"

#include <nlohmann/json_fwd.hpp>

namespace culvert::waypoint {

// A model as /config_dump shows it: who we are, and for each service port its chains with their
// policies, routes and targets. A summary for people, not a form to load again.
nlohmann::json model_json(const Model& model);

}  // namespace culvert::waypoint
