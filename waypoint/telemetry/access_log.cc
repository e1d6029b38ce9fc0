#include "waypoint/telemetry/access_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace culvert::waypoint {
namespace {

// 2026-11-23T10:00:00.123Z
std::string iso_time(WallTime time) {
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const auto in_utc = fmt::gmtime(static_cast<std::time_t>(seconds.count()));
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", in_utc, (since_epoch - seconds).count());
}

std::string escaped(const std::string& value) {
  if (value.empty()) return "-";
  std::string out;
  out.reserve(value.size());
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string text_line(const AccessEntry& e) {
  return fmt::format(
      "[{}] \"{} {} {}\" {} {} {} {} \"{}\" {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} "
      "{} {} {} {}",
      iso_time(e.start_time), escaped(e.method), escaped(e.path), escaped(e.protocol),
      e.response_code, escaped(e.response_flags), escaped(e.response_code_details),
      escaped(e.connection_termination_details), escaped(e.upstream_transport_failure_reason),
      e.bytes_received, e.bytes_sent, e.duration.count(), escaped(e.upstream_service_time),
      escaped(e.x_forwarded_for), escaped(e.user_agent), escaped(e.request_id),
      escaped(e.authority), escaped(e.upstream_host), escaped(e.upstream_cluster),
      escaped(e.upstream_local_address), escaped(e.downstream_local_address),
      escaped(e.downstream_remote_address), escaped(e.requested_server_name),
      escaped(e.route_name));
}

std::string json_line(const AccessEntry& e) {
  nlohmann::ordered_json line;
  const auto put = [&line](const char* key, const std::string& value) {
    line[key] = value.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(value);
  };
  line["start_time"] = iso_time(e.start_time);
  put("method", e.method);
  put("path", e.path);
  put("protocol", e.protocol);
  line["response_code"] = e.response_code;
  line["response_flags"] = e.response_flags.empty() ? "-" : e.response_flags;
  put("response_code_details", e.response_code_details);
  put("connection_termination_details", e.connection_termination_details);
  put("upstream_transport_failure_reason", e.upstream_transport_failure_reason);
  line["bytes_received"] = e.bytes_received;
  line["bytes_sent"] = e.bytes_sent;
  line["duration"] = e.duration.count();
  put("upstream_service_time", e.upstream_service_time);
  put("x_forwarded_for", e.x_forwarded_for);
  put("user_agent", e.user_agent);
  put("request_id", e.request_id);
  put("authority", e.authority);
  put("upstream_host", e.upstream_host);
  put("upstream_cluster", e.upstream_cluster);
  put("upstream_local_address", e.upstream_local_address);
  put("downstream_local_address", e.downstream_local_address);
  put("downstream_remote_address", e.downstream_remote_address);
  put("requested_server_name", e.requested_server_name);
  put("route_name", e.route_name);
  // Bytes that are not UTF-8 become U+FFFD rather than an exception.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::string format_access_log(const AccessEntry& entry, AccessLogOptions::Format format) {
  return format == AccessLogOptions::Format::kJson ? json_line(entry) : text_line(entry);
}

bool is_logged(const AccessEntry& entry, const AccessLogOptions& options) {
  if (!options.enabled) return false;
  if (!options.errors_only) return true;
  // TCP sessions have no code; a flag or a reason says that they ended badly.
  return entry.response_code >= 400 || !entry.response_flags.empty() ||
         !entry.connection_termination_details.empty();
}

}  // namespace culvert::waypoint
