#pragma once

#include "common/net/event.h"
#include "waypoint/codec/server.h"
#include "waypoint/model/client_tunnel.h"

#include <boost/intrusive/list.hpp>

namespace culvert::waypoint {

// The connections inside of tunnels that one worker serves now: raw ones are authorised again
// whenever the model changes (requests are anyway, one by one), HTTP ones are told of a shutdown.
// Entries are members of the coroutine that serves the connection. Worker thread.
class OpenConnections {
  using Hook =
      boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  template <class Entry>
  using List = boost::intrusive::list<Entry, boost::intrusive::constant_time_size<false>>;

 public:
  class Tcp : public Hook {
   public:
    Tcp(OpenConnections& owner, ClientTunnelPtr tunnel);
    Tcp(const Tcp&) = delete;
    Tcp& operator=(const Tcp&) = delete;

    // A newer model does not allow it any more, or does not serve it: the owner ends it.
    [[nodiscard]] bool revoked() const { return revoked_; }
    // Woken when revoked() turns true; the owner may also wake it for its own ends.
    [[nodiscard]] net::Event& changed() { return changed_; }

   private:
    friend class OpenConnections;
    ClientTunnelPtr tunnel_;
    bool revoked_ = false;
    net::Event changed_;
  };
  class Http : public Hook {
   public:
    // `connection` outlives it.
    Http(OpenConnections& owner, ServerConnection& connection);
    Http(const Http&) = delete;
    Http& operator=(const Http&) = delete;

   private:
    friend class OpenConnections;
    ServerConnection& connection_;
  };

  explicit OpenConnections(net::Reactor& reactor) : reactor_(reactor) {}

  void model_changed(const ModelPtr& newest);
  // Those that are open, or will be, end after the requests they are busy with; a new one has at
  // least the request that made it known as HTTP. Raw ones go on: nobody can tell where they could
  // be interrupted.
  void drain();

 private:
  net::Reactor& reactor_;
  bool draining_ = false;
  List<Tcp> tcp_;
  List<Http> http_;
};

}  // namespace culvert::waypoint
