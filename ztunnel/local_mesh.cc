#include "ztunnel/local_mesh.h"

#include "common/base/log.h"

#include <cerrno>
#include <fstream>
#include <iterator>

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"xds::local"};

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return system_error(errno, "cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

LocalMesh::LocalMesh(state::Store& store, UniqueFunction<void(const state::SnapshotPtr&)> on_change)
    : store_(store), on_change_(std::move(on_change)) {}

Result<> LocalMesh::apply(const std::string& text) {
  auto parsed = config::parse_local_config(text);
  if (!parsed) return parsed.error();
  loaded_ = std::move(*parsed);
  config::apply_local_config(loaded_, store_);
  kLog.write(log::Level::kInfo, "local config initialized",
             {log::num("workloads", loaded_.workloads.size()),
              log::num("services", loaded_.services.size()),
              log::num("policies", loaded_.policies.size())});
  on_change_(store_.commit());
  return {};
}

Result<> LocalMesh::load_text(const std::string& text) { return apply(text); }

Result<> LocalMesh::load_file(net::Reactor& control, const std::string& path) {
  path_ = path;
  // Watched before it is read: a change in between is not missed.
  watch_ = std::make_unique<net::FileWatch>(control, path, [this] { reload(); });
  auto text = read_file(path);
  if (!text) return text.error();
  last_text_ = std::move(*text);
  if (auto applied = apply(last_text_); !applied)
    return Error(applied.error().code, path + ": " + applied.error().context);
  return {};
}

void LocalMesh::reload() {
  auto text = read_file(path_);
  if (text && *text == last_text_) return;
  Result<> applied = text ? apply(*text) : Result<>(text.error());
  if (text) last_text_ = std::move(*text);
  if (applied) return;
  ++rejected_;
  kLog.error("{} changed but cannot be used, keeping what was loaded before: {}", path_,
             applied.error().message());
}

}  // namespace culvert::ztunnel
