#pragma once

#include <cstdint>

namespace culvert::h2 {

enum class Role : uint8_t { kClient, kServer };

}  // namespace culvert::h2
