#include "ztunnel/local_mesh.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/config/state_json.h"
#include "common/state/hash.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <string_view>
#include <system_error>
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

}  // namespace

LocalMesh::LocalMesh(state::Store& store, UniqueFunction<void(const state::SnapshotPtr&)> on_change)
    : store_(store), on_change_(std::move(on_change)) {}

Result<> LocalMesh::apply(const config::YamlInput& text) {
  const auto loaded = config::load_local_config(text, store_);
  if (!loaded) return loaded.error();
  on_change_(store_.commit());
  return_free_memory();
  // Only now: whoever reads the line may count on every worker having been told.
  kLog.write(log::Level::kInfo, "local config initialized",
             {log::num("workloads", loaded->workloads), log::num("services", loaded->services),
              log::num("policies", loaded->policies)});
  return {};
}

Result<> LocalMesh::load_text(const std::string& text) { return apply(config::yaml_input(text)); }

Result<> LocalMesh::read_and_apply() {
  auto file = FileReader::open(path_);
  if (!file) return file.error();
  Text text(std::move(*file));
  auto applied = apply([&](std::span<char> piece) { return text.read(piece); });
  const auto digest = text.digest();
  if (!digest) return digest.error();
  digest_ = *digest;
  return applied;
}

Result<> LocalMesh::load_file(net::Reactor& control, const std::string& path) {
  path_ = path;
  // The watch begins before the first look, so no change in between is missed.
  watch_ = std::make_unique<net::FileWatch>(control, path, [this] { reload(); });
  tidy_ = std::make_unique<net::Timer>(control, [] { return_free_memory(); });
  auto applied = read_and_apply();
  if (applied || applied.error().code.category() == std::system_category()) return applied;
  return Error(applied.error().code, path + ": " + applied.error().context);
}

Result<bool> LocalMesh::has_changed() const {
  auto file = FileReader::open(path_);
  if (!file) return file.error();
  const auto digest = Text(std::move(*file)).digest();
  if (!digest) return digest.error();
  return digest_ != *digest;
}

void LocalMesh::reload() {
  const auto changed = has_changed();
  if (changed && !*changed) return;
  const Result<> applied = changed ? read_and_apply() : Result<>(changed.error());
  // Workers still hold what was before, and let go of it when they get to it.
  tidy_->arm_in(std::chrono::seconds(1));
  if (applied) return;
  ++rejected_;
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
