#pragma once

#include "common/http1/parser.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::http1::test {

inline std::string fields_text(const http::Headers& headers) {
  std::string text;
  headers.for_each([&](const http::Headers::Field& field) {
    text += " " + std::string(field.name) + "=" + std::string(field.value);
  });
  return text;
}

inline std::string head_text(const http::RequestHead& head) {
  return head.method + " " + head.scheme + "|" + head.authority + "|" + head.path + " " +
         std::string(http::version_text(head.version)) + fields_text(head.headers);
}

inline std::string head_text(const http::ResponseHead& head) {
  return std::to_string(head.status) + " " + std::string(http::version_text(head.version)) +
         fields_text(head.headers);
}

// Feeds `pieces` one after the other, as a connection would, and writes down the events: "head …",
// "data …" (adjacent pieces joined), "trailers …", "end", "tunnel <rest>", "closed", "error …",
// each on a line. Goes on with the next message while the parser says keep-alive and bytes are
// left.
template <class Parser, class NextMessage>
std::string transcript(Parser& parser, const std::vector<std::string_view>& pieces,
                       bool end_of_input, NextMessage next_message) {
  std::string log, data, buffer;
  size_t piece = 0;
  const auto flush = [&] {
    if (!data.empty()) log += "data " + data + "\n";
    data.clear();
  };
  const auto fail = [&](const Error& error) {
    flush();
    return log + "error " + error.message() + "\n";
  };
  while (true) {
    while (piece < pieces.size() && pieces[piece].empty()) ++piece;
    auto step = parser.feed(as_bytes(buffer));
    if (!step) {
      // An error is final.
      if (parser.feed({})) return log + "parser continued after an error\n";
      return fail(step.error());
    }
    switch (step->event) {
      case Event::kData:
        data += as_text(step->data);
        break;
      case Event::kInformational:
        log += "informational " + head_text(parser.head()) + "\n";
        break;
      case Event::kHead:
        log += "head " + head_text(parser.head()) + "\n";
        break;
      case Event::kEnd:
        flush();
        if (!parser.trailers().empty()) log += "trailers" + fields_text(parser.trailers()) + "\n";
        log += "end\n";
        break;
      case Event::kTunnel:
        for (; piece < pieces.size(); ++piece) buffer += pieces[piece];
        return log + "tunnel " + buffer + "\n";
      case Event::kNeedInput:
      case Event::kClosed:
        break;
    }
    buffer.erase(0, step->consumed);
    if (step->event == Event::kEnd) {
      if (buffer.empty() && piece == pieces.size()) return log;
      if (!parser.keep_alive()) return log + "close\n";
      next_message();
      continue;
    }
    if (step->event != Event::kNeedInput) continue;
    if (!buffer.empty()) return log + "input left at kNeedInput\n";
    if (piece < pieces.size()) {
      buffer = pieces[piece++];
      continue;
    }
    if (!end_of_input) return flush(), log + "more\n";
    auto end = parser.end_of_input();
    if (!end) return fail(end.error());
    flush();
    return log + (*end == Event::kEnd ? "end\n" : "closed\n");
  }
}

inline std::string requests(const std::vector<std::string_view>& pieces,
                            RequestParserOptions options = {}, bool end_of_input = false) {
  RequestParser parser(std::move(options));
  return transcript(parser, pieces, end_of_input, [&] { parser.next_message(); });
}

inline std::string responses(const std::vector<std::string_view>& pieces, Exchange exchange = {},
                             bool end_of_input = false, const Limits& limits = {}) {
  ResponseParser parser(exchange, limits);
  return transcript(parser, pieces, end_of_input, [&] { parser.next_message({}); });
}

// "error …" as it stands in a transcript.
inline std::string error_line(Errc code) { return "error " + Error(code).message() + "\n"; }

}  // namespace culvert::http1::test
