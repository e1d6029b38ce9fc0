#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::state {

// Service port -> target port. Target 0: named, each endpoint says its own.
using PortMap = std::map<uint16_t, uint16_t>;

// A PortMap as bytes in a TextPack: four for each entry, ascending. Valid as long as those.
class PortMapView {
 public:
  PortMapView() = default;
  explicit PortMapView(std::string_view bytes) : bytes_(bytes) {}
  static std::string pack(const PortMap& ports);

  // The target as it is written, 0 included; nullopt: no such port.
  [[nodiscard]] std::optional<uint16_t> find(uint16_t service_port) const;
  [[nodiscard]] bool leads_to(uint16_t target) const;
  [[nodiscard]] PortMap unpack() const;

 private:
  std::string_view bytes_;
};

}  // namespace culvert::state
