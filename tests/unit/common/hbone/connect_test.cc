#include "common/hbone/connect.h"

#include "tests/support/state_builders.h"

#include <gtest/gtest.h>

namespace culvert::hbone {
namespace {

h2::Head head(std::vector<h2::Head::Entry> fields) { return {std::move(fields)}; }

TEST(BaggageTest, WritesWhatIsKnownInOrder) {
  state::WorkloadSpec spec;
  spec.cluster_id = "c1";
  spec.namespace_ = "ns";
  spec.workload_type = "cronjob";
  spec.workload_name = "w";
  spec.canonical_name = "app";
  spec.canonical_revision = "v1";
  spec.locality.region = "r";
  spec.locality.zone = "z";
  const auto workload = state::Workload::make(spec);
  EXPECT_EQ(format_baggage(*workload),
            "k8s.cluster.name=c1,k8s.namespace.name=ns,k8s.cronjob.name=w,service.name=app,"
            "service.version=v1,cloud.region=r,cloud.availability_zone=z");
  const Baggage back = parse_baggage(head({{"baggage", format_baggage(*workload)}}));
  EXPECT_EQ(back, (Baggage{"c1", "ns", "w", "app", "v1", "r", "z"}));
  EXPECT_EQ(format_baggage(*state::Workload::make({})), "");
}

TEST(BaggageTest, ReadsLikeZtunnel) {
  const auto parse = [](std::vector<h2::Head::Entry> fields) {
    return parse_baggage(head(std::move(fields)));
  };
  EXPECT_EQ(parse({}), Baggage{});
  EXPECT_EQ(parse({{"baggage", ""}}), Baggage{});
  EXPECT_EQ(parse({{"baggage", "k8s.cluster.name=,service.name="}}), Baggage{});
  for (const char* kind : {"deployment", "cronjob", "pod", "job"})
    EXPECT_EQ(parse({{"baggage", std::string("k8s.") + kind + ".name=w"}}).workload_name, "w");
  EXPECT_EQ(parse({{"baggage", "k8s.statefulset.name=w,unknown=1,=,"}}), Baggage{});
  // Lines are merged; the last of a key wins, an empty one too.
  EXPECT_EQ(parse({{"baggage", "service.name=a,service.version=1"}, {"baggage", "service.name=b"}}),
            (Baggage{.service_name = "b", .service_version = "1"}));
  EXPECT_EQ(parse({{"baggage", "service.name=a,service.name="}}), Baggage{});
  // Only the part up to a second '=', and no trimming.
  EXPECT_EQ(parse({{"baggage", "service.name=a=b, service.version=1"}}),
            (Baggage{.service_name = "a"}));
  EXPECT_EQ(parse({{"baggage", "service.name=a"}, {"baggage", "cloud.region=\xc3\xa9"}}),
            Baggage{});
}

TEST(AuthorityTest, IsAnAddressOrANameWithAPort) {
  const std::vector<std::pair<std::string, std::string>> good{
      {"10.0.0.1:80", "10.0.0.1:80"},
      {"[2001:db8::1]:15008", "[2001:db8::1]:15008"},
      {"svc.ns.svc.cluster.local:443", "svc.ns.svc.cluster.local:443"}};
  for (const auto& [text, back] : good) {
    auto authority = parse_authority(text);
    ASSERT_TRUE(authority) << text;
    EXPECT_EQ(to_string(*authority), back);
  }
  EXPECT_TRUE(std::holds_alternative<net::SocketAddress>(*parse_authority("10.0.0.1:80")));
  EXPECT_TRUE(std::holds_alternative<net::SocketAddress>(*parse_authority("[::1]:80")));
  EXPECT_EQ(std::get<HostPort>(*parse_authority("a.b:1")), (HostPort{"a.b", 1}));
  for (const char* text :
       {"", ":80", "host", "host:", "host:65536", "host:-1", "host:+1", "host:8 ", "10.0.0.1",
        "[::1]", "::1:80:", "user@host:80", "ho st:80", "a/b:80"}) {
    auto authority = parse_authority(text);
    ASSERT_FALSE(authority) << text;
    EXPECT_EQ(authority.error().code, make_error_code(Errc::kNoAuthority));
  }
}

TEST(ForwardedTest, IsWrittenAsZtunnelDoes) {
  EXPECT_EQ(format_forwarded(test::address("10.0.0.1:80"), ""), "for=\"10.0.0.1:80\"");
  EXPECT_EQ(format_forwarded(test::address("[::1]:80"), "svc.ns.svc"),
            "for=\"[::1]:80\";host=svc.ns.svc");
}

TEST(ForwardedTest, TheHostIsReadLeniently) {
  const auto parse = [](std::string value) {
    return parse_forwarded_host(head({{"forwarded", std::move(value)}}));
  };
  EXPECT_EQ(parse("for=\"1.2.3.4:5\";host=svc"), "svc");
  EXPECT_EQ(parse("host=\"svc\";for=1.2.3.4"), "svc");
  EXPECT_EQ(parse("for=1.2.3.4; host=svc ;proto=http"), "svc");
  EXPECT_EQ(parse("host=a;host=b"), "a");
  EXPECT_EQ(parse("Host=svc"), std::nullopt);
  EXPECT_EQ(parse("for=1.2.3.4"), std::nullopt);
  EXPECT_EQ(parse("host="), std::nullopt);
  EXPECT_EQ(parse("host=\"\""), std::nullopt);
  EXPECT_EQ(parse("host=\""), std::nullopt);
  EXPECT_EQ(parse("host=sv\xc3\xa9"), std::nullopt);
  EXPECT_EQ(parse_forwarded_host(head({})), std::nullopt);
  EXPECT_EQ(parse_forwarded_host(head({{"forwarded", "for=x"}, {"forwarded", "host=b"}})),
            std::nullopt);
}

TEST(ConnectRequestTest, FieldsInTheirOrder) {
  EXPECT_EQ(make_traceparent(1, 0xab, 0xffffffffffffffff),
            "00-000000000000000100000000000000ab-ffffffffffffffff-00");
  ConnectRequest request{.authority = "a:1", .baggage = "", .forwarded = "f", .traceparent = "t"};
  const auto names = [&] {
    std::string out;
    for (const auto& field : to_fields(request))
      out += std::string(field.name) + "=" + std::string(field.value) + " ";
    return out;
  };
  EXPECT_EQ(names(), ":method=CONNECT :authority=a:1 baggage= forwarded=f traceparent=t ");
  // Different for each connection: HPACK's table would only lose what repeats.
  for (const auto& field : to_fields(request))
    EXPECT_EQ(field.no_index, field.name == "forwarded" || field.name == "traceparent");
  request.origin_network = "n";
  EXPECT_EQ(names(),
            ":method=CONNECT :authority=a:1 baggage= forwarded=f traceparent=t "
            "x-forwarded-network=n ");
}

TEST(StatusTest, IsReadFromTheHead) {
  EXPECT_EQ(parse_status(head({{":status", "503"}})), 503);
  EXPECT_EQ(parse_status(head({})), 0);
  EXPECT_EQ(status_reason(401), "Unauthorized");
}

}  // namespace
}  // namespace culvert::hbone
