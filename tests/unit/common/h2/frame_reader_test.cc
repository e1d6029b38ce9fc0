#include "common/h2/frame_reader.h"

#include "common/h2/errors.h"
#include "tests/unit/common/h2/raw_frames.h"

#include <gtest/gtest.h>

namespace culvert::h2 {
namespace {

struct Sink final : FrameSink {
  static std::string text(const FrameHeader& h) {
    return std::to_string(static_cast<int>(h.type)) + "/" + std::to_string(h.flags) + "/" +
           std::to_string(h.stream) + "/" + std::to_string(h.length);
  }
  Result<> on_frame_header(const FrameHeader& header) override {
    finish();
    log += "[" + text(header) + " ";
    if (fail_at == 'h') return make_error_code(Errc::kFlood);
    return {};
  }
  Result<> on_data_piece(MutableBytes piece) override {
    EXPECT_FALSE(piece.empty());
    data += as_text(piece);
    if (fail_at == 'p') return make_error_code(Errc::kFlood);
    return {};
  }
  Result<> on_data_end(const FrameHeader& header, size_t overhead) override {
    finish();
    log += "end " + text(header) + " +" + std::to_string(overhead) + "]";
    if (fail_at == 'e') return make_error_code(Errc::kFlood);
    return {};
  }
  Result<> on_frame(const FrameHeader& header, Bytes payload) override {
    log += text(header) + " " + std::string(as_text(payload)) + "]";
    if (fail_at == 'f') return make_error_code(Errc::kFlood);
    return {};
  }
  void finish() {
    if (!data.empty()) log += "data " + data + " ";
    data.clear();
  }
  std::string log, data;
  char fail_at = 0;
};

Result<> feed(FrameReader& reader, Sink& sink, std::string_view text, size_t piece = SIZE_MAX) {
  while (!text.empty()) {
    const auto part = text.substr(0, piece);
    std::vector<uint8_t> copy(part.begin(), part.end());
    if (auto result = reader.feed(copy, sink); !result) return result;
    text.remove_prefix(part.size());
  }
  return {};
}

const std::string kAll =
    frame(kSettings, 0, 0, "settin") + frame(kData, 0, 1, "abc") + frame(kData, 1, 3, "") +
    frame(kData, 8, 5, std::string("\x02") + "xyPP") + frame(kData, 8, 5, std::string(1, '\0')) +
    frame(kData, 8, 5, std::string("\x02PP")) + frame(0x42, 0xff, 7, "unknown") +
    frame(0x42, 0xff, 7, "") + frame(kHeaders, 4, 9, "block") +
    frame(kPing, 1, static_cast<StreamId>(0x80000000), "12345678") + frame(kRst, 0, 9, "code");
const std::string kLog =
    "[4/0/0/6 4/0/0/6 settin]"
    "[0/0/1/3 data abc end 0/0/1/3 +0]"
    "[0/1/3/0 end 0/1/3/0 +0]"
    "[0/8/5/5 data xy end 0/8/5/5 +3]"
    "[0/8/5/1 end 0/8/5/1 +1]"
    "[0/8/5/3 end 0/8/5/3 +3]"
    "[66/255/7/7 [66/255/7/0 "  // skipped
    "[1/4/9/5 1/4/9/5 block]"
    "[6/1/0/8 6/1/0/8 12345678]"
    "[3/0/9/4 3/0/9/4 code]";

TEST(FrameReader, CutsAtAnyByteGiveTheSame) {
  for (const bool preface : {false, true}) {
    const std::string text = (preface ? kClientPreface : "") + kAll;
    for (size_t piece = 1; piece <= text.size(); ++piece) {
      FrameReader reader(16384, preface);
      Sink sink;
      ASSERT_TRUE(feed(reader, sink, text, piece));
      EXPECT_EQ(sink.log, kLog) << piece;
      EXPECT_EQ(reader.held_bytes(), 0U) << piece;
    }
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      FrameReader reader(16384, preface);
      Sink sink;
      ASSERT_TRUE(feed(reader, sink, text.substr(0, cut)));
      ASSERT_TRUE(feed(reader, sink, text.substr(cut)));
      EXPECT_EQ(sink.log, kLog) << cut;
    }
  }
}

TEST(FrameReader, DataIsNeverKept) {
  FrameReader reader(1 << 20, false);
  Sink sink;
  const std::string text = frame(kData, 0, 1, std::string(100'000, 'x'));
  for (size_t i = 0; i + 1000 < text.size(); i += 1000) {
    ASSERT_TRUE(feed(reader, sink, text.substr(i, 1000)));
    EXPECT_EQ(sink.data.size(), i + 1000 - 9);
    EXPECT_EQ(reader.held_bytes(), 0U);
  }
}

TEST(FrameReader, WhatIsNotCutIsNotKept) {
  FrameReader reader(16384, false);
  Sink sink;
  ASSERT_TRUE(feed(reader, sink, frame(kHeaders, 4, 1, std::string(1000, 'h'))));
  EXPECT_EQ(reader.held_bytes(), 0U);
  const std::string cut = frame(kHeaders, 4, 1, std::string(1000, 'h'));
  ASSERT_TRUE(feed(reader, sink, cut.substr(0, 500)));
  EXPECT_GT(reader.held_bytes(), 0U);
  ASSERT_TRUE(feed(reader, sink, cut.substr(500)));
  EXPECT_EQ(reader.held_bytes(), 0U);
}

TEST(FrameReader, APrefaceThatIsNoneIsNotHttp2) {
  for (size_t i = 0; i < kClientPreface.size(); ++i) {
    std::string text = kClientPreface;
    text[i] ^= 0x20;
    for (const size_t piece : {size_t{1}, text.size()}) {
      FrameReader reader(16384, true);
      Sink sink;
      const auto result = feed(reader, sink, text, piece);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, make_error_code(Errc::kHandshake));
    }
  }
}

struct Bad {
  std::string text;
  ErrorCode code;
};
TEST(FrameReader, FramesThatCannotBeReadFail) {
  const std::vector<Bad> all{
      {frame(kData, 8, 1, ""), ErrorCode::kFrameSizeError},
      {frame(kData, 8, 1, "\x01"), ErrorCode::kProtocolError},
      {frame(kData, 8, 1, "\x02p"), ErrorCode::kProtocolError},
      {frame(kData, 0, 1, std::string(16385, 'x')), ErrorCode::kFrameSizeError},
      {frame(kHeaders, 0, 1, std::string(16385, 'x')), ErrorCode::kFrameSizeError},
      {frame(0x42, 0, 1, std::string(16385, 'x')), ErrorCode::kFrameSizeError},
  };
  for (const Bad& bad : all) {
    for (const size_t piece : {size_t{1}, SIZE_MAX}) {
      FrameReader reader(16384, false);
      Sink sink;
      const auto result = feed(reader, sink, bad.text, piece);
      ASSERT_FALSE(result) << &bad - all.data();
      EXPECT_EQ(result.error().code, make_error_code(Errc::kProtocol));
      EXPECT_EQ(reader.failure(), bad.code) << &bad - all.data();
    }
  }
  FrameReader reader(16384, false);
  Sink sink;
  EXPECT_TRUE(feed(reader, sink,
                   frame(kData, 0, 1, std::string(16384, 'x')) +
                       frame(kHeaders, 0, 1, std::string(16384, 'x')) +
                       frame(0x42, 0, 1, std::string(16384, 'x'))));
}

TEST(FrameReader, TheSinksErrorsStopIt) {
  for (const char at : {'h', 'p', 'e', 'f'}) {
    FrameReader reader(16384, false);
    Sink sink;
    sink.fail_at = at;
    const auto result =
        feed(reader, sink,
             frame(at == 'f' ? kPing : kData, 0, 0, "12345678") + frame(kRst, 0, 77, "code"));
    ASSERT_FALSE(result) << at;
    EXPECT_EQ(result.error().code, make_error_code(Errc::kFlood)) << at;
    EXPECT_EQ(sink.log.find("/77/"), std::string::npos) << at;
    EXPECT_EQ(reader.failure(), ErrorCode::kNoError) << at;
  }
}

TEST(FrameHeader, IsWhatItWas) {
  const FrameHeader header{
      .length = 0x123456, .type = FrameType::kGoaway, .flags = 0xa5, .stream = 0x7fedcba9};
  uint8_t bytes[kFrameHeaderSize];
  header.write(bytes);
  const std::string expected("\x12\x34\x56\x07\xa5\x7f\xed\xcb\xa9");
  EXPECT_EQ(as_text(bytes), expected);
  bytes[5] |= 0x80;  // reserved, ignored (RFC 9113 section 4.1)
  const FrameHeader again = FrameHeader::parse(bytes);
  EXPECT_EQ(again.length, header.length);
  EXPECT_EQ(again.type, header.type);
  EXPECT_EQ(again.flags, header.flags);
  EXPECT_EQ(again.stream, header.stream);
}

TEST(Frames, AHeaderBlockIsCutWhereItMust) {
  for (const size_t size : {0U, 1U, 99U, 100U, 101U, 200U, 201U, 1000U}) {
    std::string whole(size, '\0');
    for (size_t i = 0; i < size; ++i) whole[i] = static_cast<char>(i);
    ByteQueue out;
    append_header_block(out, 7, size % 2 == 0, as_bytes(whole), 100);
    const auto frames = parse(as_text(Bytes(out.readable())));
    ASSERT_EQ(frames.size(), std::max<size_t>(1, (size + 99) / 100)) << size;
    std::string got;
    for (size_t i = 0; i < frames.size(); ++i) {
      EXPECT_EQ(frames[i].type, i == 0 ? kHeaders : kContinuation);
      EXPECT_EQ(frames[i].id, 7);
      const int expected = (i == 0 && size % 2 == 0 ? flags::kEndStream : 0) |
                           (i + 1 == frames.size() ? flags::kEndHeaders : 0);
      EXPECT_EQ(frames[i].flags, expected) << size << " " << i;
      got += frames[i].payload;
    }
    EXPECT_EQ(got, whole);
  }
}

TEST(Frames, AreAsTheRfcDrawsThem) {
  ByteQueue out;
  append_window_update(out, 5, 0x1234);
  append_rst_stream(out, 7, ErrorCode::kCancel);
  append_ping(out, true, as_bytes("12345678"));
  append_goaway(out, 9, ErrorCode::kEnhanceYourCalm);
  ByteQueue payload;
  append_setting(payload, Setting::kMaxFrameSize, 0x10000);
  append_frame(out, {.length = 6, .type = FrameType::kSettings}, payload.readable());
  EXPECT_EQ(as_text(Bytes(out.readable())),
            frame(kWindow, 0, 5, be(0x1234, 4)) + frame(kRst, 0, 7, be(8, 4)) +
                frame(kPing, 1, 0, "12345678") + frame(kGoaway, 0, 0, be(9, 4) + be(11, 4)) +
                frame(kSettings, 0, 0, be(5, 2) + be(0x10000, 4)));
}

}  // namespace
}  // namespace culvert::h2
