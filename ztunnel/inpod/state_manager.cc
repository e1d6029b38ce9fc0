#include "ztunnel/inpod/state_manager.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "ztunnel/inpod/backoff.h"
#include "ztunnel/inpod/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::ztunnel::inpod {
namespace {

const log::Target kLog{"inpod::statemanager"};

std::string name_of(const PodInfo& info) { return info.namespace_ + "/" + info.name; }

template <class Map>
std::vector<std::string> keys(const Map& map) {
  std::vector<std::string> out;
  out.reserve(map.size());
  for (const auto& entry : map) out.push_back(entry.first);
  return out;
}

}  // namespace

StateManager::StateManager(PodProxies& proxies, std::function<Time()> now,
                           std::function<void()> changed, Timing timing)
    : proxies_(proxies), now_(std::move(now)), changed_(std::move(changed)), timing_(timing) {}

void StateManager::begin_connection() {
  snapshot_names_.clear();
  snapshot_received_ = false;
  pending_.clear();
  retry_at_ = kNever;
  for (auto& [uid, start] : starting_) {
    start.reply = {};
    start.deadline = kNever;
  }
  changed_();
}

void StateManager::handle(Request request, Reply reply) {
  if (draining_) return reply(Error(Errc::kStartProxy, "ztunnel is shutting down"));
  if (auto* message = std::get_if<Add>(&request)) return add(std::move(*message), std::move(reply));
  Result<> result;
  if (const auto* message = std::get_if<Keep>(&request))
    result = keep(*message);
  else if (const auto* removed = std::get_if<Del>(&request))
    del(*removed);
  else
    result = finish_snapshot();
  changed_();
  reply(std::move(result));
}

bool StateManager::has_room_for(const std::string& uid) const {
  if (running_.contains(uid) || starting_.contains(uid) || pending_.contains(uid)) return true;
  return running_.size() + starting_.size() + pending_.size() < kMaxPods;
}

void StateManager::add(Add request, Reply reply) {
  const std::string& uid = request.uid;
  if (!request.info) return reply(Error(Errc::kProcessMessage, "no workload info"));
  if (!has_room_for(uid) ||
      (!snapshot_received_ && snapshot_names_.size() >= kMaxPods && !snapshot_names_.contains(uid)))
    return reply(Error(Errc::kProcessMessage, fmt::format("more than {} pods", kMaxPods)));
  if (!snapshot_received_) snapshot_names_.insert(uid);
  auto netns = net::Netns::open(std::move(request.netns));
  if (!netns) return reply(Error(Errc::kStartProxy, netns.error().message()));
  Pod pod{std::move(*request.info), std::move(*netns)};

  if (const auto start = starting_.find(uid); start != starting_.end())
    return take_over(start->second, uid, std::move(pod), std::move(reply));
  if (const auto running = running_.find(uid); running != running_.end()) {
    if (running->second.netns->id() == pod.netns->id()) {
      kLog.debug("pod {} ({}) is already served", name_of(pod.info), uid);
      return reply(Result<>());
    }
    kLog.info("pod {} ({}) has a new network namespace, replacing its proxy", name_of(pod.info),
              uid);
    stop(uid);
  }
  launch(uid, std::move(pod), std::move(reply), now_() + timing_.start_limit);
}

// An Add for a pod whose start is under way: joins it, or comes after it when the namespace is
// another.
void StateManager::take_over(Start& start, const std::string& uid, Pod pod, Reply reply) {
  const bool same = start.pod.netns->id() == pod.netns->id();
  start.wanted = same;
  start.next.reset();
  if (!same) start.next = std::move(pod);
  start.deadline = now_() + timing_.start_limit;
  if (Reply earlier = std::exchange(start.reply, std::move(reply)))
    earlier(Error(Errc::kStartProxy, "added again meanwhile: " + uid));
  changed_();
}

void StateManager::launch(const std::string& uid, Pod pod, Reply reply, Time deadline) {
  const Pod copy = pod;
  starting_.emplace(uid, Start{std::move(pod), true, std::nullopt, std::move(reply), deadline});
  std::weak_ptr<const bool> alive = alive_;
  proxies_.start(uid, copy.info, copy.netns, [this, alive, uid = uid](const Result<>& result) {
    if (!alive.expired()) on_started(uid, result);
  });
  changed_();
}

void StateManager::on_started(const std::string& uid, const Result<>& result) {
  const auto found = starting_.find(uid);
  CULVERT_CHECK(found != starting_.end());  // `done` comes once
  Start start = std::move(found->second);
  starting_.erase(found);

  if (result) {
    ++started_;
    running_.emplace(uid, start.pod);
    if (!start.wanted)
      stop(uid);
    else if (draining_)
      stop_gracefully(uid);
  }
  if (start.next && !draining_)
    return launch(uid, std::move(*start.next), std::move(start.reply), start.deadline);

  Result<> outcome;
  if (!result) {
    outcome = Error(Errc::kStartProxy, result.error().message());
    if (start.wanted && !draining_) fail(uid, start.pod, result.error());
  } else if (start.wanted) {
    kLog.info("pod {} ({}) is served", name_of(start.pod.info), uid);
    pending_.erase(uid);
    schedule_retry();
  } else {
    outcome = Error(Errc::kStartProxy, "the pod was removed meanwhile");
  }
  changed_();
  if (start.reply) start.reply(std::move(outcome));
  finish_drain();
}

void StateManager::fail(const std::string& uid, const Pod& pod, const Error& error) {
  std::string text = error.message();
  Failed& failed = pending_[uid];
  // Every retry fails alike; the log says so once.
  if (failed.error != text)
    kLog.warn(
        "cannot start the proxy of pod {} ({}): {}. Its traffic is not served; retrying every {}",
        name_of(pod.info), uid, text, to_text(timing_.retry_interval));
  failed = {pod, std::move(text)};
  schedule_retry();
}

// One timer for all pending pods: set by the first failure, not moved by later ones.
void StateManager::schedule_retry() {
  if (pending_.empty())
    retry_at_ = kNever;
  else if (retry_at_ == kNever)
    retry_at_ = now_() + timing_.retry_interval;
}

Result<> StateManager::keep(const Keep& request) {
  if (snapshot_received_) return Error(Errc::kProcessMessage, "pod keep received after snapshot");
  if (snapshot_names_.size() >= kMaxPods && !snapshot_names_.contains(request.uid))
    return Error(Errc::kProcessMessage, fmt::format("more than {} pods", kMaxPods));
  snapshot_names_.insert(request.uid);
  return {};
}

void StateManager::del(const Del& request) {
  const std::string& uid = request.uid;
  pending_.erase(uid);
  schedule_retry();
  if (const auto start = starting_.find(uid); start != starting_.end()) abandon(start->second);
  if (!snapshot_received_)
    snapshot_names_.erase(uid);
  else if (running_.contains(uid))
    stop(uid);
}

Result<> StateManager::finish_snapshot() {
  if (snapshot_received_) return Error(Errc::kProcessMessage, "pod snapshot received already");
  snapshot_received_ = true;
  const std::set<std::string> names = std::exchange(snapshot_names_, {});
  for (const std::string& uid : keys(running_))
    if (!names.contains(uid)) {
      kLog.info("pod {} ({}) is not in the node agent's snapshot, stopping its proxy",
                name_of(running_.at(uid).info), uid);
      stop(uid);
    }
  for (auto& [uid, start] : starting_)
    if (!names.contains(uid)) abandon(start);
  std::erase_if(pending_, [&](const auto& entry) { return !names.contains(entry.first); });
  schedule_retry();
  return {};
}

void StateManager::abandon(Start& start) {
  start.wanted = false;
  start.next.reset();
}

void StateManager::stop(const std::string& uid) {
  running_.erase(uid);
  ++stopping_;
  std::weak_ptr<const bool> alive = alive_;
  proxies_.stop(uid, DrainMode::kImmediate, [this, alive] {
    if (alive.expired()) return;
    --stopping_;
    ++stopped_;
    changed_();
    finish_drain();
  });
}

void StateManager::stop_gracefully(const std::string& uid) {
  std::weak_ptr<const bool> alive = alive_;
  proxies_.stop(uid, DrainMode::kGraceful, [this, alive, uid = uid] {
    if (alive.expired()) return;
    running_.erase(uid);
    ++stopped_;
    changed_();
    finish_drain();
  });
}

Time StateManager::next_wakeup() const {
  Time next = retry_at_;
  for (const auto& [uid, start] : starting_) next = std::min(next, start.deadline);
  return next;
}

void StateManager::poll() {
  const Time now = now_();
  std::vector<Reply> late;
  time_out(now, late);
  if (retry_at_ <= now) retry(now);
  changed_();
  for (Reply& reply : late) reply(Error(Errc::kStartProxy, "timed out"));
  finish_drain();
}

// The start itself goes on: if it succeeds after all, the pod is served and no longer pending.
void StateManager::time_out(Time now, std::vector<Reply>& replies) {
  for (auto& [uid, start] : starting_) {
    if (start.deadline > now) continue;
    start.deadline = kNever;
    replies.push_back(std::exchange(start.reply, {}));
    if (draining_) continue;
    if (start.next)
      fail(uid, *start.next, Error(culvert::Errc::kTimedOut));
    else if (start.wanted)
      fail(uid, start.pod, Error(culvert::Errc::kTimedOut));
  }
}

void StateManager::retry(Time now) {
  retry_at_ = kNever;
  for (const std::string& uid : keys(pending_)) {
    const auto failed = pending_.find(uid);
    if (failed == pending_.end() || starting_.contains(uid)) continue;
    launch(uid, failed->second.pod, {}, kNever);
  }
  if (!pending_.empty()) retry_at_ = now + timing_.retry_interval;
}

void StateManager::drain(UniqueFunction<void()> done) {
  CULVERT_CHECK(!draining_);
  draining_ = true;
  drained_ = std::move(done);
  pending_.clear();
  retry_at_ = kNever;
  for (const std::string& uid : keys(running_)) stop_gracefully(uid);
  changed_();
  finish_drain();
}

void StateManager::finish_drain() {
  if (!drained_ || !running_.empty() || stopping_ > 0) return;
  // A start that nobody waits for any more does not hold up the process: it would only be stopped.
  if (std::ranges::any_of(starting_, [](const auto& entry) { return bool(entry.second.reply); }))
    return;
  std::exchange(drained_, {})();
}

StateManager::Counts StateManager::counts() const {
  return {static_cast<int64_t>(running_.size()), static_cast<int64_t>(pending_.size()), started_,
          stopped_};
}

std::vector<StateManager::PodView> StateManager::view() const {
  std::map<std::string, PodView> pods;
  for (const auto& [uid, failed] : pending_) pods[uid] = {uid, PodState::kPending, failed.pod.info};
  for (const auto& [uid, start] : starting_)
    if (start.next || start.wanted)
      pods[uid] = {uid, PodState::kPending, start.next ? start.next->info : start.pod.info};
  for (const auto& [uid, pod] : running_) pods[uid] = {uid, PodState::kUp, pod.info};
  std::vector<PodView> out;
  out.reserve(pods.size());
  for (auto& [uid, pod] : pods) out.push_back(std::move(pod));
  return out;
}

}  // namespace culvert::ztunnel::inpod
