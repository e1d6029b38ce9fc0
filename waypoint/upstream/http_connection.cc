#include "waypoint/upstream/http_connection.h"

#include "waypoint/codec/http2_client.h"

#include <utility>

namespace culvert::waypoint {
namespace {

template <class Client>
class Adapter final : public HttpConnection {
 public:
  Adapter(net::Reactor& reactor, std::unique_ptr<net::ByteStream> stream,
          const ClientCodecOptions& options)
      : client_(reactor, std::move(stream), options) {}
  [[nodiscard]] bool usable() const override { return client_.usable(); }
  std::unique_ptr<ClientExchange> start() override { return client_.start(); }

 private:
  Client client_;
};

}  // namespace

std::unique_ptr<HttpConnection> make_http_connection(net::Reactor& reactor, bool http2,
                                                     std::unique_ptr<net::ByteStream> stream,
                                                     const ClientCodecOptions& options) {
  if (http2) return std::make_unique<Adapter<Http2Client>>(reactor, std::move(stream), options);
  return std::make_unique<Adapter<Http1Client>>(reactor, std::move(stream), options);
}

}  // namespace culvert::waypoint
