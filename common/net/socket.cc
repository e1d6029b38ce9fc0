#include "common/net/socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <system_error>

namespace culvert::net {
namespace {

constexpr uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI;

// Sends the reset at once and keeps the descriptor for its owner to close.
void disconnect(const Fd& fd) {
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  const int failed = ::connect(fd.get(), &unspecified, sizeof unspecified);
  static_cast<void>(failed);  // it was not connected any more
}

}  // namespace

void close_with_reset(const Fd socket) { disconnect(socket); }

size_t total(std::span<const iovec> parts) {
  return std::accumulate(parts.begin(), parts.end(), size_t{0},
                         [](size_t sum, const iovec& part) { return sum + part.iov_len; });
}

Socket::Socket(Reactor& reactor, Fd fd) : reactor_(reactor), fd_(std::move(fd)), changed_(reactor) {
  if (!reactor_.add(fd_.get(), kEvents, *this))
    throw std::system_error(errno, std::system_category(), "cannot watch a socket");
}

Socket::Socket(Reactor& reactor, Fd fd, Connecting) : Socket(reactor, std::move(fd)) {
  readable_ = writable_ = false;
}

Socket::~Socket() { reactor_.forget(*this); }

Task<Result<std::unique_ptr<Socket>>> Socket::connect(Reactor& reactor, Fd fd,
                                                      SocketAddress address, Time deadline) {
  sockaddr_storage storage;
  int family = AF_INET;
  socklen_t length = sizeof family;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &family, &length);
  const socklen_t size = address.to_sockaddr(family, storage);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0 && errno != EINPROGRESS)
    co_return system_error(errno);
  std::unique_ptr<Socket> socket(new Socket(reactor, std::move(fd), Connecting{}));
  while (!socket->writable_ && !socket->input_closed_)
    if (!co_await socket->changed_.wait(deadline)) co_return system_error(ETIMEDOUT);
  int error = 0;
  length = sizeof error;
  ::getsockopt(socket->fd(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) co_return system_error(error);
  co_return socket;
}

void Socket::on_events(uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) input_closed_ = true;
  if ((events & EPOLLPRI) != 0) urgent_ = true;
  const bool readable = (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  const bool writable = (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
  const bool news = (readable && !readable_) || (writable && !writable_);
  readable_ |= readable;
  writable_ |= writable;
  changed_.wake_all();
  if (news && observer_ != nullptr) observer_->on_ready();  // may destroy this
}

IoResult Socket::after_recv(ssize_t n, size_t wanted) {
  if (n > 0) {
    // A short read emptied the queue; the next byte makes a new edge. Not so when a FIN or an error
    // is already there: its edge has come. Nor with urgent data: the kernel stops reads at its
    // mark, whatever is behind it.
    if (static_cast<size_t>(n) < wanted && !input_closed_ && !urgent_) readable_ = false;
    return {IoResult::Status::kDone, static_cast<size_t>(n), 0};
  }
  // The kernel says only once why a connection was lost, and then that input has ended: who learnt
  // it from a send is not to take that for the peer's FIN.
  if (n == 0 && lost_ != 0) return {IoResult::Status::kError, 0, lost_};
  if (n == 0) return {IoResult::Status::kEof, 0, 0};
  if (errno == EAGAIN || errno == EINTR) {
    if (errno == EAGAIN) readable_ = false;
    return {IoResult::Status::kWouldBlock, 0, 0};
  }
  return {IoResult::Status::kError, 0, errno};
}

IoResult Socket::recv(MutableBytes to) {
  return after_recv(::recv(fd_.get(), to.data(), to.size(), 0), to.size());
}

// One part is what most messages are, and the vectored calls cost more.
IoResult Socket::recv(std::span<const iovec> to) {
  if (to.size() == 1) return recv({static_cast<uint8_t*>(to[0].iov_base), to[0].iov_len});
  return after_recv(::readv(fd_.get(), to.data(), static_cast<int>(to.size())), total(to));
}

IoResult Socket::after_send(ssize_t n, size_t wanted) {
  if (n >= 0) {
    if (static_cast<size_t>(n) < wanted) writable_ = false;
    return {IoResult::Status::kDone, static_cast<size_t>(n), 0};
  }
  if (errno == EAGAIN || errno == EINTR) {
    if (errno == EAGAIN) writable_ = false;
    return {IoResult::Status::kWouldBlock, 0, 0};
  }
  // EPIPE is what a reset behind the peer's FIN is: all its input is here.
  if (errno != EPIPE && lost_ == 0) lost_ = errno;
  return {IoResult::Status::kError, 0, errno};
}

IoResult Socket::send(Bytes from) {
  return after_send(::send(fd_.get(), from.data(), from.size(), MSG_NOSIGNAL), from.size());
}

IoResult Socket::send(std::span<const iovec> from) {
  if (from.size() == 1)
    return send({static_cast<const uint8_t*>(from[0].iov_base), from[0].iov_len});
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(from.data());
  message.msg_iovlen = from.size();
  return after_send(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL), total(from));
}

IoResult Socket::recv(Pipe& to) {
  // A short transfer does not mean that there is no more: the pipe has room for so many pages.
  const ssize_t n = to.fill(fd_.get());
  // splice(2) never passes the mark of urgent data: with a FIN behind it, it says that this was
  // all.
  if (uint8_t next = 0; n == 0 && ::recv(fd_.get(), &next, 1, MSG_PEEK) > 0) {
    urgent_ = true;
    return {IoResult::Status::kWouldBlock, 0, 0};
  }
  return after_recv(n, static_cast<size_t>(std::max<ssize_t>(n, 0)));
}

IoResult Socket::send(Pipe& from) {
  const ssize_t n = from.drain(fd_.get());
  return after_send(n, static_cast<size_t>(std::max<ssize_t>(n, 0)));
}

void Socket::finish_output() {
  if (output_finished_) return;
  output_finished_ = true;
  ::shutdown(fd_.get(), SHUT_WR);
}

void Socket::abort() {
  disconnect(fd_);
  output_finished_ = true;
  input_closed_ = readable_ = writable_ = true;
  changed_.wake_all();
}

Task<Result<size_t>> Socket::read(MutableBytes to, Time deadline) {
  for (;;) {
    const IoResult got = recv(to);
    switch (got.status) {
      case IoResult::Status::kDone:
        co_return got.bytes;
      case IoResult::Status::kEof:
        co_return size_t{0};
      case IoResult::Status::kError:
        co_return system_error(got.error);
      case IoResult::Status::kWouldBlock:
        break;
    }
    while (!readable_)
      if (!co_await changed_.wait(deadline)) co_return Error(Errc::kTimedOut);
  }
}

Task<Result<>> Socket::write(Bytes from, Time deadline) {
  while (!from.empty()) {
    const IoResult sent = send(from);
    if (sent.status == IoResult::Status::kError) co_return system_error(sent.error);
    from = from.subspan(sent.bytes);
    while (!from.empty() && !writable_)
      if (!co_await changed_.wait(deadline)) co_return Error(Errc::kTimedOut);
  }
  co_return Result<>{};
}

Task<Result<>> Socket::shutdown_write() {
  finish_output();
  co_return Result<>{};
}

void Socket::limit_unsent(size_t bytes) {
  const int value = static_cast<int>(bytes);
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

size_t Socket::segment_size() const {
  int size = 0;
  socklen_t length = sizeof size;
  const bool known = ::getsockopt(fd_.get(), IPPROTO_TCP, TCP_MAXSEG, &size, &length) == 0;
  return known && size > 0 ? static_cast<size_t>(size) : 0;
}

size_t Socket::unacknowledged() const {
  int queued = 0;
  return ::ioctl(fd_.get(), SIOCOUTQ, &queued) == 0 ? static_cast<size_t>(queued) : 0;
}

SocketAddress Socket::local_address() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &length);
  return SocketAddress::from(storage);
}

}  // namespace culvert::net
