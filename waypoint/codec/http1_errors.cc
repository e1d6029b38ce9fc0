#include "waypoint/codec/http1_errors.h"

#include "common/http1/errors.h"
#include "waypoint/codec/exchange.h"

namespace culvert::waypoint {

Error bad_message(const Error& cause) {
  constexpr int kContentTooLarge = 413, kFieldsTooLarge = 431;
  const int status = http1::http_status(cause.code);
  const bool limit = status == kContentTooLarge || status == kFieldsTooLarge;
  return {limit ? ExchangeErrc::kTooLarge : ExchangeErrc::kBadMessage, cause.message()};
}

Error connection_lost(const Error& cause) {
  if (cause.code == culvert::Errc::kTimedOut) return cause;
  return {ExchangeErrc::kConnectionLost, cause.message()};
}

}  // namespace culvert::waypoint
