#include "common/ca/cert_manager.h"

#include "common/base/log.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace culvert::ca {
namespace {

const log::Target kLog{"identity::manager"};
constexpr size_t kMaxRequests = 8;
constexpr auto kFirstBackOff = std::chrono::seconds(1);
constexpr auto kMaxBackOff = std::chrono::seconds(150);
constexpr double kJitter = 0.2;
// A certificate whose half-life is already over (a clock that is off, a very short validity) must
// not turn into requests without pause.
constexpr auto kMinRefresh = std::chrono::seconds(1);
constexpr auto kLateRefresh = std::chrono::seconds(10);

Error forgotten() { return invalid("the identity is no longer needed"); }

}  // namespace

// The life of an identity: fetch() -> queued -> with the signer -> Available (queued for the
// refresh) or Unavailable (queued for the retry) -> … until forget(). What is with the signer is
// known by identity only, so that a result that comes after a forget is dropped, or serves whoever
// has asked again meanwhile.
struct CertManager::State {
  // Position in the queue: the urgent first, then the longest due. What is queued for later is
  // always of background priority, so the head is what to wait for.
  struct Place {
    Priority priority;
    Time due;
    state::Identity identity;
    [[nodiscard]] bool operator<(const Place& other) const {
      return std::tie(other.priority, due, identity) <
             std::tie(priority, other.due, other.identity);
    }
  };
  struct Entry {
    tls::CredentialPtr credential;  // the newest; null before the first and while Unavailable
    std::optional<Error> error;     // set while Unavailable
    std::vector<Signer::Done> waiters;
    std::optional<Place> place;  // in the queue
    Duration back_off = kFirstBackOff;
    [[nodiscard]] bool settled() const { return credential != nullptr || error.has_value(); }
  };

  State(Signer& with, Clocks by) : signer(with), clocks(std::move(by)) {}

  void enqueue(const state::Identity& identity, Entry& entry, Priority priority, Time due);
  void start_due();
  void finish(const state::Identity& identity, Result<tls::CredentialPtr> result);
  void succeed(const state::Identity& identity, Entry& entry, tls::CredentialPtr credential);
  void fail(const state::Identity& identity, Entry& entry, Error error);
  Duration next_back_off(Entry& entry);
  [[nodiscard]] Duration refresh_delay(const tls::Credential& credential) const;

  Signer& signer;
  Clocks clocks;
  std::function<void(const state::Identity&, const tls::CredentialPtr&)> listener;
  std::map<state::Identity, Entry> entries;
  std::set<Place> queue;
  std::set<state::Identity> requested;  // with the signer now
  bool starting = false;
  // The signer may answer after we are gone.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

void CertManager::State::enqueue(const state::Identity& identity, Entry& entry, Priority priority,
                                 Time due) {
  if (entry.place) queue.erase(*entry.place);
  entry.place = Place{priority, due, identity};
  queue.insert(*entry.place);
}

// The signer may answer before sign() returns, and what it calls may call us: so nothing is held
// across the call, and only the outermost call starts requests.
void CertManager::State::start_due() {
  if (std::exchange(starting, true)) return;
  while (!queue.empty() && requested.size() < kMaxRequests &&
         queue.begin()->due <= clocks.steady()) {
    const state::Identity identity = queue.begin()->identity;
    queue.erase(queue.begin());
    entries.at(identity).place.reset();
    requested.insert(identity);
    signer.sign(identity, [this, identity,
                           weak = std::weak_ptr<bool>(alive)](Result<tls::CredentialPtr> result) {
      if (weak.expired()) return;
      finish(identity, std::move(result));
      if (!weak.expired()) start_due();
    });
  }
  starting = false;
}

void CertManager::State::finish(const state::Identity& identity,
                                Result<tls::CredentialPtr> result) {
  requested.erase(identity);
  const auto found = entries.find(identity);
  if (found == entries.end()) return;
  Entry& entry = found->second;
  auto waiters = std::exchange(entry.waiters, {});
  if (result) {
    succeed(identity, entry, *result);
  } else {
    fail(identity, entry, result.error());
  }
  // The answer for those who wait: a failed refresh does not concern them, they have the
  // certificate.
  const Result<tls::CredentialPtr> answer =
      entry.error ? Result<tls::CredentialPtr>(*entry.error) : entry.credential;
  if (result && listener) listener(identity, *result);
  for (auto& waiter : waiters) waiter(answer);
}

void CertManager::State::succeed(const state::Identity& identity, Entry& entry,
                                 tls::CredentialPtr credential) {
  entry.credential = std::move(credential);
  entry.error.reset();
  entry.back_off = kFirstBackOff;
  enqueue(identity, entry, Priority::kBackground,
          clocks.steady() + refresh_delay(*entry.credential));
}

void CertManager::State::fail(const state::Identity& identity, Entry& entry, Error error) {
  const Time now = clocks.steady();
  Duration delay = next_back_off(entry);
  const auto seconds = [](Duration d) { return std::chrono::duration<double>(d).count(); };
  const WallTime wall = clocks.wall();
  if (entry.credential && entry.credential->not_after() > wall) {
    const Duration left = entry.credential->not_after() - wall;
    kLog.warn(
        "{}: certificate renewal failed ({}); retaining existing valid certificate for {:.0f} s",
        identity.to_string(), error.message(), seconds(left));
    delay = std::min(delay, left);
  } else {
    kLog.warn(
        "{}: certificate fetch failed ({}) and no valid existing certificate; will retry in {:.1f} "
        "s",
        identity.to_string(), error.message(), seconds(delay));
    entry.error = std::move(error);
    entry.credential.reset();
  }
  enqueue(identity, entry, Priority::kBackground, now + delay);
}

Duration CertManager::State::next_back_off(Entry& entry) {
  const Duration nominal = entry.back_off;
  entry.back_off = std::min<Duration>(nominal * 2, kMaxBackOff);
  const double factor = 1.0 + kJitter * std::clamp(clocks.jitter(), -1.0, 1.0);
  const auto jittered =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(nominal) * factor);
  return std::min<Duration>(jittered, kMaxBackOff);
}

// Until half of the validity is over.
Duration CertManager::State::refresh_delay(const tls::Credential& credential) const {
  using Seconds = std::chrono::duration<double>;
  const WallTime now = clocks.wall();
  const Seconds from = credential.not_before().time_since_epoch();
  const Seconds to = credential.not_after().time_since_epoch();
  const Seconds today = now.time_since_epoch();
  const Seconds until = (to < from ? to : from + (to - from) / 2) - today;
  const Seconds left = to - today;
  // A year is longer than any process waits, and far from what a time point can overflow with.
  constexpr Seconds kYear = std::chrono::hours(24 * 365);
  if (until >= kMinRefresh) {
    return std::chrono::duration_cast<Duration>(std::min<Seconds>(until, kYear));
  }
  if (left <= Seconds(0)) return kLateRefresh;
  return std::chrono::duration_cast<Duration>(
      std::clamp<Seconds>(left / 2, kMinRefresh, kLateRefresh));
}

CertManager::CertManager(Signer& signer, Clocks clocks)
    : state_(std::make_unique<State>(signer, std::move(clocks))) {}

CertManager::~CertManager() {
  state_->alive.reset();
  for (auto& [identity, entry] : state_->entries) {
    for (auto& waiter : entry.waiters) waiter(forgotten());
  }
}

void CertManager::fetch(const state::Identity& identity, Priority priority, Signer::Done done) {
  State& state = *state_;
  const auto [found, is_new] = state.entries.try_emplace(identity);
  State::Entry& entry = found->second;
  if (entry.settled()) {
    if (entry.error) {
      done(Error(*entry.error));
    } else {
      done(tls::CredentialPtr(entry.credential));
    }
    return;
  }
  entry.waiters.push_back(std::move(done));
  const bool raised = entry.place && entry.place->priority < priority;
  if ((is_new && !state.requested.contains(identity)) || raised) {
    state.enqueue(identity, entry, priority, state.clocks.steady());
  }
  state.start_due();
}

void CertManager::forget(const state::Identity& identity) {
  const auto found = state_->entries.find(identity);
  if (found == state_->entries.end()) return;
  auto waiters = std::move(found->second.waiters);
  if (found->second.place) state_->queue.erase(*found->second.place);
  state_->entries.erase(found);
  for (auto& waiter : waiters) waiter(forgotten());
}

void CertManager::on_update(
    std::function<void(const state::Identity&, const tls::CredentialPtr&)> listener) {
  state_->listener = std::move(listener);
}

Time CertManager::next_wakeup() const {
  // With all requests out it is the signer's answer that goes on, not the time.
  if (state_->queue.empty() || state_->requested.size() >= kMaxRequests) return kNever;
  return state_->queue.begin()->due;
}

void CertManager::poll() { state_->start_due(); }

std::vector<CertManager::Entry> CertManager::entries() const {
  std::vector<Entry> list;
  list.reserve(state_->entries.size());
  for (const auto& [identity, entry] : state_->entries) {
    std::string text = "Initializing";
    if (entry.error) {
      text = "Unavailable: " + entry.error->message();
    } else if (entry.credential) {
      text = "Available";
    }
    list.push_back({identity, std::move(text), entry.credential});
  }
  return list;
}

}  // namespace culvert::ca
