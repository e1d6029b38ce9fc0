#include "common/ca/certificates_json.h"

#include <fmt/chrono.h>

#include <string>

#include <nlohmann/json.hpp>

namespace culvert::ca {
namespace {

std::string base64(const std::string& text) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < text.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (i + j < text.size() ? static_cast<uint8_t>(text[i + j]) : 0U);
    const size_t digits = std::min<size_t>(text.size() - i, 3) + 1;
    for (size_t j = 0; j < 4; ++j) out += j < digits ? kAlphabet[bits >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

std::string rfc3339(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(WallClock::to_time_t(time)));
}

nlohmann::json list(const std::vector<tls::CertificateInfo>& certificates) {
  auto json = nlohmann::json::array();
  for (const auto& certificate : certificates)
    json.push_back({{"pem", base64(certificate.pem)},
                    {"serialNumber", certificate.serial_number},
                    {"validFrom", rfc3339(certificate.valid_from)},
                    {"expirationTime", rfc3339(certificate.expiration)}});
  return json;
}

}  // namespace

nlohmann::json certificates_json(const std::vector<CertManager::Entry>& entries) {
  auto json = nlohmann::json::array();
  for (const auto& entry : entries) {
    const bool available = entry.credential != nullptr;
    json.push_back(
        {{"identity", entry.identity.to_string()},
         {"state", entry.state},
         {"certChain", available ? list(entry.credential->chain()) : nlohmann::json::array()},
         {"rootCerts", available ? list(entry.credential->roots()) : nlohmann::json::array()}});
  }
  return json;
}

}  // namespace culvert::ca
