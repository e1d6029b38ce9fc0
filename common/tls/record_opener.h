#pragma once

#include "common/base/bytes.h"
#include "common/tls/context_impl.h"
#include "common/tls/fault.h"
#include "common/tls/traffic_keys.h"

#include <cstddef>
#include <optional>

namespace culvert::tls {

// Cuts what arrives on an established TLS 1.3 connection into records and decrypts them where they
// lie (RFC 8446 sections 5.1, 5.2, 5.4). Knows nothing of what is in them. An incomplete record
// at the end of the input is kept, in a buffer of the worker's that is this opener's until the
// record is whole: an idle connection holds none. For common/tls only; single-threaded.
class RecordOpener {
 public:
  RecordOpener(const Suite& suite, const TrafficSecret& start, Context::Impl& context)
      : keys_(suite, start), context_(context) {}

  struct Record {
    ContentType type;      // as the peer says: may be none of the enumeration
    MutableBytes content;  // without padding; may be empty; lasts until end_input()
  };
  // The next record of what is kept and of `in`, whose bytes are taken off its front. Nothing: `in`
  // is empty now, and more is needed. After a fault the opener must not be used again.
  Checked<std::optional<Record>> next(MutableBytes& in);

  // See Engine::take_partial.
  size_t take_partial(MutableBytes to);
  // What follows is protected with the peer's next keys.
  void update_keys() { keys_.update(); }
  // What was kept is lost.
  void drop_partial();
  // Nothing that next() gave is used any more.
  void end_input();

 private:
  // Copies from `in` until `size` bytes are kept; false if `in` has too few.
  bool keep(MutableBytes& in, size_t size);
  // A whole record's size by its header.
  static Checked<size_t> record_size(const uint8_t* header);
  Checked<std::optional<Record>> decrypt(MutableBytes record);

  TrafficKeys keys_;
  Context::Impl& context_;
  RecordBuffer partial_;
  size_t kept_ = 0;         // bytes in it
  RecordBuffer completed_;  // the record that was partial before this input
};

}  // namespace culvert::tls
