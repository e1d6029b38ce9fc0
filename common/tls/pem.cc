#include "common/tls/pem.h"

#include "common/tls/errors.h"
#include "common/tls/library_error.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <optional>

namespace culvert::tls {
namespace {

// One block as the library hands it out; its memory is wiped when freed, as all of the library's
// is.
struct Block {
  bssl::UniquePtr<char> label, header;
  bssl::UniquePtr<uint8_t> data;
  size_t size = 0;
};

Error bad(std::string_view what, std::string_view why) {
  return {Errc::kBadCertificate, std::string(what) + ": " + std::string(why)};
}

bssl::UniquePtr<BIO> reader(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
}

// The next block, or nothing at the end of the text.
Result<std::optional<Block>> next_block(BIO* bio, std::string_view what) {
  ERR_clear_error();
  char *label = nullptr, *header = nullptr;
  uint8_t* data = nullptr;
  long size = 0;
  if (PEM_read_bio(bio, &label, &header, &data, &size) != 1) {
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
      ERR_clear_error();
      return std::optional<Block>();
    }
    return bad(what, "broken PEM: " + take_library_errors());
  }
  Block block;
  block.label.reset(label);
  block.header.reset(header);
  block.data.reset(data);
  block.size = static_cast<size_t>(size);
  return std::optional<Block>(std::move(block));
}

std::string contents(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  CULVERT_CHECK(BIO_mem_contents(bio, &data, &size) == 1);
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

Result<std::vector<std::vector<uint8_t>>> certificate_blocks(std::string_view pem,
                                                             std::string_view what) {
  std::vector<std::vector<uint8_t>> blocks;
  const auto bio = reader(pem);
  for (;;) {
    auto block = next_block(bio.get(), what);
    if (!block) return block.error();
    if (!*block) return blocks;
    const Block& found = **block;
    if (std::string_view(found.label.get()) != PEM_STRING_X509) continue;
    blocks.emplace_back(found.data.get(), found.data.get() + found.size);
  }
}

Result<bssl::UniquePtr<EVP_PKEY>> parse_private_key(std::string_view pem, std::string_view what) {
  const auto bio = reader(pem);
  auto block = next_block(bio.get(), what);
  if (!block) return block.error();
  if (!*block) return bad(what, "no PEM block");
  const Block& found = **block;
  if (std::string_view(found.label.get()) != PEM_STRING_PKCS8INF) {
    return bad(what, std::string("expected a PKCS#8 \"PRIVATE KEY\" block, found \"") +
                         found.label.get() + "\"");
  }
  CBS der;
  CBS_init(&der, found.data.get(), found.size);
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_private_key(&der));
  if (!key || CBS_len(&der) != 0) {
    return bad(what, "not a PKCS#8 private key: " + take_library_errors());
  }
  return key;
}

std::string to_pem(const X509& certificate) {
  const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  // The library's writer takes a non-const certificate and does not change it.
  CULVERT_CHECK(PEM_write_bio_X509(bio.get(), const_cast<X509*>(&certificate)) == 1);
  return contents(bio.get());
}

std::string to_pem(const EVP_PKEY& private_key) {
  const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  CULVERT_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), const_cast<EVP_PKEY*>(&private_key),
                                              nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return contents(bio.get());
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace culvert::tls
