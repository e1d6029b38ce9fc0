#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/net/address.h"
#include "common/net/fd.h"
#include "common/tls/context.h"
#include "common/tls/credential.h"
#include "common/tls/engine.h"
#include "common/tls/record_batch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Our TLS as a program, for suites and tools from outside that test TLS. Blocking with poll(), one
// process per connection.
namespace {

using namespace culvert;

constexpr const char* kHelp =
    R"(tls_echo server|client --address IP:PORT --cert PEM --key PEM --roots PEM [options]

server: sends back what it gets, one process per connection; closes when the other side does.
client: sends its standard input, prints what it gets; closes at the end of input and ends when
        the other side has closed. Exit status: 0 after close_notify, 1 after anything else.

TLS is that of the mesh: both sides present certificates. Ours needs a SPIFFE id as URI name
(spiffe://<trust domain>/ns/<ns>/sa/<account>), and so does the other side's, of the same trust
domain, from a CA in --roots. A server without a SPIFFE id of its own takes any certificate from
--roots. Servers need ALPN h2 or none. There is no way to turn client certificates off.
Such files come from the development CA (LOCAL_CA_DIR) or from tests/lab/identity.py.

  --require-client-cert       what is done anyway
  --whole-requests            server: send nothing back before an empty line, as HTTP servers do
  --trust-domain NAME         client: take servers of this one; default: that of our certificate
  --record-layer own|library  default: as built
  --records-per-key N         update keys after so many records
  --tls12                     TLS 1.2 also
  --report                    client: say on standard error with whom, and how it ended
)";

struct Arguments {
  std::string mode;
  std::map<std::string, std::string, std::less<>> options;

  [[nodiscard]] bool has(std::string_view name) const { return options.contains(name); }
  [[nodiscard]] std::string get(std::string_view name) const {
    const auto found = options.find(name);
    return found == options.end() ? "" : found->second;
  }
  [[nodiscard]] std::string need(std::string_view name) const {
    if (!has(name)) throw std::runtime_error("missing " + std::string(name));
    return get(name);
  }
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments made;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--no-client-cert") {
      throw std::runtime_error("client certificates cannot be turned off, see --help");
    }
    if (word == "--tls12" || word == "--report" || word == "--require-client-cert" ||
        word == "--whole-requests") {
      made.options[word] = "";
    } else if (word.starts_with("--")) {
      if (i + 1 == words.size()) throw std::runtime_error(word + " needs a value");
      made.options[word] = words[++i];
    } else {
      made.mode = word;
    }
  }
  if (made.mode != "server" && made.mode != "client") {
    throw std::runtime_error("server or client?");
  }
  return made;
}

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// What is to be sent is held up to this; then nothing is read any more.
constexpr size_t kMaxUnsent = size_t{1} << 20;

// One connection: bytes from the socket go through the engine to on_plaintext of the two below.
class Connection : public tls::PlaintextSink {
 public:
  Connection(net::Fd socket, std::unique_ptr<tls::Engine> engine)
      : socket_(std::move(socket)), engine_(std::move(engine)), room_(kRoom) {
    ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    const int one = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  }

  // Until both directions are closed; an error after the alert was sent.
  Result<> run() {
    if (auto started = handshake({}); !started) return finish(started.error());
    while (reading_ || writing_ || !unsent_.empty()) {
      if (auto moved = turn(); !moved) return finish(moved.error());
    }
    return {};
  }

 protected:
  // The source of what we send by ourselves; -1: there is none now.
  [[nodiscard]] virtual int source() const { return -1; }
  virtual Result<> on_source() { return {}; }
  // The peer has closed.
  virtual void on_closed() = 0;

  Result<> send(tls::RecordBatch& batch) {
    const auto sealed = engine_->seal(batch, unsent_);
    if (!sealed) return sealed.error();
    unsent_.append(*sealed);
    batch.clear();
    return {};
  }
  void close() {
    engine_->close_notify(unsent_);
    writing_ = false;
  }
  [[nodiscard]] bool writing() const { return writing_; }
  [[nodiscard]] const tls::Engine& engine() const { return *engine_; }

 private:
  static constexpr size_t kRoom = size_t{256} * 1024;

  Result<> turn() {
    const bool full = unsent_.size() >= kMaxUnsent;
    std::array<pollfd, 2> polled{};
    polled[0].fd = socket_.get();
    polled[0].events =
        static_cast<short>((reading_ && !full ? POLLIN : 0) | (unsent_.empty() ? 0 : POLLOUT));
    polled[1].fd = done_ && writing_ && !full ? source() : -1;
    polled[1].events = POLLIN;
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) fail("poll");
    if (polled[1].revents != 0) {
      if (auto sent = on_source(); !sent) return sent;
    }
    if ((polled[0].revents & ~POLLOUT) != 0 && reading_ && !full) {
      if (auto got = receive(); !got) return got;
    }
    return flush();
  }

  Result<> receive() {
    const size_t kept = done_ ? engine_->take_partial(room_) : 0;
    const ssize_t n = ::recv(socket_.get(), room_.data() + kept, room_.size() - kept, 0);
    if (n < 0 && errno != EAGAIN) return system_error(errno, "recv");
    if (n == 0) return Error(culvert::Errc::kClosed, "the connection ended without close_notify");
    const MutableBytes bytes(room_.data(), kept + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    return done_ ? open(bytes) : handshake(bytes);
  }

  Result<> handshake(MutableBytes bytes) {
    const auto state = engine_->handshake(bytes, unsent_);
    if (!state) return state.error();
    done_ = *state == tls::Engine::Handshake::kDone;
    return done_ ? open({}) : Result<>();
  }

  Result<> open(MutableBytes bytes) {
    const auto more = engine_->open(bytes, *this, unsent_);
    if (!more) return more.error();
    if (*more || !std::exchange(reading_, false)) return {};
    on_closed();
    return {};
  }

  Result<> flush() {
    while (!unsent_.empty()) {
      const Bytes bytes = std::as_const(unsent_).readable();
      const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN ? Result<>() : system_error(errno, "send");
      unsent_.consume(static_cast<size_t>(n));
    }
    return {};
  }

  // The alert is on its way when the socket is closed: a reset would overtake it.
  Error finish(Error error) {
    static_cast<void>(flush());
    ::shutdown(socket_.get(), SHUT_WR);
    timeval patience{.tv_sec = 2, .tv_usec = 0};
    ::fcntl(socket_.get(), F_SETFL, 0);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (int i = 0; i < 100 && ::recv(socket_.get(), room_.data(), room_.size(), 0) > 0; ++i) {
    }
    return error;
  }

  net::Fd socket_;
  std::unique_ptr<tls::Engine> engine_;
  std::vector<uint8_t> room_;
  ByteQueue unsent_;
  bool done_ = false, reading_ = true, writing_ = true;
};

// A whole request has to fit into a batch, 256 KiB.
class Echo final : public Connection {
 public:
  Echo(net::Fd socket, std::unique_ptr<tls::Engine> engine, bool whole_requests)
      : Connection(std::move(socket), std::move(engine)), whole_requests_(whole_requests) {}
  Result<> on_plaintext(MutableBytes plaintext) override {
    if (!batch_.append(plaintext)) return Error(culvert::Errc::kLimit, "no end of the request");
    tail_.append(as_text(plaintext));
    tail_.erase(0, tail_.size() - std::min(tail_.size(), kEmptyLine.size()));
    return whole_requests_ && tail_ != kEmptyLine ? Result<>() : send(batch_);
  }
  void on_closed() override { close(); }

 private:
  static constexpr std::string_view kEmptyLine = "\r\n\r\n";

  const bool whole_requests_;
  std::string tail_;  // the last bytes that came
  tls::RecordBatch batch_;
};

class Client final : public Connection {
 public:
  using Connection::Connection;
  [[nodiscard]] const tls::Peer& peer() const { return engine().peer(); }

 private:
  Result<> on_plaintext(MutableBytes plaintext) override {
    for (Bytes rest = plaintext; !rest.empty();) {
      const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
      if (n < 0 && errno != EINTR) return system_error(errno, "standard output");
      rest = rest.subspan(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
    return {};
  }
  [[nodiscard]] int source() const override { return STDIN_FILENO; }
  // Standard input is read straight into records.
  Result<> on_source() override {
    std::array<MutableBytes, tls::RecordBatch::kFullRecords> spaces;
    const size_t given = batch_.prepare(1, spaces);
    std::array<iovec, tls::RecordBatch::kFullRecords> parts{};
    for (size_t i = 0; i < given; ++i) parts[i] = {spaces[i].data(), spaces[i].size()};
    const ssize_t n = ::readv(STDIN_FILENO, parts.data(), static_cast<int>(given));
    if (n < 0) return errno == EINTR ? Result<>() : system_error(errno, "standard input");
    if (n == 0) {
      close();
      return {};
    }
    batch_.commit(static_cast<size_t>(n));
    return send(batch_);
  }
  void on_closed() override {
    if (writing()) close();
  }

  tls::RecordBatch batch_;
};

class Program {
 public:
  explicit Program(const Arguments& arguments) : arguments_(arguments), context_(options()) {
    const auto text = [&](const char* name) { return read_file(arguments_.need(name)).value(); };
    tls::CredentialPem pem;
    pem.leaf = text("--cert");
    pem.private_key = text("--key");
    pem.roots = text("--roots");
    credential_ = tls::Credential::make(pem).value();
    address_ = net::SocketAddress::parse(arguments_.need("--address")).value();
  }

  int serve() {
    const net::Fd listener(::socket(AF_INET6, SOCK_STREAM, 0));
    const int one = 1, zero = 0;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    sockaddr_in6 name = address();
    socklen_t size = sizeof(name);
    if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size) != 0) fail("bind");
    if (::listen(listener.get(), 128) != 0) fail("listen");
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size);
    std::printf("listening on port %d\n", ntohs(name.sin6_port));
    std::fflush(stdout);
    ::signal(SIGCHLD, SIG_IGN);  // nobody waits for them
    for (;;) {
      net::Fd socket(::accept(listener.get(), nullptr, nullptr));
      if (!socket) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        fail("accept");
      }
      const pid_t child = ::fork();
      if (child < 0) fail("fork");
      if (child > 0) continue;
      Echo echo(std::move(socket), tls::Engine::server(context_, credential_),
                arguments_.has("--whole-requests"));
      const auto ended = echo.run();
      if (!ended) std::fprintf(stderr, "%s\n", ended.error().message().c_str());
      return ended ? 0 : 1;
    }
  }

  int connect() {
    net::Fd socket(::socket(AF_INET6, SOCK_STREAM, 0));
    const int zero = 0;
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    const sockaddr_in6 name = address();
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
      fail("connect");
    }
    std::string domain = arguments_.get("--trust-domain");
    if (domain.empty() && credential_->identity()) domain = credential_->identity()->trust_domain;
    Client client(std::move(socket),
                  tls::Engine::client_in_domain(context_, credential_, std::move(domain)));
    const auto ended = client.run();
    if (arguments_.has("--report") && client.peer().identity) {
      std::fprintf(stderr, "peer %s\n", client.peer().identity->to_string().c_str());
    }
    if (!ended) std::fprintf(stderr, "%s\n", ended.error().message().c_str());
    return ended ? 0 : 1;
  }

 private:
  [[nodiscard]] tls::Options options() const {
    tls::Options made;
    made.allow_tls12 = arguments_.has("--tls12");
    const std::string layer = arguments_.get("--record-layer");
    if (layer == "own") made.record_layer = tls::RecordLayer::kOwn;
    if (layer == "library") made.record_layer = tls::RecordLayer::kLibrary;
    const std::string records = arguments_.get("--records-per-key");
    if (!records.empty()) made.records_per_key = std::stoull(records);
    return made;
  }

  // IPv4 as mapped IPv6, as it is held.
  [[nodiscard]] sockaddr_in6 address() const {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(address_.port);
    std::memcpy(&name.sin6_addr, address_.ip.bytes().data(), 16);
    return name;
  }

  const Arguments& arguments_;
  tls::Context context_;
  tls::CredentialPtr credential_;
  net::SocketAddress address_;
};

}  // namespace

int main(int count, char** words) {
  try {
    const std::vector<std::string> all(words + 1, words + count);
    if (all.empty() || all[0] == "--help") {
      std::fputs(kHelp, stdout);
      return all.empty() ? 2 : 0;
    }
    const Arguments arguments = parse(all);
    Program program(arguments);
    return arguments.mode == "server" ? program.serve() : program.connect();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tls_echo: %s\n", e.what());
    return 2;
  }
}
