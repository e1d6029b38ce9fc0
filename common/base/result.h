#pragma once

#include "common/base/error.h"

#include <boost/system/result.hpp>

#include <exception>
#include <stdexcept>

namespace culvert {

// A value or an Error. `if (!result) return result.error();`
template <class T = void>
using Result = boost::system::result<T, Error>;

// Called by Result::value() on an error, found by ADL. Data-plane code tests first and never gets
// here.
[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw std::runtime_error(error.message());
}

}  // namespace culvert
