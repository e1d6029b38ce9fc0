#include "common/config/yaml_tree.h"

#include <gtest/gtest.h>

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
}

TEST(YamlTreeTest, ExactlyOneDocument) {
  EXPECT_EQ(error_of(""), "no YAML document");
  EXPECT_EQ(error_of("# only a comment\n"), "no YAML document");
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"), "more than one YAML document (line 2)");
  EXPECT_EQ(error_of("---\na: 1\n"), "");
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
