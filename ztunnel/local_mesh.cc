#include "ztunnel/local_mesh.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/config/state_json.h"
#include "common/state/hash.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"xds::local"};

// A file's text in pieces, with a digest that tells whether it is another than before: events come
// for many other reasons than a change.
class Text {
 public:
  explicit Text(FileReader file) : file_(std::move(file)), piece_(size_t{1} << 18) {}

  Result<size_t> read(std::span<char> out) {
    if (rest_.empty() && !ended_) {
      if (auto filled = fill(); !filled) return filled.error();
    }
    const size_t size = std::min(out.size(), rest_.size());
    std::copy_n(rest_.begin(), size, out.begin());
    rest_.remove_prefix(size);
    return size;
  }
  // Of the whole: reads what was not read yet.
  Result<uint64_t> digest() {
    while (!ended_) {
      if (auto filled = fill(); !filled) return filled.error();
    }
    return digest_;
  }

 private:
  Result<> fill() {
    const auto size = file_.read(piece_);
    if (!size) return size.error();
    ended_ = *size < piece_.size();
    rest_ = {piece_.data(), *size};
    digest_ = state::combine_hash(digest_, state::hash_text(rest_));
    return {};
  }

  FileReader file_;
  std::vector<char> piece_;
  std::string_view rest_;  // of piece_, not read yet
  bool ended_ = false;
  uint64_t digest_ = 0;
};

// Whether a change from now on will show in the file's version: the clock of file systems stands
// still for up to 10 ms at a time.
bool is_settled(const FileVersion& version) {
  constexpr auto kTicks = std::chrono::milliseconds(50);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return now > version.changed + kTicks;
}

}  // namespace

LocalMesh::LocalMesh(state::Store& store, UniqueFunction<void(const state::SnapshotPtr&)> on_change,
                     UniqueFunction<void()> on_rejected)
    : store_(store), on_change_(std::move(on_change)), on_rejected_(std::move(on_rejected)) {}

void LocalMesh::publish(const config::LocalCounts& counts) {
  on_change_(store_.commit());
  return_free_memory();
  // Only now: whoever reads the line may count on every worker having been told.
  kLog.write(log::Level::kInfo, "local config initialized",
             {log::num("workloads", counts.workloads), log::num("services", counts.services),
              log::num("policies", counts.policies)});
}

Result<> LocalMesh::load_text(const std::string& text) {
  const auto counts = config::load_local_config(config::yaml_input(text), store_);
  if (!counts) return counts.error();
  publish(*counts);
  return {};
}

// Does nothing if the file is as it was when it was read last.
Result<> LocalMesh::read_and_publish() {
  auto file = FileReader::open(path_);
  if (!file) return file.error();
  const auto version = file->version();
  if (!version) return version.error();
  if (version_ == *version) return {};
  version_ = is_settled(*version) ? std::optional(*version) : std::nullopt;
  Text text(std::move(*file));
  state::Store loaded(store_.local_node());
  const auto counts =
      config::read_local_config([&](std::span<char> piece) { return text.read(piece); }, loaded);
  const auto digest = text.digest();
  if (!digest) return digest.error();
  if (std::exchange(digest_, *digest) == *digest) return {};
  if (!counts) return counts.error();
  store_.replace_by(loaded);
  publish(*counts);
  return {};
}

Result<> LocalMesh::load_file(net::Reactor& control, const std::string& path) {
  path_ = path;
  // The watch begins before the first look, so no change in between is missed.
  watch_ = std::make_unique<net::FileWatch>(control, path, [this] { reload(); });
  tidy_ = std::make_unique<net::Timer>(control, [] { return_free_memory(); });
  auto applied = read_and_publish();
  if (applied || applied.error().code.category() == std::system_category()) return applied;
  return Error(applied.error().code, path + ": " + applied.error().context);
}

void LocalMesh::reload() {
  const Result<> applied = read_and_publish();
  // Workers still hold what was before, and let go of it when they get to it.
  tidy_->arm_in(std::chrono::seconds(1));
  if (applied) return;
  on_rejected_();
  kLog.error("{} changed but cannot be used, keeping what was loaded before: {}", path_,
             applied.error().message());
}

void write_static_config(const Config::Xds& source, config::JsonText& out) {
  Result<> written = invalid("none");
  if (source.local_path) {
    if (auto file = FileReader::open(*source.local_path)) {
      const auto read = [&](std::span<char> piece) { return file->read(piece); };
      written = config::write_local_config(read, out);
    }
  } else if (source.local_inline) {
    written = config::write_local_config(config::yaml_input(*source.local_inline), out);
  }
  if (!written) config::write_empty_local_config(out);
}

}  // namespace culvert::ztunnel
