#include "tests/unit/ztunnel/config_fixture.h"

#include <gmock/gmock.h>

namespace culvert::ztunnel {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::pair<const std::string, std::string> kNoDns{"ISTIO_META_DNS_CAPTURE", "false"};

TEST(Unsupported, WhatAsksForNothingIsNotWarnedOf) {
  EXPECT_THAT(config_of({kNoDns, {"LOCAL_XDS_PATH", "/mesh"}, {"XDS_ADDRESS", ""}}).warnings,
              IsEmpty());
}

TEST(Unsupported, RevocationListsAreRefused) {
  EXPECT_THAT(error_of({{"CRL_PATH", "/crl.pem"}}),
              AllOf(HasSubstr("invalid env var CRL_PATH=/crl.pem"), HasSubstr("unset it")));
}

TEST(Unsupported, ADnsProxyAloneIsRefused) {
  EXPECT_THAT(error_of({{"ENABLE_PROXY", "false"}}), HasSubstr("leaves nothing to run"));
}

TEST(Unsupported, DnsThatNobodyAnswersIsWarnedOf) {
  EXPECT_THAT(config_of({}).warnings,
              ElementsAre(AllOf(HasSubstr("port 15053"), HasSubstr("dnsCapture"))));
}

TEST(Unsupported, ASocks5ListenerThatIsNotThereIsWarnedOf) {
  EXPECT_THAT(config_of({kNoDns, {"UNSTABLE_ENABLE_SOCKS5", "true"}}).warnings,
              ElementsAre(HasSubstr("port 15080")));
}

TEST(Unsupported, NamesWithoutEffectAreListedOnce) {
  const auto warnings = config_of({kNoDns,
                                   {"XDS_ADDRESS", "istiod:15012"},
                                   {"CA_HEADER_X", "1"},
                                   {"AUTH_TOKEN", "secret"},
                                   {"CLUSTER_DOMAIN", ""}})
                            .warnings;
  EXPECT_THAT(warnings, ElementsAre(AllOf(HasSubstr("XDS_ADDRESS, AUTH_TOKEN, CA_HEADER_X"),
                                          Not(HasSubstr("secret")), Not(HasSubstr("CLUSTER")))));
}

}  // namespace
}  // namespace culvert::ztunnel
