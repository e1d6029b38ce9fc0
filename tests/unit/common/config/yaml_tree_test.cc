#include "common/config/yaml_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::config {
namespace {

using Kind = YamlNode::Kind;
constexpr YamlLimits kLimits{1 << 20, 1000, 8};

YamlDocument parse(std::string_view text) {
  return std::move(parse_yaml(yaml_input(text), kLimits)).value();
}
std::string error_of(std::string_view text, YamlLimits limits = kLimits) {
  const auto parsed = parse_yaml(yaml_input(text), limits);
  return parsed ? "" : parsed.error().message();
}

TEST(YamlTreeTest, KeepsStructureAndLines) {
  const YamlDocument document = parse("a: 1\nb:\n- x\n- {c: ~}\n");
  const YamlNode& root = document.root();
  ASSERT_EQ(root.kind, Kind::kMap);
  ASSERT_EQ(root.items.size(), 4U);
  EXPECT_EQ(root.items[0].text, "a");
  EXPECT_EQ(root.items[1].text, "1");
  EXPECT_EQ(root.items[1].line, 1U);
  const YamlNode& list = root.items[3];
  ASSERT_EQ(list.kind, Kind::kSequence);
  EXPECT_EQ(list.items[0].line, 3U);
  ASSERT_EQ(list.items[1].kind, Kind::kMap);
  EXPECT_EQ(list.items[1].items[1].kind, Kind::kNull);
  EXPECT_EQ(list.items[1].line, 4U);
}

TEST(YamlTreeTest, TellsQuotedFromPlain) {
  const YamlDocument document = parse("[80, '80', \"80\", !!str 80, null, 'null', ]");
  const YamlNode& root = document.root();
  ASSERT_EQ(root.items.size(), 6U);
  EXPECT_FALSE(root.items[0].quoted);
  for (const size_t i : {1U, 2U, 3U}) {
    EXPECT_TRUE(root.items[i].quoted) << i;
    EXPECT_EQ(root.items[i].text, "80");
    EXPECT_EQ(root.items[i].tag, "");
  }
  EXPECT_EQ(root.items[4].kind, Kind::kNull);
  EXPECT_EQ(root.items[5].text, "null");
}

TEST(YamlTreeTest, KeepsTagsOfTheDocument) {
  const YamlDocument document =
      parse("[!Exact foo, !Prefix 'x y', !Presence [], !Map {a: b}, plain]");
  const YamlNode& root = document.root();
  ASSERT_EQ(root.items.size(), 5U);
  EXPECT_EQ(root.items[0].tag, "!Exact");
  EXPECT_EQ(root.items[0].text, "foo");
  EXPECT_EQ(root.items[1].tag, "!Prefix");
  EXPECT_EQ(root.items[1].text, "x y");
  EXPECT_EQ(root.items[2].tag, "!Presence");
  EXPECT_EQ(root.items[2].kind, Kind::kSequence);
  EXPECT_EQ(root.items[3].tag, "!Map");
  EXPECT_EQ(root.items[4].tag, "");
}

TEST(YamlTreeTest, JsonIsYaml) {
  const YamlDocument document = parse(R"({"a": {"80": 8080}, "b": [], "c": null})");
  const YamlNode& root = document.root();
  ASSERT_EQ(root.items.size(), 6U);
  EXPECT_EQ(root.items[1].items[0].text, "80");
  EXPECT_EQ(root.items[3].kind, Kind::kSequence);
  EXPECT_EQ(root.items[5].kind, Kind::kNull);
}

TEST(YamlTreeTest, AliasesAreReplaced) {
  const YamlDocument document = parse("a: &x [1, 2]\nb: *x\n");
  const YamlNode& root = document.root();
  EXPECT_EQ(root.items[3].items.size(), 2U);
  EXPECT_EQ(root.items[3].items[1].text, "2");
}

TEST(YamlTreeTest, AliasInsideItselfIsAnError) {
  EXPECT_EQ(error_of("a: &x\n  - *x\n"), "alias inside the value it names (line 2)");
}

TEST(YamlTreeTest, AliasesCannotMultiplyMemory) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const auto before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 8; ++j) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_EQ(error_of(bomb).substr(0, 21), "more than 1000 values");
}

TEST(YamlTreeTest, SyntaxErrorsNameTheLine) {
  EXPECT_NE(error_of("a: 1\nb: [1, 2\nc: 3\n").find("line 3"), std::string::npos)
      << error_of("a: 1\nb: [1, 2\nc: 3\n");
  EXPECT_NE(error_of("a: 1\n\tb: 2\n").find("(line 2)"), std::string::npos);
  EXPECT_NE(error_of("a: *unknown\n").find("(line 1)"), std::string::npos);
  for (const char* unfinished : {"a: [", "a: [\n", "a: 'x", "a: 'x\n"}) {
    EXPECT_NE(error_of(unfinished).find("(line 1)"), std::string::npos) << error_of(unfinished);
  }
}

TEST(YamlTreeTest, ExactlyOneDocument) {
  EXPECT_EQ(error_of(""), "no YAML document");
  EXPECT_EQ(error_of("# only a comment\n"), "no YAML document");
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"), "more than one YAML document (line 2)");
  EXPECT_EQ(error_of("---\na: 1\n"), "");
}

// Elements of the document's lists as "key[index]=text@line", and what is left of the document.
std::vector<std::string> elements(std::string_view text, size_t* left = nullptr) {
  std::vector<std::string> all;
  const auto parsed = parse_yaml(yaml_input(text), kLimits, [&](std::unique_ptr<YamlBatch> batch) {
    for (size_t i = 0; i < batch->elements.size(); ++i) {
      const YamlNode& element = batch->elements[i];
      const std::string what(element.kind == Kind::kScalar ? element.text
                             : element.items.empty()       ? "-"
                                                           : element.items.back().text);
      all.push_back(batch->key + "[" + std::to_string(batch->first + i) + "]=" + what + "@" +
                    std::to_string(element.line));
    }
    return batch;
  });
  EXPECT_TRUE(parsed) << parsed.error().message();
  if (left != nullptr) *left = parsed->root().items.size();
  return all;
}

TEST(YamlTreeTest, ElementsOfTheDocumentsLists) {
  using Elements = std::vector<std::string>;
  size_t left = 0;
  EXPECT_EQ(elements("a:\n- x\n- {k: y}\nb: text\nc: [[z], [1, [2]]]\nd: {e: [1]}\n", &left),
            (Elements{"a[0]=x@2", "a[1]=y@3", "c[0]=z@5", "c[1]=@5"}));
  EXPECT_EQ(left, 8U);
  // What is named or has a tag may be needed again, or is not understood: kept.
  EXPECT_EQ(elements("a: &n [x]\nb: !T [y]\nc: *n\nd: [z]\n"), (Elements{"d[0]=z@4"}));
  // Names that elements have are known in later ones, which then are where they were named.
  EXPECT_EQ(elements("a: [&n x, *n, {k: *n}]\nb: [*n]\n"),
            (Elements{"a[0]=x@1", "a[1]=x@1", "a[2]=x@1", "b[0]=x@1"}));
  EXPECT_EQ(elements("[x]"), Elements{});
}

// A batch is one when it is full, whatever is in it, and needs nothing but itself.
TEST(YamlTreeTest, LongListsComeInBatches) {
  std::string text = "list:\n";
  const std::string value(2000, 'x');
  constexpr size_t kCount = 500;
  for (size_t i = 0; i < kCount; ++i) text += "- {k: " + std::to_string(i) + value + "}\n";
  text += "- " + std::string(3 * YamlBatch::kBytes, 'y') + "\nother: [z]\n";
  std::vector<std::unique_ptr<YamlBatch>> batches;
  ASSERT_TRUE(
      parse_yaml(yaml_input(text), {text.size(), 10000, 8}, [&](std::unique_ptr<YamlBatch> batch) {
        batches.push_back(std::move(batch));
        return std::make_unique<YamlBatch>();
      }));
  text.assign(text.size(), '#');
  size_t next = 0;
  for (const auto& batch : batches) {
    if (batch->key != "list") break;
    EXPECT_EQ(batch->first, next);
    for (const YamlNode& element : batch->elements) {
      if (next == kCount) {
        EXPECT_EQ(element.text.size(), 3 * YamlBatch::kBytes);
      } else {
        EXPECT_EQ(element.items[1].text, std::to_string(next) + value);
      }
      ++next;
    }
    EXPECT_LE(batch->memory.used() - batch->elements.back().text.size(),
              YamlBatch::kBytes + 3 * value.size());
  }
  EXPECT_EQ(next, kCount + 1);
  EXPECT_GE(batches.size(), kCount * value.size() / YamlBatch::kBytes);
  EXPECT_EQ(batches.back()->key, "other");
  EXPECT_EQ(batches.back()->first, 0U);
}

TEST(YamlTreeTest, EndsWhenNoMoreIsWanted) {
  const auto parsed = parse_yaml(yaml_input("a: [x]\nb: [y]\n"), kLimits,
                                 [](const std::unique_ptr<YamlBatch>& batch) {
                                   EXPECT_EQ(batch->key, "a");
                                   return std::unique_ptr<YamlBatch>();
                                 });
  EXPECT_FALSE(parsed);
}

TEST(YamlTreeTest, TextComesInPieces) {
  const std::string text = "list: [one, two]\n";
  size_t at = 0;
  const auto parsed = parse_yaml(
      [&](std::span<char> buffer) -> Result<size_t> {
        const size_t size = std::min(buffer.size(), text.size() - at);
        std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), size, buffer.begin());
        at += size;
        return size;
      },
      kLimits);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->root().items[1].items[1].text, "two");
  const auto failed = parse_yaml(
      [](std::span<char>) -> Result<size_t> { return system_error(EIO, "/mesh.yaml"); }, kLimits);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, std::errc::io_error);
}

TEST(YamlTreeTest, LimitsHoldExactly) {
  EXPECT_EQ(error_of("[a, b]", {6, 3, 1}), "");
  EXPECT_EQ(error_of("[a, b]", {5, 3, 1}), "limit exceeded: more than 5 bytes of YAML");
  EXPECT_EQ(error_of("[a, b]", {6, 2, 1}), "more than 2 values (line 1)");
  EXPECT_EQ(error_of("[a, b]", {6, 3, 0}), "nested deeper than 0 levels (line 1)");
  EXPECT_EQ(error_of(std::string(100000, '['), {1 << 20, 1000, 8}),
            "nested deeper than 8 levels (line 1)");
}

}  // namespace
}  // namespace culvert::config
