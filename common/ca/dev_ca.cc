#include "common/ca/dev_ca.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/ca/dev_ca_files.h"
#include "common/ca/issue.h"
#include "common/tls/certificate.h"
#include "common/tls/library_error.h"
#include "common/tls/pem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include <algorithm>
#include <string>
#include <utility>

namespace culvert::ca {
namespace {

const log::Target kLog{"ca::dev"};
constexpr char kOrganization[] = "culvert development CA";
constexpr char kIntermediateOrganization[] = "culvert development intermediate CA";
constexpr auto kRootLifetime = std::chrono::hours(24) * 3650;
constexpr auto kBackDate = std::chrono::minutes(2);  // as istiod: peers' clocks may be behind ours

DevCaFiles make_files(WallTime now) {
  const auto key = generate_key();
  const auto root = make_ca(kOrganization, *key, nullptr, {now - kBackDate, now + kRootLifetime});
  DevCaFiles files;
  files.certificate_pem = tls::to_pem(*root);
  files.key_pem = tls::to_pem(*key);
  return files;
}

Result<bssl::UniquePtr<X509>> parse_root(const std::string& pem) {
  auto blocks = tls::certificate_blocks(pem, "root-cert.pem");
  if (!blocks) return blocks.error();
  if (blocks->empty()) return invalid("root-cert.pem has no certificate");
  ERR_clear_error();
  const auto& der = blocks->front();
  const bssl::UniquePtr<CRYPTO_BUFFER> buffer(CRYPTO_BUFFER_new(der.data(), der.size(), nullptr));
  bssl::UniquePtr<X509> root(X509_parse_from_buffer(buffer.get()));
  if (!root) {
    return invalid("root-cert.pem does not hold an X.509 certificate: " +
                   tls::take_library_errors());
  }
  return root;
}

Result<> check_root(const X509& root, const EVP_PKEY& key, WallTime now) {
  if (EVP_PKEY_cmp(X509_get0_pubkey(&root), &key) != 1) {
    return invalid("root-key.pem does not belong to root-cert.pem");
  }
  if (EVP_PKEY_id(&key) != EVP_PKEY_EC && EVP_PKEY_id(&key) != EVP_PKEY_RSA) {
    return invalid("root-key.pem is neither an EC nor an RSA key");
  }
  if (auto fit = tls::check_key(root); !fit) {
    return invalid("root-cert.pem has " + fit.error().context);
  }
  if ((X509_get_extension_flags(&root) & EXFLAG_CA) == 0) {
    return invalid("root-cert.pem is not a CA certificate");
  }
  const auto times = tls::validity(root);
  if (!times || now < times->not_before || now > times->not_after) {
    return invalid("root-cert.pem is not valid now: delete both files to have a new CA made");
  }
  return {};
}

Error in_folder(const std::filesystem::path& dir, const Error& error) {
  return invalid("development CA in " + dir.string() + ": " + error.message());
}

}  // namespace

struct DevCa::State {
  DevCaOptions options;
  std::string root_pem;
  bssl::UniquePtr<X509> root, intermediate;
  bssl::UniquePtr<EVP_PKEY> root_key, intermediate_key;

  [[nodiscard]] Issuer issuer() const {
    if (intermediate) return {*intermediate, *intermediate_key};
    return {*root, *root_key};
  }
};

DevCa::DevCa(std::unique_ptr<State> state) : state_(std::move(state)) {}
DevCa::~DevCa() = default;

Result<std::unique_ptr<DevCa>> DevCa::open(const std::filesystem::path& dir, DevCaOptions options) {
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  if (!state->options.wall) state->options.wall = [] { return WallClock::now(); };
  const WallTime now = state->options.wall();

  auto files = load_or_create(dir, [now] { return make_files(now); });
  if (!files) return files.error();
  auto root = parse_root(files->certificate_pem);
  if (!root) return in_folder(dir, root.error());
  auto key = tls::parse_private_key(files->key_pem, "root-key.pem");
  if (!key) return in_folder(dir, key.error());
  if (auto fit = check_root(**root, **key, now); !fit) return in_folder(dir, fit.error());
  state->root = std::move(*root);
  state->root_key = std::move(*key);
  state->root_pem = tls::to_pem(*state->root);

  if (state->options.intermediate) {
    const Issuer issuer{*state->root, *state->root_key};
    state->intermediate_key = generate_key();
    state->intermediate = make_ca(kIntermediateOrganization, *state->intermediate_key, &issuer,
                                  {now - kBackDate, tls::validity(*state->root)->not_after});
  }
  kLog.warn(
      "using the development CA in {}: anyone who can read its key can be any workload; not for "
      "production",
      dir.string());
  return std::unique_ptr<DevCa>(new DevCa(std::move(state)));
}

Result<tls::CredentialPtr> DevCa::issue(const state::Identity& identity) {
  const WallTime now = state_->options.wall();
  const auto root_times = tls::validity(*state_->root);
  if (now >= root_times->not_after) return invalid("the development CA's root has expired");
  const Window window{now - kBackDate, std::min(now + state_->options.ttl, root_times->not_after)};

  const auto key = generate_key();
  auto leaf = make_leaf(identity, *key, state_->issuer(), window);
  if (!leaf) return leaf.error();
  tls::CredentialPem pem;
  pem.leaf = tls::to_pem(**leaf);
  if (state_->intermediate) pem.intermediates.push_back(tls::to_pem(*state_->intermediate));
  pem.roots = state_->root_pem;
  pem.private_key = tls::to_pem(*key);
  auto credential = tls::Credential::make(pem);
  tls::wipe(pem.private_key);
  if (!credential) return credential.error();
  // An identity with a slash in a part reads back as another one, or as none.
  if ((*credential)->identity() != identity) {
    return invalid("did not find expected SAN: " + identity.to_string());
  }
  return *credential;
}

void DevCa::sign(const state::Identity& identity, Done done) { done(issue(identity)); }

}  // namespace culvert::ca
