#include "common/state/policy_scope.h"

#include "common/state/hash.h"

#include <algorithm>
#include <optional>

namespace culvert::state {
namespace {

// What a match may name exactly; the earlier, the fewer connections have it. A key is the hash of
// one such value: two of one hash cost a comparison in vain, no more.
enum class Kind : uint8_t { kPrincipal, kServiceAccount, kNamespace, kPort };

uint64_t key_of(Kind kind, size_t hash) { return combine_hash(hash, static_cast<size_t>(kind)); }

// A connection that has none of `keys` cannot match.
struct Guard {
  Kind weakest = Kind::kPrincipal;
  std::vector<uint64_t> keys;
};

Guard guard(Kind kind, std::vector<uint64_t> keys) { return {kind, std::move(keys)}; }

bool all_exact(const std::vector<StringMatch>& texts) {
  return !texts.empty() && std::ranges::all_of(texts, [](const StringMatch& text) {
    return text.kind == StringMatch::Kind::kExact;
  });
}

std::vector<uint64_t> keys_of(Kind kind, const std::vector<StringMatch>& texts) {
  std::vector<uint64_t> keys;
  keys.reserve(texts.size());
  for (const auto& text : texts) keys.push_back(key_of(kind, hash_text(text.value)));
  return keys;
}

std::optional<Guard> guard_of(const PolicyMatch& match) {
  if (match.empty()) return Guard{};  // never matches
  if (all_exact(match.principals)) {
    return guard(Kind::kPrincipal, keys_of(Kind::kPrincipal, match.principals));
  }
  if (!match.service_accounts.empty()) {
    Guard accounts{Kind::kServiceAccount, {}};
    for (const auto& account : match.service_accounts) {
      accounts.keys.push_back(
          key_of(accounts.weakest, hash_text(account.namespace_, account.service_account)));
    }
    return accounts;
  }
  if (all_exact(match.namespaces)) {
    return guard(Kind::kNamespace, keys_of(Kind::kNamespace, match.namespaces));
  }
  if (match.destination_ports.empty()) return std::nullopt;
  Guard ports{Kind::kPort, {}};
  for (const uint16_t port : match.destination_ports) {
    ports.keys.push_back(key_of(ports.weakest, port));
  }
  return ports;
}

// Any of the matches will do, so the keys of all count. Without matches it is always true.
std::optional<Guard> guard_of(const PolicyClause& clause) {
  if (clause.empty()) return std::nullopt;
  Guard all;
  for (const PolicyMatch& match : clause) {
    const auto one = guard_of(match);
    if (!one) return std::nullopt;
    all.weakest = std::max(all.weakest, one->weakest);
    all.keys.insert(all.keys.end(), one->keys.begin(), one->keys.end());
  }
  return all;
}

// All clauses are needed, so the keys of any one will do.
std::optional<Guard> guard_of(const PolicyRule& rule) {
  std::optional<Guard> best;
  for (const PolicyClause& clause : rule) {
    auto one = guard_of(clause);
    if (one && (!best || one->weakest < best->weakest)) best = std::move(one);
  }
  return best;
}

// Any of the rules will do; without rules it never matches. nullopt: any connection may.
std::optional<std::vector<uint64_t>> keys_of(const Policy& policy) {
  std::vector<uint64_t> keys;
  for (const PolicyRule& rule : policy.rules) {
    const auto one = guard_of(rule);
    if (!one) return std::nullopt;
    keys.insert(keys.end(), one->keys.begin(), one->keys.end());
  }
  return keys;
}

}  // namespace

PolicyQuery::PolicyQuery(const Identity* source, uint16_t destination_port) {
  // Without an identity no principal and no account matches, whereas the namespace is "".
  const uint64_t port = key_of(Kind::kPort, destination_port);
  if (source == nullptr) {
    keys_ = {key_of(Kind::kNamespace, hash_text("")), port, port, port};
    return;
  }
  keys_ = {key_of(Kind::kPrincipal, hash_text(source->principal())),
           key_of(Kind::kServiceAccount, hash_text(source->namespace_, source->service_account)),
           key_of(Kind::kNamespace, hash_text(source->namespace_)), port};
}

void PolicySelection::note_action(const Policy& policy) {
  if (policy.action != Policy::Action::kAllow) return;
  (policy.dry_run ? has_dry_run_allow : has_allow) = true;
}

PolicyScope::PolicyScope(std::string name, std::vector<PolicyPtr> policies)
    : name_(std::move(name)), policies_(std::move(policies)) {
  for (uint32_t position = 0; position < policies_.size(); ++position) {
    const Policy& policy = *policies_[position];
    actions_.note_action(policy);
    if (const auto keys = keys_of(policy)) {
      for (const uint64_t key : *keys) with_key_.emplace_back(key, position);
    } else {
      always_.push_back(position);
    }
  }
  std::sort(with_key_.begin(), with_key_.end());
}

void PolicyScope::select(const PolicyQuery& query, PolicySelection& into) const {
  into.has_allow = into.has_allow || actions_.has_allow;
  into.has_dry_run_allow = into.has_dry_run_allow || actions_.has_dry_run_allow;
  std::vector<uint32_t> positions = always_;
  for (const uint64_t key : query.keys()) {
    auto found = std::lower_bound(with_key_.begin(), with_key_.end(), std::pair(key, uint32_t{0}));
    for (; found != with_key_.end() && found->first == key; ++found) {
      positions.push_back(found->second);
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  for (const uint32_t position : positions) into.policies.push_back(policies_[position].get());
}

}  // namespace culvert::state
