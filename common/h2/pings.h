#pragma once

#include <array>
#include <cstdint>

// What our PINGs carry: their answers are told apart by it.
namespace culvert::h2::pings {

inline constexpr std::array<uint8_t, 8> kKeepalive{};
inline constexpr std::array<uint8_t, 8> kShutdown{'s', 'h', 'u', 't', 'd', 'o', 'w', 'n'};
inline constexpr std::array<uint8_t, 8> kMeasure{'m', 'e', 'a', 's', 'u', 'r', 'e', 0};

}  // namespace culvert::h2::pings
