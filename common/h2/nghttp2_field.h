#pragma once

#include "common/h2/headers.h"

#include <nghttp2/nghttp2.h>

#include <span>
#include <vector>

namespace culvert::h2 {

// As nghttp2 wants them: referring to the texts of `fields`, which it does not change.
inline std::vector<nghttp2_nv> to_nv(std::span<const Field> fields) {
  std::vector<nghttp2_nv> nv;
  nv.reserve(fields.size());
  for (const Field& field : fields)
    nv.push_back({.name = reinterpret_cast<uint8_t*>(const_cast<char*>(field.name.data())),
                  .value = reinterpret_cast<uint8_t*>(const_cast<char*>(field.value.data())),
                  .namelen = field.name.size(),
                  .valuelen = field.value.size(),
                  .flags = static_cast<uint8_t>(field.no_index ? NGHTTP2_NV_FLAG_NO_INDEX
                                                               : NGHTTP2_NV_FLAG_NONE)});
  return nv;
}

}  // namespace culvert::h2
