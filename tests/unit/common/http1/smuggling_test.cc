// Families of request smuggling: every message here is read in two ways by some pair of servers, so
// it must not be read in any way by us. Each case is one request whose second reading would start
// another one.
#include "tests/unit/common/http1/transcript.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::http1::test {
namespace {

using namespace std::string_view_literals;

struct Case {
  std::string_view name;
  std::string_view fields;  // after "POST / HTTP/1.1" and Host
  Errc error;
};

const Case kFields[] = {
    {"CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
     Errc::kContentLengthAndTransferEncoding},
    {"TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
     Errc::kContentLengthAndTransferEncoding},
    {"CL.0 with TE", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
     Errc::kContentLengthAndTransferEncoding},
    {"bad CL with TE", "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
     Errc::kContentLengthAndTransferEncoding},

    {"TE.TE identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
     Errc::kTransferEncodingInvalid},
    {"TE.TE reversed", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
     Errc::kTransferEncodingUnsupported},
    {"TE xchunked", "Transfer-Encoding: xchunked\r\n", Errc::kTransferEncodingInvalid},
    {"TE prefix", "Transfer-Encoding: chunke\r\n", Errc::kTransferEncodingInvalid},
    {"TE twice", "Transfer-Encoding: chunked, chunked\r\n", Errc::kTransferEncodingInvalid},
    {"TE two fields", "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
     Errc::kTransferEncodingInvalid},
    {"TE not last", "Transfer-Encoding: chunked, gzip\r\n", Errc::kTransferEncodingInvalid},
    {"TE gzip", "Transfer-Encoding: gzip, chunked\r\n", Errc::kTransferEncodingUnsupported},
    {"TE identity", "Transfer-Encoding: identity\r\n", Errc::kTransferEncodingInvalid},
    {"TE empty", "Transfer-Encoding:\r\n", Errc::kTransferEncodingInvalid},
    {"TE empty element", "Transfer-Encoding: chunked,\r\n", Errc::kTransferEncodingInvalid},
    {"TE leading comma", "Transfer-Encoding: ,chunked\r\n", Errc::kTransferEncodingInvalid},
    {"TE quoted", "Transfer-Encoding: \"chunked\"\r\n", Errc::kTransferEncodingInvalid},
    {"TE parameter", "Transfer-Encoding: chunked;q=1\r\n", Errc::kTransferEncodingInvalid},
    {"TE space", "Transfer-Encoding: chun ked\r\n", Errc::kTransferEncodingInvalid},
    {"TE high byte", "Transfer-Encoding: chunked\x85\r\n", Errc::kTransferEncodingInvalid},
    {"TE vertical tab",
     "Transfer-Encoding: \x0b"
     "chunked\r\n",
     Errc::kHeaderValueInvalid},
    {"TE form feed", "Transfer-Encoding: chunked\x0c\r\n", Errc::kHeaderValueInvalid},
    {"TE NUL", "Transfer-Encoding: chunked\0\r\n"sv, Errc::kHeaderValueInvalid},
    {"TE space before colon", "Transfer-Encoding : chunked\r\n", Errc::kSpaceBeforeColon},
    {"TE tab before colon", "Transfer-Encoding\t: chunked\r\n", Errc::kSpaceBeforeColon},
    {"TE VT before colon", "Transfer-Encoding\x0b: chunked\r\n", Errc::kHeaderNameInvalid},
    {"TE leading space", " Transfer-Encoding: chunked\r\n", Errc::kLineFolding},
    {"TE folded value", "Transfer-Encoding:\r\n chunked\r\n", Errc::kLineFolding},
    {"TE folded tab", "X: y\r\n\tTransfer-Encoding: chunked\r\n", Errc::kLineFolding},
    {"TE behind CR", "X: y\rTransfer-Encoding: chunked\r\n", Errc::kBareCarriageReturn},
    {"TE behind LF", "X: y\nTransfer-Encoding: chunked\r\n", Errc::kBareLineFeed},
    {"TE no colon", "Transfer-Encoding chunked\r\n", Errc::kHeaderMalformed},
    {"TE in name", "Transfer-Encoding\0: chunked\r\n"sv, Errc::kHeaderNameInvalid},

    {"CL conflict", "Content-Length: 1\r\nContent-Length: 2\r\n", Errc::kContentLengthConflict},
    {"CL conflict later", "Content-Length: 1\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
     Errc::kContentLengthConflict},
    {"CL list conflict", "Content-Length: 1, 2\r\n", Errc::kContentLengthConflict},
    {"CL plus", "Content-Length: +1\r\n", Errc::kContentLengthInvalid},
    {"CL minus", "Content-Length: -1\r\n", Errc::kContentLengthInvalid},
    {"CL minus zero", "Content-Length: -0\r\n", Errc::kContentLengthInvalid},
    {"CL hex", "Content-Length: 0x10\r\n", Errc::kContentLengthInvalid},
    {"CL octal mark", "Content-Length: 0o7\r\n", Errc::kContentLengthInvalid},
    {"CL exponent", "Content-Length: 1e1\r\n", Errc::kContentLengthInvalid},
    {"CL fraction", "Content-Length: 1.0\r\n", Errc::kContentLengthInvalid},
    {"CL underscore", "Content-Length: 1_0\r\n", Errc::kContentLengthInvalid},
    {"CL inner space", "Content-Length: 1 0\r\n", Errc::kContentLengthInvalid},
    {"CL empty", "Content-Length:\r\n", Errc::kContentLengthInvalid},
    {"CL empty element", "Content-Length: 1,\r\n", Errc::kContentLengthInvalid},
    {"CL quoted", "Content-Length: \"1\"\r\n", Errc::kContentLengthInvalid},
    {"CL overflow", "Content-Length: 18446744073709551616\r\n", Errc::kContentLengthInvalid},
    {"CL long overflow", "Content-Length: 184467440737095516150\r\n", Errc::kContentLengthInvalid},
    {"CL good and bad", "Content-Length: 1\r\nContent-Length: x\r\n", Errc::kContentLengthInvalid},
    {"CL space before colon", "Content-Length : 1\r\n", Errc::kSpaceBeforeColon},
    {"CL folded", "Content-Length: 1\r\n 0\r\n", Errc::kLineFolding},

    {"empty name", ": x\r\n", Errc::kHeaderNameInvalid},
    {"space only name", " : x\r\n", Errc::kLineFolding},
    {"space in name", "a b: x\r\n", Errc::kHeaderNameInvalid},
    {"name in quotes", "\"a\": x\r\n", Errc::kHeaderNameInvalid},
    {"name with slash", "a/b: x\r\n", Errc::kHeaderNameInvalid},
    {"name with high byte", "a\xffz: x\r\n", Errc::kHeaderNameInvalid},
    {"NUL in value", "A: x\0y\r\n"sv, Errc::kHeaderValueInvalid},
    {"DEL in value", "A: x\x7f\r\n", Errc::kHeaderValueInvalid},
    {"CR at end of value", "A: x\r\r\n", Errc::kBareCarriageReturn},
    {"bare LF ends head", "A: x\n\n", Errc::kBareLineFeed},
    {"bare LF line", "A: x\r\n\nGET /b HTTP/1.1\r\n", Errc::kBareLineFeed},
    {"CR before end", "\rA: x\r\n", Errc::kBareCarriageReturn},
    {"second Host", "Host: other\r\n", Errc::kHostRepeated},
    {"request line as field", "GET /admin HTTP/1.1\r\n", Errc::kHeaderMalformed},
};

TEST(Smuggling, HeaderFields) {
  for (const Case& test : kFields) {
    std::string input = "POST / HTTP/1.1\r\nHost: h\r\n";
    input += test.fields;
    input += "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    EXPECT_EQ(requests({input}), error_line(test.error)) << test.name;
  }
}

TEST(Smuggling, TransferEncodingInHttp10) {
  for (const char* fields :
       {"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: identity\r\n"}) {
    EXPECT_EQ(requests({std::string("POST / HTTP/1.0\r\n") + fields + "\r\n0\r\n\r\n"}),
              error_line(Errc::kTransferEncodingInHttp10))
        << fields;
  }
}

TEST(Smuggling, RequestLine) {
  const Case cases[] = {
      {"two spaces", "GET  / HTTP/1.1\r\n", Errc::kTargetInvalid},
      {"space in target", "GET /a b HTTP/1.1\r\n", Errc::kTargetInvalid},
      {"second version", "GET / HTTP/1.1 HTTP/1.1\r\n", Errc::kTargetInvalid},
      {"trailing space", "GET / HTTP/1.1 \r\n", Errc::kRequestLineMalformed},
      {"leading space", " GET / HTTP/1.1\r\n", Errc::kMethodInvalid},
      {"tab", "GET\t/\tHTTP/1.1\r\n", Errc::kRequestLineMalformed},
      {"tab after method", "GET\t/ / HTTP/1.1\r\n", Errc::kMethodInvalid},
      {"HTTP/0.9", "GET /\r\n", Errc::kRequestLineMalformed},
      {"method only", "GET\r\n", Errc::kRequestLineMalformed},
      {"bare LF", "GET / HTTP/1.1\n", Errc::kBareLineFeed},
      {"bare CR", "GET / HTTP/1.1\rHost: h\r\n", Errc::kBareCarriageReturn},
      {"CR CR LF", "GET / HTTP/1.1\r\r\n", Errc::kBareCarriageReturn},
      {"NUL in target", "GET /\0 HTTP/1.1\r\n"sv, Errc::kTargetInvalid},
      {"lower-case method", "get / HTTP/1.1\r\n", Errc::kMethodInvalid},
      {"mixed-case method", "PoST / HTTP/1.1\r\n", Errc::kMethodInvalid},
      {"method with colon", "GET: / HTTP/1.1\r\n", Errc::kMethodInvalid},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n", Errc::kVersionUnsupported},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(requests({std::string(test.fields) + "Host: h\r\n\r\n"}), error_line(test.error))
        << test.name;
  }
}

TEST(Smuggling, Chunks) {
  const Case cases[] = {
      {"empty size", "\r\nabc\r\n0\r\n\r\n", Errc::kChunkSizeInvalid},
      {"not hex", "g\r\n", Errc::kChunkSizeInvalid},
      {"0x prefix", "0x3\r\nabc\r\n", Errc::kChunkExtensionInvalid},
      {"plus", "+3\r\nabc\r\n", Errc::kChunkSizeInvalid},
      {"minus", "-3\r\nabc\r\n", Errc::kChunkSizeInvalid},
      {"leading space", " 3\r\nabc\r\n", Errc::kChunkSizeInvalid},
      {"trailing space", "3 \r\nabc\r\n", Errc::kChunkExtensionInvalid},
      {"trailing tab", "3\t\r\nabc\r\n", Errc::kChunkExtensionInvalid},
      {"space before extension", "3 ;a\r\nabc\r\n", Errc::kChunkExtensionInvalid},
      {"underscore", "1_0\r\n", Errc::kChunkExtensionInvalid},
      {"17 digits", "00000000000000003\r\nabc\r\n", Errc::kChunkSizeInvalid},
      {"overflow", "10000000000000000\r\n", Errc::kChunkSizeInvalid},
      {"size ends in LF", "3\nabc\r\n0\r\n\r\n", Errc::kBareLineFeed},
      {"size ends in CR", "3\rabc\r\n0\r\n\r\n", Errc::kBareCarriageReturn},
      {"extension ends in LF", "3;a\nabc\r\n0\r\n\r\n", Errc::kBareLineFeed},
      {"extension with CR", "3;a\rb\r\nabc\r\n", Errc::kBareCarriageReturn},
      {"extension with NUL", "3;a\0\r\nabc\r\n"sv, Errc::kChunkExtensionInvalid},
      {"extension with control", "3;\x01\r\nabc\r\n", Errc::kChunkExtensionInvalid},
      {"extension without semicolon", "3,a\r\nabc\r\n", Errc::kChunkExtensionInvalid},
      {"signed last", "-0\r\n\r\n", Errc::kChunkSizeInvalid},
      {"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", Errc::kLineFolding},
      {"trailer ends in LF", "0\r\nA: b\n\r\n", Errc::kBareLineFeed},
      {"end in LF", "0\r\n\n", Errc::kBareLineFeed},
      {"trailer without colon", "0\r\nGET / HTTP/1.1\r\n\r\n", Errc::kHeaderMalformed},
      {"trailer Content-Length", "0\r\nContent-Length: 1\r\n\r\n", Errc::kTrailerForbidden},
      {"trailer TE", "0\r\nTransfer-Encoding: chunked\r\n\r\n", Errc::kTrailerForbidden},
      {"trailer Host", "0\r\nHost: x\r\n\r\n", Errc::kTrailerForbidden},
      {"trailer Authorization", "0\r\nauthorization: x\r\n\r\n", Errc::kTrailerForbidden},
      {"trailer Connection", "0\r\nConnection: x\r\n\r\n", Errc::kTrailerForbidden},
  };
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const Case& test : cases) {
    EXPECT_TRUE(
        requests({head + std::string(test.fields)}).ends_with("\n" + error_line(test.error)))
        << test.name << ": " << requests({head + std::string(test.fields)});
  }
  for (const char* after_data :
       {"abcd\r\n", "abc\n0\r\n\r\n", "abc\rX", "abcX\n", "abc\r\r\n", "abc0\r\n"}) {
    const std::string log = requests({head + "3\r\n" + after_data});
    EXPECT_TRUE(log.ends_with(error_line(Errc::kChunkNotTerminated))) << log;
  }
}

TEST(Smuggling, Responses) {
  const Case cases[] = {
      {"CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
       Errc::kContentLengthAndTransferEncoding},
      {"TE not chunked", "Transfer-Encoding: gzip\r\n", Errc::kTransferEncodingInvalid},
      {"CL conflict", "Content-Length: 1\r\nContent-Length: 2\r\n", Errc::kContentLengthConflict},
      {"space before colon", "Content-Length : 6\r\n", Errc::kSpaceBeforeColon},
      {"folding", "A: b\r\n c\r\n", Errc::kLineFolding},
      {"bare LF", "A: b\n", Errc::kBareLineFeed},
      {"bare CR", "A: b\rB: c\r\n", Errc::kBareCarriageReturn},
      {"NUL", "A: \0\r\n"sv, Errc::kHeaderValueInvalid},
  };
  for (const Case& test : cases) {
    const std::string input = "HTTP/1.1 200 OK\r\n" + std::string(test.fields) + "\r\n";
    EXPECT_EQ(responses({input}), error_line(test.error)) << test.name;
    // A response without a body is forwarded too, so its fields must be as sound.
    EXPECT_EQ(responses({input}, {.head_request = true}), error_line(test.error)) << test.name;
  }
}

}  // namespace
}  // namespace culvert::http1::test
