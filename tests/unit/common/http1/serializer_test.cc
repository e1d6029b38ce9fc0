#include "common/http1/serializer.h"

#include "tests/unit/common/http1/transcript.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace culvert::http1::test {
namespace {

http::RequestHead request(const std::string& method = "GET") {
  http::RequestHead head;
  head.method = method;
  head.scheme = "http";
  head.authority = "h:80";
  head.path = "/p?q";
  return head;
}

std::string text(const ByteQueue& out) { return std::string(as_text(out.readable())); }

std::string written(const http::RequestHead& head, const WriteOptions& options = {}) {
  ByteQueue out;
  auto writer = write_request_head(head, options, out);
  if (!writer) {
    EXPECT_TRUE(out.empty());
    return writer.error().code == Errc::kHeadNotWritable ? "refused" : "other error";
  }
  return text(out);
}

std::string written(const http::ResponseHead& head, const ResponseOptions& options = {}) {
  ByteQueue out;
  auto writer = write_response_head(head, options, out);
  if (!writer) {
    EXPECT_TRUE(out.empty());
    return writer.error().code == Errc::kHeadNotWritable ? "refused" : "other error";
  }
  return text(out);
}

http::ResponseHead response(int status) {
  http::ResponseHead head;
  head.status = status;
  return head;
}

TEST(WriteRequest, LineHostAndFields) {
  auto head = request();
  ASSERT_TRUE(head.headers.add("X-One", "1"));
  ASSERT_TRUE(head.headers.add("x-two", ""));
  EXPECT_EQ(written(head), "GET /p?q HTTP/1.1\r\nhost: h:80\r\nx-one: 1\r\nx-two: \r\n\r\n");
  WriteOptions options{
      .framing = Framing::of_length(3), .close = true, .upgrade = {}, .preserve_case = true};
  EXPECT_EQ(written(head, options),
            "GET /p?q HTTP/1.1\r\nHost: h:80\r\nX-One: 1\r\nx-two: \r\nContent-Length: 3\r\n"
            "Connection: close\r\n\r\n");
}

TEST(WriteRequest, DropsWhatIsNotForTheNextHop) {
  auto head = request("POST");
  for (const auto& [name, value] : std::vector<std::pair<const char*, const char*>>{
           {"connection", "keep-alive, X-Hop, content-type"},
           {"x-hop", "1"},
           {"keep-alive", "5"},
           {"te", "trailers"},
           {"transfer-encoding", "gzip"},
           {"content-length", "99"},
           {"upgrade", "h2c"},
           {"host", "other"},
           {"proxy-connection", "x"},
           {"x-end", "1"}}) {
    ASSERT_TRUE(head.headers.add(name, value));
  }
  WriteOptions options;
  options.framing = Framing::chunked();
  EXPECT_EQ(written(head, options),
            "POST /p?q HTTP/1.1\r\nhost: h:80\r\nx-end: 1\r\ntransfer-encoding: chunked\r\n\r\n");
  options.framing = Framing::none();
  options.upgrade = "websocket";
  EXPECT_EQ(written(head, options),
            "POST /p?q HTTP/1.1\r\nhost: h:80\r\nx-end: 1\r\nconnection: upgrade\r\n"
            "upgrade: websocket\r\n\r\n");
}

TEST(WriteRequest, OtherForms) {
  auto connect = request("CONNECT");
  connect.path.clear();
  EXPECT_EQ(written(connect), "CONNECT h:80 HTTP/1.1\r\nhost: h:80\r\n\r\n");
  auto options = request("OPTIONS");
  options.path = "*";
  EXPECT_EQ(written(options), "OPTIONS * HTTP/1.1\r\nhost: h:80\r\n\r\n");
}

TEST(WriteRequest, RefusesInjection) {
  const auto with = [](std::string http::RequestHead::* member, const std::string& value) {
    auto head = request();
    head.*member = value;
    return written(head);
  };
  for (const char* method : {"", "GET ", "GET / HTTP/1.1\r\nX: y\r\n", "get", "G\nET"}) {
    EXPECT_EQ(with(&http::RequestHead::method, method), "refused") << method;
  }
  for (const char* path : {"", "*", "x", "/a b", "/a\r\nX: y", "/a#b", "http://h/", "/\x80"}) {
    EXPECT_EQ(with(&http::RequestHead::path, path), "refused") << path;
  }
  for (const char* authority : {"", "a b", "a\r\nX: y", "u@a", "a,b", "a:"}) {
    EXPECT_EQ(with(&http::RequestHead::authority, authority), "refused") << authority;
  }
  WriteOptions options;
  options.upgrade = "x\r\ny: z";
  EXPECT_EQ(written(request(), options), "refused");
  options.upgrade = {};
  for (const Framing framing : {Framing::until_close(), Framing::tunnel()}) {
    options.framing = framing;
    EXPECT_EQ(written(request(), options), "refused");
  }
  auto connect = request("CONNECT");
  connect.authority = "no-port";
  EXPECT_EQ(written(connect), "refused");
}

TEST(WriteResponse, Framings) {
  const auto with = [](int status, Framing framing) {
    ResponseOptions options;
    options.framing = framing;
    return written(response(status), options);
  };
  EXPECT_EQ(with(200, Framing::of_length(5)), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  EXPECT_EQ(with(200, Framing::chunked()), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(with(200, Framing::until_close()), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(with(404, Framing::none()), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(with(204, Framing::none()), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(with(204, Framing::of_length(4)), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(with(103, Framing::none()), "HTTP/1.1 103 Early Hints\r\n\r\n");
  EXPECT_EQ(with(299, Framing::none()), "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n");
  for (const int status : {0, 99, 600, -200, 1000}) {
    EXPECT_EQ(with(status, Framing::none()), "refused") << status;
  }
}

TEST(WriteResponse, DescribesTheBodyThatHeadDoesNotGet) {
  auto head = response(200);
  ASSERT_TRUE(head.headers.add("content-length", "7"));
  ResponseOptions options;
  options.head_request = true;
  EXPECT_EQ(written(head, options), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
  head.status = 304;
  EXPECT_EQ(written(head, {}), "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n");
  head.status = 204;
  EXPECT_EQ(written(head, options), "HTTP/1.1 204 No Content\r\n\r\n");
  head.status = 200;
  EXPECT_EQ(written(head, {}), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

TEST(WriteResponse, ToHttp10) {
  ResponseOptions options;
  options.client_version = http::Version::kHttp10;
  options.framing = Framing::of_length(1);
  EXPECT_EQ(written(response(200), options),
            "HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\n");
  options.close = true;
  EXPECT_EQ(written(response(200), options),
            "HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n");
  options.framing = Framing::chunked();
  ByteQueue out;
  auto writer = write_response_head(response(200), options, out);
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->framing(), Framing::until_close());
  EXPECT_EQ(text(out), "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n");
  options.framing = Framing::none();
  EXPECT_EQ(written(response(100), options), "refused");
}

TEST(WriteResponse, Tunnels) {
  ResponseOptions options;
  options.framing = Framing::tunnel();
  EXPECT_EQ(written(response(200), options), "refused") << "no CONNECT, no upgrade";
  options.connect_request = true;
  EXPECT_EQ(written(response(200), options), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(written(response(403), options), "refused");
  options.framing = Framing::of_length(0);
  EXPECT_EQ(written(response(200), options), "refused") << "would be a tunnel to the client";

  ResponseOptions upgrade;
  upgrade.framing = Framing::tunnel();
  EXPECT_EQ(written(response(101), upgrade), "refused") << "to what?";
  upgrade.upgrade = "websocket";
  EXPECT_EQ(
      written(response(101), upgrade),
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  EXPECT_EQ(written(response(200), upgrade), "refused");
}

TEST(BodyWriter, Chunks) {
  BodyWriter writer(Framing::chunked());
  ByteQueue out;
  ASSERT_TRUE(writer.write(as_bytes("abc"), out));
  ASSERT_TRUE(writer.write({}, out)) << "must not end the body";
  ASSERT_TRUE(writer.begin_data(17, out));
  out.append(as_bytes("0123456789abcdefg"));
  writer.end_data(out);
  http::Headers trailers;
  ASSERT_TRUE(trailers.add("X-T", "1"));
  ASSERT_TRUE(trailers.add("Content-Length", "1"));
  ASSERT_TRUE(writer.finish(trailers, out));
  EXPECT_EQ(text(out), "3\r\nabc\r\n11\r\n0123456789abcdefg\r\n0\r\nx-t: 1\r\n\r\n");
  EXPECT_EQ(writer.write(as_bytes("x"), out).error().code, Errc::kBodyNotAllowed);
}

TEST(BodyWriter, HoldsTheHeadToItsWord) {
  ByteQueue out;
  BodyWriter exact(Framing::of_length(3));
  ASSERT_TRUE(exact.write(as_bytes("ab"), out));
  EXPECT_EQ(exact.finish(out).error().code, Errc::kBodyTooShort);
  EXPECT_EQ(exact.write(as_bytes("cd"), out).error().code, Errc::kBodyTooLong);
  ASSERT_TRUE(exact.write(as_bytes("c"), out));
  EXPECT_TRUE(exact.finish(out));
  EXPECT_EQ(text(out), "abc");
  BodyWriter none(Framing::none());
  EXPECT_EQ(none.write(as_bytes("x"), out).error().code, Errc::kBodyNotAllowed);
  EXPECT_TRUE(none.finish(out));
  EXPECT_EQ(text(out), "abc");
}

TEST(WriteContinue, IsOneInformationalResponse) {
  ByteQueue out;
  write_continue(out);
  EXPECT_EQ(responses({text(out)}), "informational 100 HTTP/1.1\nmore\n");
}

// Whatever the serialiser writes, the parser reads as the same message, and as one message.
TEST(RoundTrip, RandomRequests) {
  std::mt19937 random(3);
  const auto word = [&](std::string_view alphabet, size_t most) {
    std::string result;
    const size_t size = 1 + random() % most;
    for (size_t i = 0; i < size; ++i) result += alphabet[random() % alphabet.size()];
    return result;
  };
  for (int round = 0; round < 5000; ++round) {
    auto head = request(word("ABCXYZ-_!", 10));
    head.path = "/" + word("abc/%.?=&\\{|};,", 30);
    for (size_t i = random() % 10; i > 0; --i) {
      ASSERT_TRUE(head.headers.add("x-" + word("ab-.~", 8), word("ab ,:;\t\"\x80\xff", 20)));
    }
    const std::string body = random() % 2 == 0 ? "" : word("\r\n0abc", 50);
    WriteOptions options;
    options.framing = random() % 2 == 0 ? Framing::chunked() : Framing::of_length(body.size());
    ByteQueue out;
    auto writer = write_request_head(head, options, out);
    ASSERT_TRUE(writer);
    const size_t half = body.size() / 2;
    ASSERT_TRUE(writer->write(as_bytes(body).first(half), out));
    ASSERT_TRUE(writer->write(as_bytes(body).subspan(half), out));
    http::Headers trailers;
    ASSERT_TRUE(trailers.add("x-t", word("ab", 5)));
    ASSERT_TRUE(writer->finish(trailers, out));

    const bool chunked = options.framing.kind == Framing::Kind::kChunked;
    std::string expected = "head " + head_text(head);
    expected += chunked ? " transfer-encoding=chunked\n"
                        : " content-length=" + std::to_string(body.size()) + "\n";
    if (!body.empty()) expected += "data " + body + "\n";
    if (chunked) expected += "trailers" + fields_text(trailers) + "\n";
    expected += "end\n";
    const std::string bytes = text(out);
    ASSERT_EQ(requests({bytes + bytes}), expected + expected);
  }
}

TEST(RoundTrip, Responses) {
  for (int status = 200; status < 600; ++status) {
    if (status == 204 || status == 304) continue;
    auto head = response(status);
    ASSERT_TRUE(head.headers.add("x", "y"));
    ResponseOptions options;
    options.framing = Framing::of_length(2);
    ByteQueue out;
    auto writer = write_response_head(head, options, out);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(as_bytes("ok"), out));
    ASSERT_TRUE(writer->finish(out));
    EXPECT_EQ(responses({text(out)}),
              "head " + std::to_string(status) + " HTTP/1.1 x=y content-length=2\ndata ok\nend\n");
  }
}

}  // namespace
}  // namespace culvert::http1::test
