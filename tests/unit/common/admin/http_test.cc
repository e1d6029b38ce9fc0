#include "common/admin/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace culvert::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Request request(std::string path, std::string method = "GET") {
  Request made;
  made.method = std::move(method);
  made.path = std::move(path);
  return made;
}

TEST(Request, DecodesParametersAndLetsTheLastWin) {
  Request made;
  made.query = "level=info&level=ztunnel%3A%3Aproxy%3ddebug&reset&a=b=c&plus=x+y&=empty&&bad=%4";
  EXPECT_THAT(made.parameters(), ElementsAre(Pair("", "empty"), Pair("a", "b=c"), Pair("bad", "%4"),
                                             Pair("level", "ztunnel::proxy=debug"),
                                             Pair("plus", "x y"), Pair("reset", "")));
  EXPECT_TRUE(Request().parameters().empty());
}

TEST(Request, FindsHeadersWithoutCase) {
  Request made;
  made.headers = {{"Accept", "a"}, {"Host", "x"}, {"ACCEPT", "b"}};
  EXPECT_THAT(made.header("accept"), ElementsAre("a", "b"));
  EXPECT_TRUE(made.header("accep").empty());
}

TEST(Site, AnswersPathsAndMethods) {
  Site site;
  site.on("/any", [](const Request& r) { return Response::text(r.method); });
  site.on("/post", [](const Request&) { return Response::text("posted"); }, "POST");
  EXPECT_EQ(site.answer(request("/any", "DELETE")).body, "DELETE");
  EXPECT_EQ(site.answer(request("/post", "POST")).body, "posted");

  const Response wrong = site.answer(request("/post"));
  EXPECT_EQ(wrong.status, 405U);
  EXPECT_EQ(wrong.body, "");
  for (const char* unknown : {"/", "/any/", "/an", "", "/ANY"}) {
    const Response none = site.answer(request(unknown));
    EXPECT_EQ(none.status, 404U) << unknown;
    EXPECT_EQ(none.body, "");
    EXPECT_EQ(none.content_type, "");
  }
}

TEST(Site, ErrorsAndExceptionsAreAnswered) {
  Site site;
  site.on("/error", [](const Request&) -> Result<Response> { return invalid("no data"); });
  site.on("/throws", [](const Request&) -> Result<Response> { throw std::runtime_error("oops"); });
  EXPECT_EQ(site.answer(request("/error")).status, 500U);
  EXPECT_EQ(site.answer(request("/error")).body, "no data\n");
  EXPECT_EQ(site.answer(request("/throws")).status, 500U);
  EXPECT_EQ(site.answer(request("/throws")).body, "oops\n");
}

}  // namespace
}  // namespace culvert::admin
