#include "common/ca/csr.h"

#include "common/tls/pem.h"
#include "tests/support/test_ca.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace culvert::ca {
namespace {

bssl::UniquePtr<X509_REQ> parse(const std::string& pem) {
  const bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return bssl::UniquePtr<X509_REQ>(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
}

TEST(Csr, HasOneCriticalUriAndNothingElse) {
  const auto made = make_request(test::identity("demo", "app"));
  ASSERT_TRUE(made);
  const auto request = parse(made->csr_pem);
  ASSERT_TRUE(request);
  EXPECT_EQ(X509_NAME_entry_count(X509_REQ_get_subject_name(request.get())), 0);
  const bssl::UniquePtr<STACK_OF(X509_EXTENSION)> extensions(
      X509_REQ_get_extensions(request.get()));
  ASSERT_TRUE(extensions);
  ASSERT_EQ(sk_X509_EXTENSION_num(extensions.get()), 1U);
  const X509_EXTENSION* extension = sk_X509_EXTENSION_value(extensions.get(), 0);
  EXPECT_EQ(X509_EXTENSION_get_critical(extension), 1);
  const bssl::UniquePtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509V3_EXT_d2i(extension)));
  ASSERT_TRUE(names);
  ASSERT_EQ(sk_GENERAL_NAME_num(names.get()), 1U);
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  ASSERT_EQ(name->type, GEN_URI);
  const ASN1_STRING* uri = name->d.uniformResourceIdentifier;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                        static_cast<size_t>(ASN1_STRING_length(uri))),
            "spiffe://cluster.local/ns/demo/sa/app");
}

TEST(Csr, IsSignedWithTheKeyThatComesWithIt) {
  const auto made = make_request(test::identity("demo", "app"));
  ASSERT_TRUE(made);
  const auto key = tls::parse_private_key(made->private_key_pem, "key");
  ASSERT_TRUE(key);
  EXPECT_EQ(EVP_PKEY_get_ec_curve_nid(key->get()), NID_X9_62_prime256v1);
  const auto request = parse(made->csr_pem);
  EXPECT_EQ(X509_REQ_verify(request.get(), key->get()), 1);
}

TEST(Csr, EveryRequestHasAFreshKey) {
  const auto one = make_request(test::identity("demo", "app"));
  const auto two = make_request(test::identity("demo", "app"));
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->private_key_pem, two->private_key_pem);
}

TEST(Csr, RefusesWhatDoesNotFitACertificate) {
  EXPECT_FALSE(make_request(test::identity("demo", std::string("a\0b", 3))));
  EXPECT_FALSE(make_request(test::identity("demo", "ä")));
  EXPECT_FALSE(make_request(test::identity("demo", "a b")));
  const size_t frame = test::spiffe("demo", "").size();
  EXPECT_TRUE(make_request(test::identity("demo", std::string(2048 - frame, 'x'))));
  EXPECT_FALSE(make_request(test::identity("demo", std::string(2049 - frame, 'x'))));
}

}  // namespace
}  // namespace culvert::ca
