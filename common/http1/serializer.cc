#include "common/http1/serializer.h"

#include "common/base/check.h"
#include "common/http/authority.h"
#include "common/http/hop_by_hop.h"
#include "common/http1/errors.h"
#include "common/http1/fields.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

namespace culvert::http1 {
namespace {

// Room for everything in a head that is neither a field nor of variable size.
constexpr size_t kFixedPart = 256;

// Writes into space that was reserved once for the whole head.
class HeadWriter {
 public:
  HeadWriter(ByteQueue& out, size_t most) : out_(out), space_(out.prepare(most)) {}

  void text(std::string_view piece) {
    CULVERT_CHECK(piece.size() <= space_.size() - used_);
    if (piece.empty()) return;
    std::memcpy(space_.data() + used_, piece.data(), piece.size());
    used_ += piece.size();
  }
  void number(uint64_t value, int base = 10) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value, base).ptr;
    text({digits, static_cast<size_t>(end - digits)});
  }
  void field(std::string_view name, std::string_view value) {
    text(name);
    text(": ");
    text(value);
    text("\r\n");
  }
  void commit() { out_.commit(used_); }

 private:
  ByteQueue& out_;
  MutableBytes space_;
  size_t used_ = 0;
};

// The fields named by Connection, which are its sender's and the next hop's business only.
std::vector<std::string_view> connection_options(const http::Headers& headers) {
  std::vector<std::string_view> options;
  headers.for_each("connection", [&](std::string_view value) {
    http::for_each_list_item(value, [&](std::string_view option) {
      if (http::may_be_connection_option(option)) options.push_back(option);
      return true;
    });
  });
  return options;
}

void write_fields(const http::Headers& headers, bool keep_length, bool preserve_case,
                  HeadWriter& out) {
  const auto options = connection_options(headers);
  headers.for_each([&](const http::Headers::Field& field) {
    if (http::is_hop_by_hop(field.name) || field.name == "host") return;
    if (field.name == "content-length" && !keep_length) return;
    const bool named = std::ranges::any_of(
        options, [&](std::string_view option) { return http::iequals(option, field.name); });
    if (!named) out.field(preserve_case ? field.original_name : field.name, field.value);
  });
}

void write_framing(const Framing& framing, const WriteOptions& options, HeadWriter& out) {
  const bool preserve = options.preserve_case;
  if (framing.kind == Framing::Kind::kLength) {
    out.text(preserve ? "Content-Length: " : "content-length: ");
    out.number(framing.length);
    out.text("\r\n");
  } else if (framing.kind == Framing::Kind::kChunked) {
    out.field(preserve ? "Transfer-Encoding" : "transfer-encoding", "chunked");
  }
}

void write_connection(std::string_view option, const WriteOptions& options, HeadWriter& out) {
  if (!option.empty()) out.field(options.preserve_case ? "Connection" : "connection", option);
  if (option == "upgrade") {
    out.field(options.preserve_case ? "Upgrade" : "upgrade", options.upgrade);
  }
}

bool is_writable(const http::RequestHead& head, const WriteOptions& options) {
  if (!http::is_valid_method(head.method)) return false;
  if (!http::is_field_value(options.upgrade)) return false;
  const auto authority = http::parse_authority(head.authority);
  if (!authority) return false;
  const Framing::Kind kind = options.framing.kind;
  if (head.is_connect()) {
    const bool empty = kind == Framing::Kind::kTunnel || kind == Framing::Kind::kNone;
    return authority->port.has_value() && empty && options.upgrade.empty();
  }
  if (kind == Framing::Kind::kTunnel || kind == Framing::Kind::kUntilClose) return false;
  if (head.path == "*") return head.method == "OPTIONS";
  return head.path.starts_with('/') && http::is_visible_ascii(head.path) &&
         head.path.find('#') == std::string::npos;
}

// kNone where the message cannot have a body.
Framing effective_framing(const http::ResponseHead& head, const ResponseOptions& options) {
  if (options.framing.kind == Framing::Kind::kTunnel) return Framing::tunnel();
  const bool bodiless =
      options.head_request || head.is_informational() || head.status == 204 || head.status == 304;
  if (bodiless) return Framing::none();
  if (options.framing.kind == Framing::Kind::kNone) return Framing::of_length(0);
  if (options.framing.kind == Framing::Kind::kChunked &&
      options.client_version == http::Version::kHttp10) {
    return Framing::until_close();
  }
  return options.framing;
}

bool is_writable(const http::ResponseHead& head, const ResponseOptions& options) {
  if (head.status < 100 || head.status > 599) return false;
  if (!http::is_field_value(options.upgrade)) return false;
  if (head.is_informational() && options.client_version == http::Version::kHttp10) return false;
  const bool switching = head.status == 101;
  if (switching == options.upgrade.empty()) return false;
  const bool success = head.status >= 200 && head.status < 300;
  const bool opens_tunnel = switching || (options.connect_request && success);
  return opens_tunnel == (options.framing.kind == Framing::Kind::kTunnel);
}

std::string_view connection_option(const http::ResponseHead& head, const ResponseOptions& options,
                                   const Framing& framing) {
  if (head.status == 101) return "upgrade";
  if (framing.kind == Framing::Kind::kTunnel || head.is_informational()) return "";
  if (options.close || framing.kind == Framing::Kind::kUntilClose) return "close";
  // An HTTP/1.0 client closes unless it is told that we will not.
  return options.client_version == http::Version::kHttp10 ? "keep-alive" : "";
}

}  // namespace

Result<BodyWriter> write_request_head(const http::RequestHead& head, const WriteOptions& options,
                                      ByteQueue& out) {
  if (!is_writable(head, options)) return Error(Errc::kHeadNotWritable);
  const Framing framing = head.is_connect() ? Framing::tunnel() : options.framing;
  HeadWriter writer(out, head.headers.byte_size() + head.method.size() + 2 * head.authority.size() +
                             head.path.size() + options.upgrade.size() + kFixedPart);
  writer.text(head.method);
  writer.text(" ");
  writer.text(head.is_connect() ? head.authority : head.path);
  writer.text(" HTTP/1.1\r\n");
  writer.field(options.preserve_case ? "Host" : "host", head.authority);
  write_fields(head.headers, false, options.preserve_case, writer);
  write_framing(framing, options, writer);
  if (!options.upgrade.empty()) {
    write_connection("upgrade", options, writer);
  } else {
    write_connection(options.close ? "close" : "", options, writer);
  }
  writer.text("\r\n");
  writer.commit();
  return BodyWriter(framing);
}

Result<BodyWriter> write_response_head(const http::ResponseHead& head,
                                       const ResponseOptions& options, ByteQueue& out) {
  if (!is_writable(head, options)) return Error(Errc::kHeadNotWritable);
  const Framing framing = effective_framing(head, options);
  HeadWriter writer(out, head.headers.byte_size() + options.upgrade.size() + kFixedPart);
  const bool http10 = options.client_version == http::Version::kHttp10;
  writer.text(http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
  writer.number(static_cast<uint64_t>(head.status));
  writer.text(" ");
  writer.text(http::status_text(head.status));
  writer.text("\r\n");
  const bool described =
      framing.kind == Framing::Kind::kNone && !head.is_informational() && head.status != 204;
  write_fields(head.headers, described, options.preserve_case, writer);
  write_framing(framing, options, writer);
  write_connection(connection_option(head, options, framing), options, writer);
  writer.text("\r\n");
  writer.commit();
  return BodyWriter(framing);
}

void write_continue(ByteQueue& out) { out.append(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")); }

Result<> BodyWriter::begin_data(size_t size, ByteQueue& out) {
  CULVERT_CHECK(!in_data_);
  if (finished_ && size > 0) return Error(Errc::kBodyNotAllowed);
  switch (framing_.kind) {
    case Framing::Kind::kNone:
      if (size > 0) return Error(Errc::kBodyNotAllowed);
      break;
    case Framing::Kind::kLength:
      if (size > left_) return Error(Errc::kBodyTooLong);
      left_ -= size;
      break;
    case Framing::Kind::kChunked: {
      if (size == 0) break;
      HeadWriter writer(out, 16 + 2);
      writer.number(size, 16);
      writer.text("\r\n");
      writer.commit();
      left_ = size;
      break;
    }
    case Framing::Kind::kUntilClose:
    case Framing::Kind::kTunnel:
      break;
  }
  in_data_ = true;
  return {};
}

void BodyWriter::end_data(ByteQueue& out) {
  CULVERT_CHECK(in_data_);
  in_data_ = false;
  if (framing_.kind != Framing::Kind::kChunked || left_ == 0) return;
  left_ = 0;
  out.append(as_bytes("\r\n"));
}

Result<> BodyWriter::write(Bytes data, ByteQueue& out) {
  if (auto begun = begin_data(data.size(), out); !begun) return begun;
  out.append(data);
  end_data(out);
  return {};
}

Result<> BodyWriter::finish(const http::Headers& trailers, ByteQueue& out) {
  CULVERT_CHECK(!in_data_);
  if (framing_.kind == Framing::Kind::kLength && left_ > 0) return Error(Errc::kBodyTooShort);
  const bool first = !finished_;
  finished_ = true;
  if (framing_.kind != Framing::Kind::kChunked || !first) return {};
  HeadWriter writer(out, trailers.byte_size() + 5);
  writer.text("0\r\n");
  trailers.for_each([&](const http::Headers::Field& field) {
    if (!is_forbidden_trailer(field.name)) writer.field(field.name, field.value);
  });
  writer.text("\r\n");
  writer.commit();
  return {};
}

}  // namespace culvert::http1
