#include "common/ca/csr.h"

#include "common/base/check.h"
#include "common/ca/issue.h"
#include "common/tls/pem.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace culvert::ca {

CertificateRequest::~CertificateRequest() { tls::wipe(private_key_pem); }

Result<CertificateRequest> make_request(const state::Identity& identity) {
  auto san = san_of(identity);
  if (!san) return san.error();
  const auto key = generate_key();
  const bssl::UniquePtr<X509_EXTENSIONS> extensions(sk_X509_EXTENSION_new_null());
  bssl::UniquePtr<X509_EXTENSION> extension(X509V3_EXT_i2d(NID_subject_alt_name, 1, san->get()));
  CULVERT_CHECK(extensions && extension &&
                bssl::PushToStack(extensions.get(), std::move(extension)));
  const bssl::UniquePtr<X509_REQ> request(X509_REQ_new());
  CULVERT_CHECK(request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
                X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0);

  const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  CULVERT_CHECK(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1 &&
                BIO_mem_contents(bio.get(), &data, &size) == 1);
  CertificateRequest made;
  made.csr_pem.assign(reinterpret_cast<const char*>(data), size);
  made.private_key_pem = tls::to_pem(*key);
  return made;
}

}  // namespace culvert::ca
