#pragma once

#include "common/base/error.h"

#include <boost/system/result.hpp>

#include <cstdint>
#include <stdexcept>

// What a peer did wrong in a record. For common/tls only.
namespace culvert::tls {

struct Fault {
  Fault() = default;
  Fault(uint8_t told, const char* text) : alert(told), why(text) {}

  uint8_t alert = 0;     // what the peer is told (RFC 8446 section 6.2): SSL_AD_…
  const char* why = "";  // for our log: what the peer sent
};

template <class T = void>
using Checked = boost::system::result<T, Fault>;

// See common/base/result.h.
[[noreturn]] inline void throw_exception_from_error(const Fault& fault,
                                                    const boost::source_location&) {
  throw std::runtime_error(fault.why);
}

}  // namespace culvert::tls
