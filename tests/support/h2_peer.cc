#include "tests/support/h2_peer.h"

#include <algorithm>

namespace culvert::test {
namespace {

class WireStream final : public net::ByteStream {
 public:
  explicit WireStream(Wire& wire) : wire_(wire) {}
  ~WireStream() override { wire_.destroyed = true; }
  WireStream(const WireStream&) = delete;
  WireStream& operator=(const WireStream&) = delete;

  net::Task<Result<size_t>> read(MutableBytes to, Time deadline) override {
    while (wire_.to_codec.empty()) {
      if (wire_.fail_input || wire_.reset) co_return Error(culvert::Errc::kClosed, "wire");
      if (wire_.end_input) co_return size_t{0};
      if (!co_await wire_.readable.wait(deadline)) co_return Error(culvert::Errc::kTimedOut);
    }
    const size_t n = std::min({to.size(), wire_.max_read, wire_.to_codec.size()});
    std::copy_n(wire_.to_codec.readable().begin(), n, to.begin());
    wire_.to_codec.consume(n);
    co_return n;
  }
  net::Task<Result<>> write(Bytes from, Time deadline) override {
    while (!from.empty()) {
      if (wire_.fail_output || wire_.reset || wire_.shut_down)
        co_return Error(culvert::Errc::kClosed, "wire");
      const size_t room = wire_.capacity - std::min(wire_.capacity, wire_.to_peer.size());
      const size_t n = std::min(room, from.size());
      wire_.to_peer.append(from.first(n));
      from = from.subspan(n);
      if (!from.empty() && !co_await wire_.writable.wait(deadline))
        co_return Error(culvert::Errc::kTimedOut);
    }
    co_return Result<>{};
  }
  net::Task<Result<>> shutdown_write() override {
    wire_.shut_down = true;
    co_return Result<>{};
  }
  void reset() override {
    wire_.reset = true;
    wire_.wake();
  }

 private:
  Wire& wire_;
};

std::vector<h2::Field> to_fields(const FieldList& list) {
  std::vector<h2::Field> fields;
  for (const auto& [name, value] : list) fields.push_back({name, value});
  return fields;
}

}  // namespace

std::unique_ptr<net::ByteStream> Wire::stream() {
  to_codec.clear();
  to_peer.clear();
  end_input = fail_input = fail_output = shut_down = reset = destroyed = false;
  return std::make_unique<WireStream>(*this);
}

H2Peer::H2Peer(Wire& wire, h2::Role role, const h2::Settings& announced)
    : session(role, announced, *this), wire_(wire) {}

H2Peer::Stream& H2Peer::open(const FieldList& fields, bool end) {
  // The id is known only afterwards, and a stream must exist before.
  auto stream = std::make_unique<Stream>(*this, -1);
  Stream& opened = *stream;
  const auto id = session.open(to_fields(fields), end, opened);
  EXPECT_TRUE(id) << id.error().message();
  opened.id_ = id ? *id : -static_cast<h2::StreamId>(streams_.size()) - 1;
  opened.end_ = end;
  streams_[opened.id_] = std::move(stream);
  return opened;
}

bool H2Peer::pump() {
  if (!wire_.to_peer.empty() && !broken) {
    if (auto fed = session.feed(wire_.to_peer.readable()); !fed) broken = fed.error();
    wire_.to_peer.clear();
  }
  if (session.wants_write()) (void)session.drain(wire_.to_codec, SIZE_MAX / 2);
  wire_.wake();
  return !broken;
}

void H2Peer::settle() {
  for (int i = 0; i < 20; ++i) {
    pump();
    wire_.reactor.turn(std::chrono::milliseconds(0));
  }
}

h2::StreamHandler* H2Peer::on_stream(h2::StreamId id) {
  auto& stream = streams_[id];
  stream = std::make_unique<Stream>(*this, id);
  requests_.push_back(stream.get());
  return stream.get();
}

void H2Peer::on_goaway(h2::ErrorCode code, h2::StreamId /*last*/) {
  ++goaways;
  goaway_code = code;
}

void H2Peer::Stream::send(std::string_view bytes) {
  out_ += bytes;
  peer_.session.resume(id_);
}

void H2Peer::Stream::end(const FieldList& with) {
  trailers_out_ = with;
  end_ = true;
  peer_.session.resume(id_);
}

void H2Peer::Stream::respond(const FieldList& fields, bool end_stream) {
  peer_.session.respond(id_, to_fields(fields), end_stream);
}

void H2Peer::Stream::inform(const FieldList& fields) {
  peer_.session.respond_informational(id_, to_fields(fields));
}

void H2Peer::Stream::reset(h2::ErrorCode code) { peer_.session.reset(id_, code); }

std::string H2Peer::Stream::get(std::string_view name) const {
  return head ? std::string(head->get(name).value_or("(absent)")) : "(no head)";
}

std::string H2Peer::Stream::trailer(std::string_view name) const {
  return trailers ? std::string(trailers->get(name).value_or("(absent)")) : "(no trailers)";
}

void H2Peer::Stream::on_head(h2::Head received, bool end) {
  head = std::move(received);
  head_ended = end;
}

void H2Peer::Stream::on_data(Bytes bytes) {
  data += as_text(bytes);
  if (peer_.auto_consume) peer_.session.consume(id_, bytes.size());
}

h2::StreamHandler::Produced H2Peer::Stream::produce(MutableBytes to) {
  const size_t n = std::min(to.size(), out_.size());
  std::copy_n(out_.begin(), n, to.begin());
  out_.erase(0, n);
  const bool done = end_ && out_.empty();
  const bool with_trailers = done && !trailers_out_.empty();
  if (with_trailers) peer_.session.submit_trailers(id_, to_fields(trailers_out_));
  return {.bytes = n, .end = done, .trailers = with_trailers};
}

}  // namespace culvert::test
