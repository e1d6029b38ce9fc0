#pragma once

#include "common/base/check.h"
#include "common/net/fd.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace culvert::ztunnel::inpod {

// The node agent's end: a SOCK_SEQPACKET listener in a folder of its own.
class Agent {
 public:
  Agent() {
    CULVERT_CHECK(::mkdtemp(folder_.data()) != nullptr);
    listen();
  }
  ~Agent() {
    ::unlink(path().c_str());
    ::rmdir(folder_.data());
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  [[nodiscard]] std::string path() const { return std::string(folder_.data()) + "/s"; }

  void listen() {
    ::unlink(path().c_str());
    listener_ = net::Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CULVERT_CHECK(path().size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path().data(), path().size());
    CULVERT_CHECK(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                  0);
    CULVERT_CHECK(::listen(listener_.get(), 0) == 0);
  }
  void stop_listening() {
    listener_.reset();
    ::unlink(path().c_str());
  }

  // Whether a ztunnel had connected.
  bool accept() {
    net::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return false;
    connection_ = std::move(fd);
    return true;
  }
  void close() { connection_.reset(); }

  void send(const std::string& payload, const std::vector<int>& fds = {}) {
    iovec part{const_cast<char*>(payload.data()), payload.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(head), fds.data(), fds.size() * sizeof(int));
    }
    CULVERT_CHECK(::sendmsg(connection_.get(), &message, MSG_NOSIGNAL) >= 0);
  }
  // Nothing: nothing there yet. Empty: closed by ztunnel.
  std::optional<std::string> receive() {
    std::array<char, 2048> buffer;
    const ssize_t size = ::recv(connection_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return std::nullopt;
    return std::string(buffer.data(), static_cast<size_t>(size));
  }

 private:
  std::string folder_ = "/tmp/culvert-zds-XXXXXX";
  net::Fd listener_, connection_;
};

}  // namespace culvert::ztunnel::inpod
