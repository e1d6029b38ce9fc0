#include "common/state/port_map.h"

namespace culvert::state {
namespace {

constexpr size_t kEntry = 4;

uint16_t number_at(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

}  // namespace

std::string PortMapView::pack(const PortMap& ports) {
  std::string bytes;
  bytes.reserve(kEntry * ports.size());
  for (const auto& [port, target] : ports) {
    for (const uint16_t number : {port, target}) {
      bytes += static_cast<char>(number >> 8);
      bytes += static_cast<char>(number & 0xff);
    }
  }
  return bytes;
}

std::optional<uint16_t> PortMapView::find(uint16_t service_port) const {
  for (size_t at = 0; at < bytes_.size(); at += kEntry) {
    if (number_at(bytes_, at) == service_port) return number_at(bytes_, at + 2);
  }
  return std::nullopt;
}

bool PortMapView::leads_to(uint16_t target) const {
  for (size_t at = 0; at < bytes_.size(); at += kEntry) {
    if (number_at(bytes_, at + 2) == target) return true;
  }
  return false;
}

PortMap PortMapView::unpack() const {
  PortMap ports;
  for (size_t at = 0; at < bytes_.size(); at += kEntry) {
    ports.emplace(number_at(bytes_, at), number_at(bytes_, at + 2));
  }
  return ports;
}

}  // namespace culvert::state
