// Feeds arbitrary bytes, cut into arbitrary pieces, to both parsers. Checks that
//   - the events do not depend on the pieces,
//   - each call keeps the promises of its header (what is consumed, where data lies),
//   - a request that was accepted can be written again and is then read as the same request.
// The first byte chooses the direction and the exchange, the second the size of the pieces.
#include "common/base/check.h"
#include "common/http1/parser.h"
#include "common/http1/serializer.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace {

using namespace culvert;
using namespace culvert::http1;

std::string describe(const http::RequestHead& head) {
  return head.method + " " + head.scheme + " " + head.authority + " " + head.path;
}
std::string describe(const http::ResponseHead& head) { return std::to_string(head.status); }

std::string describe(const http::Headers& headers) {
  std::string text;
  headers.for_each([&](const http::Headers::Field& field) {
    CULVERT_CHECK(http::is_token(field.name) && http::is_field_value(field.value));
    text += "\n" + std::string(field.name) + ":" + std::string(field.value);
  });
  return text;
}

// Writes the head that was read and reads it again.
void check_round_trip(RequestParser& parser) {
  const http::RequestHead& head = parser.head();
  if (head.authority.empty()) return;  // HTTP/1.0 without Host cannot be forwarded as HTTP/1.1
  ByteQueue out;
  WriteOptions options;
  options.framing = parser.framing();
  auto writer = write_request_head(head, options, out);
  CULVERT_CHECK(writer);
  RequestParser again;
  auto step = again.feed(out.readable());
  CULVERT_CHECK(step && step->event == Event::kHead && step->consumed == out.size());
  CULVERT_CHECK(again.head().method == head.method && again.head().path == head.path);
  CULVERT_CHECK(again.head().authority == head.authority && again.framing() == parser.framing());
}
void check_round_trip(ResponseParser& parser) {
  CULVERT_CHECK(parser.head().status >= 100 && parser.head().status <= 599);
}

template <class Parser, class Next>
std::string run(Parser& parser, Bytes input, size_t piece, Next next) {
  std::string log, data, buffer;
  const auto flush = [&] {
    if (!data.empty()) log += "|data " + data;
    data.clear();
  };
  while (true) {
    auto step = parser.feed(as_bytes(buffer));
    if (!step) {
      flush();
      return log + "|" + step.error().message();
    }
    CULVERT_CHECK(step->consumed <= buffer.size());
    CULVERT_CHECK(step->data.size() <= step->consumed);
    switch (step->event) {
      case Event::kHead:
        check_round_trip(parser);
        [[fallthrough]];
      case Event::kInformational:
        log += "|head " + describe(parser.head()) + describe(parser.head().headers);
        break;
      case Event::kData:
        CULVERT_CHECK(!step->data.empty());
        data += as_text(step->data);
        break;
      case Event::kEnd:
        CULVERT_CHECK(step->consumed == 0 || parser.framing().kind == Framing::Kind::kChunked);
        flush();
        log += "|end" + describe(parser.trailers());
        if (!parser.keep_alive()) return log;
        next();
        break;
      case Event::kTunnel:
        return log + "|tunnel";
      case Event::kNeedInput:
        CULVERT_CHECK(step->consumed == buffer.size());
        if (input.empty()) {
          flush();
          auto end = parser.end_of_input();
          return log + (end ? std::to_string(static_cast<int>(*end)) : end.error().message());
        }
        buffer.assign(as_text(input.first(std::min(piece, input.size()))));
        input = input.subspan(buffer.size());
        continue;
      case Event::kClosed:
        CULVERT_CHECK(false);
    }
    buffer.erase(0, step->consumed);
  }
}

std::string run(uint8_t mode, Bytes input, size_t piece) {
  if ((mode & 1) == 0) {
    RequestParser parser;
    return run(parser, input, piece, [&] { parser.next_message(); });
  }
  const Exchange exchange{.head_request = (mode & 2) != 0,
                          .connect_request = (mode & 4) != 0,
                          .upgrade_requested = (mode & 8) != 0};
  ResponseParser parser(exchange);
  return run(parser, input, piece, [&] { parser.next_message(exchange); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Bytes input(data + 2, size - 2);
  CULVERT_CHECK(run(data[0], input, input.size()) == run(data[0], input, 1 + data[1] % 64));
  return 0;
}
