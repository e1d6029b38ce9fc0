#include "ztunnel/local_mesh.h"

#include "common/base/log.h"

namespace culvert::ztunnel {
namespace {

const log::Target kLog{"xds::local"};

}  // namespace

LocalMesh::LocalMesh(state::Store& store, UniqueFunction<void(const state::SnapshotPtr&)> on_change)
    : store_(store), on_change_(std::move(on_change)) {}

Result<> LocalMesh::apply(const std::string& text) {
  auto parsed = config::parse_local_config(text);
  if (!parsed) return parsed.error();
  loaded_ = std::move(*parsed);
  config::apply_local_config(loaded_, store_);
  on_change_(store_.commit());
  // Only now: whoever reads the line may count on every worker having been told.
  kLog.write(log::Level::kInfo, "local config initialized",
             {log::num("workloads", loaded_.workloads.size()),
              log::num("services", loaded_.services.size()),
              log::num("policies", loaded_.policies.size())});
  return {};
}

Result<> LocalMesh::load_text(const std::string& text) { return apply(text); }

Result<> LocalMesh::load_file(net::Reactor& control, const std::string& path) {
  file_ = std::make_unique<net::WatchedFile>(
      control, path, [this](Result<std::string> text) { reload(std::move(text)); });
  auto text = file_->read();
  if (!text) return text.error();
  if (auto applied = apply(*text); !applied)
    return Error(applied.error().code, path + ": " + applied.error().context);
  return {};
}

void LocalMesh::reload(Result<std::string> text) {
  const Result<> applied = text ? apply(*text) : Result<>(text.error());
  if (applied) return;
  ++rejected_;
  kLog.error("{} changed but cannot be used, keeping what was loaded before: {}", file_->path(),
             applied.error().message());
}

}  // namespace culvert::ztunnel
