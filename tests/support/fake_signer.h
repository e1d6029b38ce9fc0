#pragma once

#include "common/ca/signer.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::test {

// A signer that answers when told to.
class FakeSigner final : public ca::Signer {
 public:
  void sign(const state::Identity& identity, Done done) override {
    asked.push_back(identity.service_account);
    pending.emplace_back(identity, std::move(done));
    if (instantly) answer_next(instantly(identity));
  }
  void answer_next(Result<tls::CredentialPtr> result) {
    ASSERT_FALSE(pending.empty());
    auto next = std::move(pending.front());
    pending.pop_front();
    next.second(std::move(result));
  }
  std::vector<std::string> asked;
  std::deque<std::pair<state::Identity, Done>> pending;
  std::function<Result<tls::CredentialPtr>(const state::Identity&)> instantly;
};

}  // namespace culvert::test
