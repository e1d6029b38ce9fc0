#include "common/config/yaml_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace culvert::config {
namespace {

constexpr YamlLimits kLimits{size_t{1} << 30, size_t{1} << 20, 8};

// An endless list; ends by an error after `count` elements of a kilobyte.
class Endless {
 public:
  explicit Endless(size_t count) : left_(count) {}
  Result<size_t> read(std::span<char> buffer) {
    thread_ = std::this_thread::get_id();
    if (text_.empty()) {
      if (left_-- == 0) return system_error(EIO, "/mesh.yaml");
      text_ = "- " + std::string(1 << 10, 'x') + "\n";
      if (first_) text_ = "list:\n" + text_;
      first_ = false;
      ++given_;
    }
    const size_t size = std::min(buffer.size(), text_.size());
    std::copy_n(text_.begin(), size, buffer.begin());
    text_.erase(0, size);
    // Less than asked for would be the end.
    std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(size), buffer.end(), '\n');
    return buffer.size();
  }
  [[nodiscard]] size_t given() const { return given_; }
  [[nodiscard]] std::thread::id thread() const { return thread_; }

 private:
  size_t left_;
  std::string text_;
  bool first_ = true;
  std::atomic<size_t> given_{0};
  std::thread::id thread_;
};

Result<YamlDocument> parse(Endless& text, const YamlElement& element) {
  return parse_yaml_ahead([&](std::span<char> buffer) { return text.read(buffer); }, kLimits,
                          element);
}

TEST(YamlAheadTest, EveryElementInOrderOnTheCallersThread) {
  std::string text = "a:\n";
  constexpr size_t kCount = 20000;
  for (size_t i = 0; i < kCount; ++i) text += "- {k: " + std::to_string(i) + "}\n";
  text += "b: [x]\nc: d\n";
  size_t next = 0;
  size_t others = 0;
  const auto caller = std::this_thread::get_id();
  const auto parsed = parse_yaml_ahead(
      yaml_input(text), kLimits, [&](std::string_view key, size_t index, const YamlNode& element) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        if (key == "b") {
          EXPECT_EQ(next, kCount);
          ++others;
          return;
        }
        EXPECT_EQ(index, next);
        EXPECT_EQ(element.items[1].text, std::to_string(next));
        EXPECT_EQ(element.line, next + 2);
        ++next;
      });
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(next, kCount);
  EXPECT_EQ(others, 1U);
  EXPECT_EQ(parsed->root().items.back().text, "d");
}

TEST(YamlAheadTest, ErrorsComeAfterTheElementsBeforeThem) {
  Endless text(1000);
  size_t got = 0;
  const auto parsed = parse(text, [&](auto, auto, const auto&) { ++got; });
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, std::errc::io_error);
  EXPECT_GT(got, 500U);
  EXPECT_NE(text.thread(), std::this_thread::get_id());
}

// Whatever the length of the text: what is parsed and not taken is bounded.
TEST(YamlAheadTest, DoesNotRunAway) {
  // Batches, and what libyaml has read beyond the last one.
  constexpr size_t kBound = (kYamlBatchesAhead * YamlBatch::kBytes >> 10) + 64;
  Endless text(2 * kBound);
  size_t got = 0;
  size_t furthest = 0;
  const auto parsed = parse(text, [&](auto, auto, const auto&) {
    // Once: time enough to run away.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(got == 0 ? 1 : 0);
    do {
      furthest = std::max(furthest, text.given() - got);
    } while (furthest <= kBound && std::chrono::steady_clock::now() < until);
    ++got;
  });
  EXPECT_FALSE(parsed);
  EXPECT_LE(furthest, kBound);
}

TEST(YamlAheadTest, AnExceptionEndsTheThread) {
  Endless text(SIZE_MAX);
  EXPECT_THROW(
      (void)parse(text, [](auto, auto, const auto&) { throw std::runtime_error("no memory"); }),
      std::runtime_error);
  EXPECT_NE(text.thread(), std::this_thread::get_id());
}

}  // namespace
}  // namespace culvert::config
