#include "waypoint/upstream/connector.h"

#include "waypoint/upstream/http_pool.h"
#include "waypoint/upstream/tunnels.h"

#include <utility>

namespace culvert::waypoint {
namespace {

// A raw stream that counts while it lives.
class CountedStream final : public net::ByteStream {
 public:
  CountedStream(std::unique_ptr<HttpPool::RawPlace> place, std::unique_ptr<net::ByteStream> stream)
      : place_(std::move(place)), stream_(std::move(stream)) {}

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline) override {
    return stream_->read(to, deadline);
  }
  net::Task<Result<>> write(Bytes from, Time deadline) override {
    return stream_->write(from, deadline);
  }
  net::Task<Result<>> shutdown_write() override { return stream_->shutdown_write(); }
  void reset() override { stream_->reset(); }

 private:
  std::unique_ptr<HttpPool::RawPlace> place_;
  std::unique_ptr<net::ByteStream> stream_;
};

}  // namespace

struct Connector::State {
  explicit State(Worker& of)
      : worker(of),
        tunnels(of),
        pool(of.reactor, [this](const Endpoint& endpoint, bool http2, Time deadline) {
          return dial(endpoint, http2, deadline);
        }) {}

  [[nodiscard]] ClientCodecOptions codec_options() const {
    ClientCodecOptions options;
    if (worker.model == nullptr) return options;
    const Limits& limits = worker.model->options().limits;
    options.max_header_bytes = limits.max_header_bytes;
    options.max_header_fields = limits.max_header_fields;
    return options;
  }

  net::Task<Result<HttpPool::Dialled>> dial(const Endpoint& endpoint, bool http2, Time deadline) {
    auto link = co_await tunnels.connect(endpoint, deadline);
    if (!link) co_return link.error();
    HttpPool::Dialled dialled;
    dialled.connection =
        make_http_connection(worker.reactor, http2, std::move(link->stream), codec_options());
    dialled.local_address = std::move(link->local_address);
    co_return dialled;
  }

  Worker& worker;
  Tunnels tunnels;
  HttpPool pool;  // last: its connections are streams of tunnels
};

Connector::Connector(Worker& worker) : state_(std::make_unique<State>(worker)) {}
Connector::~Connector() = default;

net::Task<Result<Upstreams::Exchange>> Connector::open(UpstreamPtr upstream,
                                                       const Endpoint& endpoint, bool http2,
                                                       Time deadline) {
  return state_->pool.open(std::move(upstream), endpoint, http2, deadline);
}

net::Task<Result<Upstreams::Raw>> Connector::open_raw(UpstreamPtr upstream,
                                                      const Endpoint& endpoint, Time deadline) {
  auto place = state_->pool.admit_raw(upstream, endpoint);
  if (!place) co_return place.error();
  auto link = co_await state_->tunnels.connect(endpoint, deadline);
  if (!link) co_return link.error();
  Raw opened;
  opened.stream = std::make_unique<CountedStream>(std::move(*place), std::move(link->stream));
  opened.upstream_host = endpoint.address.to_string();
  opened.local_address = std::move(link->local_address);
  co_return opened;
}

std::vector<uint32_t> Connector::active(const Upstream& upstream) const {
  return state_->pool.active(upstream);
}

net::Task<> Connector::drain(Time deadline) {
  state_->pool.drain();
  co_await state_->tunnels.drain(deadline);
}

}  // namespace culvert::waypoint
