#include "common/state/identity.h"

#include "common/state/hash.h"

#include <fmt/format.h>

#include <array>

namespace culvert::state {
namespace {
constexpr std::string_view kScheme = "spiffe://";
}

Result<Identity> Identity::parse(std::string_view uri) {
  const auto fail = [&] { return invalid(fmt::format("invalid spiffe identity: {}", uri)); };
  if (!uri.starts_with(kScheme)) return fail();
  std::string_view rest = uri.substr(kScheme.size());
  std::array<std::string_view, 5> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t slash = rest.find('/');
    const bool last = i + 1 == parts.size();
    if (last != (slash == std::string_view::npos)) return fail();
    parts[i] = rest.substr(0, slash);
    if (!last) rest.remove_prefix(slash + 1);
  }
  if (parts[1] != "ns" || parts[3] != "sa") return fail();
  return Identity{std::string(parts[0]), std::string(parts[2]), std::string(parts[4])};
}

std::string Identity::to_string() const {
  return fmt::format("{}{}/ns/{}/sa/{}", kScheme, trust_domain, namespace_, service_account);
}

std::string Identity::principal() const {
  return fmt::format("{}/ns/{}/sa/{}", trust_domain, namespace_, service_account);
}

}  // namespace culvert::state

size_t std::hash<culvert::state::Identity>::operator()(
    const culvert::state::Identity& identity) const noexcept {
  return culvert::state::hash_text(identity.trust_domain, identity.namespace_,
                                   identity.service_account);
}
