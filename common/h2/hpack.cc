#include "common/h2/hpack.h"

#include "common/base/check.h"
#include "common/h2/errors.h"
#include "common/h2/head_rules.h"
#include "common/h2/nghttp2_field.h"

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::h2 {
namespace {

constexpr uint32_t kTableSize = 4096;  // RFC 9113 section 6.5.2: the default

}  // namespace

void HeadEncoder::Deleter::operator()(nghttp2_hd_deflater* of) const { nghttp2_hd_deflate_del(of); }
void HeadDecoder::Deleter::operator()(nghttp2_hd_inflater* of) const { nghttp2_hd_inflate_del(of); }

HeadEncoder::HeadEncoder() {
  nghttp2_hd_deflater* raw = nullptr;
  CULVERT_CHECK(nghttp2_hd_deflate_new(&raw, kTableSize) == 0);  // fails only out of memory
  deflater_.reset(raw);
}

void HeadEncoder::encode(std::span<const Field> fields, ByteQueue& out) {
  const std::vector<nghttp2_nv> nv = to_nv(fields);
  const MutableBytes to =
      out.prepare(nghttp2_hd_deflate_bound(deflater_.get(), nv.data(), nv.size()));
  const ssize_t size =
      nghttp2_hd_deflate_hd(deflater_.get(), to.data(), to.size(), nv.data(), nv.size());
  CULVERT_CHECK(size >= 0);
  out.commit(static_cast<size_t>(size));
}

void HeadEncoder::set_table_size(uint32_t size) {
  CULVERT_CHECK(nghttp2_hd_deflate_change_table_size(deflater_.get(), std::min(size, kTableSize)) ==
                0);
}

HeadDecoder::HeadDecoder(uint32_t max_list) : max_list_(max_list) {
  nghttp2_hd_inflater* raw = nullptr;
  CULVERT_CHECK(nghttp2_hd_inflate_new(&raw) == 0);  // fails only out of memory
  inflater_.reset(raw);
}

Result<DecodedHead> HeadDecoder::decode(Bytes block, HeadKind kind) {
  DecodedHead decoded;
  HeadRules rules(kind);
  size_t counted = 0;
  bool good = true;
  for (bool more = true; more;) {
    nghttp2_nv nv{};
    int flags = 0;
    const ssize_t used =
        nghttp2_hd_inflate_hd2(inflater_.get(), &nv, &flags, block.data(), block.size(), 1);
    if (used < 0) return Error(Errc::kProtocol, nghttp2_strerror(static_cast<int>(used)));
    block = block.subspan(static_cast<size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      const std::string_view name = as_text({nv.name, nv.namelen});
      const std::string_view value = as_text({nv.value, nv.valuelen});
      counted += name.size() + value.size() + 32;
      good = good && rules.take(name, value);
      if (counted <= max_list_)
        decoded.head.fields.push_back({std::string(name), std::string(value)});
    }
    more = (flags & NGHTTP2_HD_INFLATE_FINAL) == 0 &&
           ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 || !block.empty());
  }
  nghttp2_hd_inflate_end_headers(inflater_.get());
  if (counted > max_list_) {
    decoded.verdict = DecodedHead::Verdict::kTooLarge;
    decoded.head.fields.clear();
  } else if (!good || !rules.complete()) {
    decoded.verdict = DecodedHead::Verdict::kMalformed;
  }
  return decoded;
}

}  // namespace culvert::h2
