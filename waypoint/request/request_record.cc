#include "waypoint/request/request_record.h"

#include "common/base/log.h"

namespace culvert::waypoint {

RequestRecord::RequestRecord(Worker& worker, Telemetry& telemetry, ServerExchange& exchange,
                             const ClientTunnel& tunnel)
    : worker_(worker),
      telemetry_(telemetry),
      exchange_(exchange),
      tunnel_(tunnel),
      model_(tunnel.model),
      started_(Clock::now()) {
  const http::RequestHead& head = exchange.request();
  log.start_time = WallClock::now();
  log.method = head.method;
  log.path = head.path;
  log.authority = head.authority;
  log.protocol = http::version_text(head.version);
  log.downstream_local_address = tunnel.destination.address.to_string();
  log.downstream_remote_address = tunnel.client.to_string();
  take_headers(head);
}

RequestRecord::~RequestRecord() {
  if (!finished_) disconnected();
}

void RequestRecord::take_headers(const http::RequestHead& head) {
  const auto text = [&head](std::string_view name) {
    return std::string(head.headers.get(name).value_or(std::string_view()));
  };
  log.path = head.path;
  log.x_forwarded_for = head.headers.joined("x-forwarded-for");
  log.user_agent = text("user-agent");
  log.request_id = text("x-request-id");
  grpc_ = is_grpc(head.headers);
}

void RequestRecord::add_flag(std::string_view flag) {
  const std::string listed = "," + log.response_flags + ",";
  if (flag.empty() || listed.find("," + std::string(flag) + ",") != std::string::npos) return;
  if (!log.response_flags.empty()) log.response_flags += ',';
  log.response_flags += flag;
}

void RequestRecord::answered(int status, std::string details) {
  log.response_code = status;
  log.response_code_details = std::move(details);
}

void RequestRecord::take_grpc_status(const http::Headers& headers) {
  if (const auto status = waypoint::grpc_status(headers)) grpc_status = status;
}

void RequestRecord::disconnected() {
  add_flag("DC");
  log.response_code_details = "downstream_remote_disconnect";
  finish();
}

void RequestRecord::finish() {
  if (finished_) return;
  finished_ = true;
  const auto counts = exchange_.counts();
  log.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
  log.bytes_received = counts.body_received;
  log.bytes_sent = counts.body_sent;

  const WorkloadPtr source = model_->workload(tunnel_.client.ip);
  MetricFacts facts;
  facts.source = source.get();
  facts.source_principal = tunnel_.principal;
  facts.destination = destination.get();
  facts.service = tunnel_.service(upstream);
  facts.protocol = grpc_ ? RequestProtocol::kGrpc : RequestProtocol::kHttp;
  facts.response_code = log.response_code;
  facts.grpc_status = grpc_status;
  facts.response_flags = log.response_flags;
  facts.own_identity_known = worker_.credential != nullptr;
  telemetry_.request(facts, {.duration = log.duration,
                             .wire_received = counts.wire_received,
                             .wire_sent = counts.wire_sent,
                             .request_messages = request_frames.messages(),
                             .response_messages = response_frames.messages()});
  const AccessLogOptions& options = model_->options().access_log;
  if (is_logged(log, options)) culvert::log::write_line(format_access_log(log, options.format));
}

}  // namespace culvert::waypoint
