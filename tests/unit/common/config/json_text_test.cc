#include "common/config/json_text.h"

#include "common/config/state_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace culvert::config {
namespace {

using nlohmann::json;

TEST(JsonTextTest, LooksLikeTheValueItself) {
  const json value = json::parse(R"({"a": [], "b": {}, "c": [1, {"x": "line\nbreak"}, [2, 3]],
                                     "d": {"y": null}})");
  std::string text;
  JsonText out(text);
  out.begin('{');
  out.key("a");
  out.begin('[');
  out.end();
  out.key("b");
  out.begin('{');
  out.end();
  out.key("c");
  out.begin('[');
  for (const json& item : value["c"]) out.value(item);
  out.end();
  out.key("d");
  out.value(value["d"]);
  out.end();
  EXPECT_EQ(text, dump_text(value));
}

TEST(JsonTextTest, PartsMadeElsewhereFitIn) {
  std::string text;
  JsonText out(text);
  out.begin('{');
  std::string part_text;
  JsonText part(part_text, out.depth());
  part.begin('[');
  part.value({{"x", 1}});
  part.end();
  out.key("part");
  out.raw(part_text);
  out.end();
  EXPECT_EQ(text, dump_text({{"part", {{{"x", 1}}}}}));
}

TEST(JsonTextTest, BadUtf8DoesNotThrow) {
  std::string text;
  JsonText out(text);
  out.begin('{');
  out.key("k\xff");
  out.value("v\xff");
  out.end();
  EXPECT_EQ(json::parse(text), json({{"k\xef\xbf\xbd", "v\xef\xbf\xbd"}}));
}

}  // namespace
}  // namespace culvert::config
