#include "common/http/chars.h"
#include "waypoint/config/document.h"

namespace culvert::waypoint::config {
namespace {

AccessLogOptions read_access_log(const Item& item) {
  const Fields fields(item, {"enabled", "format", "filter"});
  AccessLogOptions out;
  out.enabled = true;  // who writes the section wants the log
  fields.read("enabled", out.enabled);
  if (const auto format = fields.get("format")) {
    using Format = AccessLogOptions::Format;
    out.format = format->choice<Format>({{"text", Format::kText}, {"json", Format::kJson}})
                     .value_or(Format::kText);
  }
  if (const auto filter = fields.get("filter")) {
    out.errors_only = filter->choice<bool>({{"all", false}, {"errors", true}}).value_or(false);
  }
  return out;
}

Limits read_limits(const Item& item) {
  const Fields fields(item,
                      {"maxHeaderBytes", "maxHeaderFields", "maxTunnelStreams", "maxHttp2Streams",
                       "maxPendingRequests", "maxBufferedBody", "headerTimeout", "idleTimeout",
                       "streamIdleTimeout", "requestTimeout", "sniffTimeout"});
  Limits out;
  fields.read("maxHeaderBytes", out.max_header_bytes, 1024, 256 * 1024);
  fields.read("maxHeaderFields", out.max_header_fields, 10, 256);
  fields.read("maxTunnelStreams", out.max_tunnel_streams, 1, 100'000);
  fields.read("maxHttp2Streams", out.max_http2_streams, 1, 100'000);
  fields.read("maxPendingRequests", out.max_pending_requests, 0, 1'000'000);
  fields.read("maxBufferedBody", out.max_buffered_body, 0, 16 * 1024 * 1024);
  fields.read("headerTimeout", out.header_timeout);
  fields.read("idleTimeout", out.idle_timeout);
  fields.read("streamIdleTimeout", out.stream_idle_timeout);
  fields.read("requestTimeout", out.request_timeout);
  fields.read("sniffTimeout", out.sniff_timeout);
  // Without these two, a client could hold a connection or delay every raw TCP session for ever.
  if (out.header_timeout == Millis(0)) item.fail("\"headerTimeout\" must be more than 0");
  if (out.sniff_timeout == Millis(0)) item.fail("\"sniffTimeout\" must be more than 0");
  return out;
}

}  // namespace

Options read_options(const Item& item) {
  const Fields fields(item, {"pathNormalization", "xForwardedClientCert", "xForwardedFor",
                             "serverHeader", "accessLog", "limits"});
  Options out;
  if (const auto path = fields.get("pathNormalization")) {
    using http::PathNormalization;
    out.path_normalization =
        path->choice<PathNormalization>(
                {{"NONE", PathNormalization::kNone},
                 {"BASE", PathNormalization::kBase},
                 {"DEFAULT", PathNormalization::kBase},
                 {"MERGE_SLASHES", PathNormalization::kMergeSlashes},
                 {"DECODE_AND_MERGE_SLASHES", PathNormalization::kDecodeAndMergeSlashes}})
            .value_or(PathNormalization::kBase);
  }
  if (const auto xfcc = fields.get("xForwardedClientCert")) {
    out.xfcc = xfcc->choice<XfccMode>(
                       {{"sanitize", XfccMode::kSanitize}, {"identity", XfccMode::kIdentity}})
                   .value_or(XfccMode::kSanitize);
  }
  if (const auto xff = fields.get("xForwardedFor")) {
    out.xff = xff->choice<XffMode>({{"keep", XffMode::kKeep}, {"append", XffMode::kAppend}})
                  .value_or(XffMode::kKeep);
  }
  if (const auto server = fields.get("serverHeader")) {
    out.server_name = server->text().value_or("");
    if (!http::is_field_value(out.server_name)) server->fail("is not a header value");
  }
  if (const auto log = fields.get("accessLog")) out.access_log = read_access_log(*log);
  if (const auto limits = fields.get("limits")) out.limits = read_limits(*limits);
  return out;
}

}  // namespace culvert::waypoint::config
