#include "waypoint/request/request_body.h"

#include <algorithm>

namespace culvert::waypoint {

RequestBody::RequestBody(net::Reactor& reactor, ServerExchange& exchange, RequestRecord& record,
                         Options options, net::Event& changed)
    : exchange_(exchange),
      record_(record),
      options_(options),
      changed_(changed),
      last_activity_(Clock::now()),
      reader_(reactor) {
  if (options_.copy_limit) copy_ = std::make_shared<std::vector<uint8_t>>();
  if (exchange.request_size().kind == BodySize::Kind::kNone) completed_ = last_activity_;
}

std::shared_ptr<const std::vector<uint8_t>> RequestBody::copy() const {
  return completed_ ? copy_ : nullptr;
}

net::Task<Result<RequestBody::Part>> RequestBody::next(uint64_t position) {
  if (!started_) {
    started_ = true;
    completed_.reset();  // after an upgrade bytes follow a request that had none
    reader_.spawn(read_all());
  }
  for (;;) {
    if (position < stored_) {
      const Bytes data = stored_at(position);
      co_return Part{data, completed_ && position + data.size() == total_};
    }
    // What was given last time has been taken now: the reader may go on.
    if (!live_.empty() && position == total_) {
      live_ = {};
      changed_.wake_all();
    }
    if (!live_.empty()) {
      lost_ = true;
      chunks_.clear();
      stored_ = 0;
      co_return Part{live_, false};
    }
    if (completed_) co_return Part{{}, true};
    if (error_) co_return *error_;
    co_await changed_.wait();
  }
}

net::Task<> RequestBody::read_all() {
  if (exchange_.expects_continue()) {
    if (auto sent = co_await exchange_.send_continue(kNever); !sent) {
      error_ = sent.error();
      changed_.wake_all();
      co_return;
    }
  }
  while (!completed_) {
    auto piece = co_await exchange_.body().read(kNever);
    last_activity_ = Clock::now();
    if (!piece) {
      error_ = piece.error();
      break;
    }
    take(piece->data);
    changed_.wake_all();
    while (!live_.empty()) co_await changed_.wait();
    if (!piece->end) continue;
    trailers_ = std::move(piece->trailers);
    completed_ = last_activity_;
  }
  changed_.wake_all();
}

void RequestBody::take(Bytes data) {
  if (record_.grpc()) record_.request_frames.feed(data);
  if (copy_ != nullptr) {
    if (copy_->size() + data.size() > *options_.copy_limit) {
      copy_.reset();
    } else {
      copy_->insert(copy_->end(), data.begin(), data.end());
    }
  }
  total_ += data.size();
  streaming_ |= total_ > options_.replay_limit;
  if (streaming_) {
    live_ = data;
  } else {
    store(data);
  }
}

void RequestBody::store(Bytes data) {
  stored_ += data.size();
  while (!data.empty()) {
    if (chunks_.empty() || chunks_.back()->size == kChunk) {
      chunks_.push_back(std::make_unique<Chunk>());
    }
    Chunk& last = *chunks_.back();
    const size_t n = std::min(data.size(), kChunk - last.size);
    std::copy_n(data.begin(), n, last.bytes.begin() + static_cast<ptrdiff_t>(last.size));
    last.size += n;
    data = data.subspan(n);
  }
}

Bytes RequestBody::stored_at(uint64_t position) const {
  const Chunk& chunk = *chunks_[position / kChunk];
  const size_t offset = position % kChunk;
  return {chunk.bytes.data() + offset, chunk.size - offset};
}

}  // namespace culvert::waypoint
