#include "common/http1/line.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http1 {
namespace {

using Status = LineReader::Status;

TEST(LineReader, GivesViewsIntoTheInput) {
  LineReader lines;
  const std::string input = "ab\r\n\r\ncd";
  auto line = lines.next(as_bytes(input), 10);
  EXPECT_EQ(line.status, Status::kLine);
  EXPECT_EQ(line.text.data(), input.data());
  EXPECT_EQ(line.text, "ab");
  EXPECT_EQ(line.consumed, 4U);
  line = lines.next(as_bytes(input).subspan(4), 10);
  EXPECT_EQ(line.text, "");
  EXPECT_EQ(line.consumed, 2U);
  line = lines.next(as_bytes(input).subspan(6), 10);
  EXPECT_EQ(line.status, Status::kPartial);
  EXPECT_EQ(line.consumed, 2U);
  EXPECT_TRUE(lines.has_partial());
  line = lines.next(as_bytes("e\r\nf"), 10);
  EXPECT_EQ(line.text, "cde");
  EXPECT_EQ(line.consumed, 3U);
  EXPECT_FALSE(lines.has_partial());
}

TEST(LineReader, LimitDoesNotDependOnTheSplit) {
  for (size_t split = 0; split <= 6; ++split) {
    const std::string fits = "abcd\r\n", over = "abcde\r\n";
    LineReader lines;
    auto line = lines.next(as_bytes(fits).first(split), 6);
    if (line.status == Status::kPartial) line = lines.next(as_bytes(fits).subspan(split), 6);
    EXPECT_EQ(line.status, Status::kLine) << split;
    EXPECT_EQ(line.text, "abcd");
    LineReader others;
    line = others.next(as_bytes(over).first(split), 6);
    if (line.status == Status::kPartial) line = others.next(as_bytes(over).subspan(split), 6);
    EXPECT_EQ(line.status, Status::kTooLong) << split;
  }
}

TEST(LineReader, SeesBareLineEndsAcrossSplits) {
  const auto status = [](std::string_view first, std::string_view second) {
    LineReader lines;
    auto line = lines.next(as_bytes(first), 100);
    return line.status == Status::kPartial ? lines.next(as_bytes(second), 100).status : line.status;
  };
  EXPECT_EQ(status("a", "\n"), Status::kBareLineFeed);
  EXPECT_EQ(status("a\r", "\n"), Status::kLine);
  EXPECT_EQ(status("a\r", "b\r\n"), Status::kBareCarriageReturn);
  EXPECT_EQ(status("a\r", "\r\n"), Status::kBareCarriageReturn);
  EXPECT_EQ(status("\n", ""), Status::kBareLineFeed);
}

}  // namespace
}  // namespace culvert::http1
