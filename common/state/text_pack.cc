#include "common/state/text_pack.h"

#include "common/base/check.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

namespace culvert::state {
namespace {

// Shorter texts are looked for in so many bytes of the longer ones: a service with thousands of
// VIPs must not cost the square of their number.
constexpr size_t kLookedThrough = size_t{1} << 10;

template <class Number>
std::string_view slice(const char* spans, size_t count, size_t i) {
  Number place[2];
  std::memcpy(place, spans + i * sizeof place, sizeof place);
  return {spans + count * sizeof place + place[0], place[1]};
}

template <class Number>
void write_spans(char* out, const std::vector<std::pair<size_t, size_t>>& spans) {
  for (const auto& [offset, size] : spans) {
    const Number place[2] = {static_cast<Number>(offset), static_cast<Number>(size)};
    std::memcpy(out, place, sizeof place);
    out += sizeof place;
  }
}

}  // namespace

TextPack::TextPack(std::span<const std::string_view> texts) {
  // Longest first, so that shorter ones are found in them.
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return texts[a].size() > texts[b].size(); });
  std::string characters;
  std::vector<std::pair<size_t, size_t>> spans(texts.size());
  for (const size_t i : order) {
    size_t at = std::string_view(characters).substr(0, kLookedThrough).find(texts[i]);
    if (at == std::string_view::npos) {
      at = characters.size();
      characters += texts[i];
    }
    spans[i] = {at, texts[i].size()};
  }
  Header header;
  header.count = static_cast<uint32_t>(texts.size());
  header.wide = characters.size() > UINT16_MAX ? 1 : 0;
  const size_t width = header.wide != 0 ? sizeof(uint32_t) : sizeof(uint16_t);
  const size_t total = sizeof header + 2 * width * texts.size() + characters.size();
  // What says them is limited to far less.
  CULVERT_CHECK(texts.size() < (size_t{1} << 31) && total <= UINT32_MAX);
  header.total = static_cast<uint32_t>(total);
  data_ = std::make_unique_for_overwrite<char[]>(total);
  std::memcpy(data_.get(), &header, sizeof header);
  char* out = data_.get() + sizeof header;
  header.wide != 0 ? write_spans<uint32_t>(out, spans) : write_spans<uint16_t>(out, spans);
  std::memcpy(data_.get() + total - characters.size(), characters.data(), characters.size());
}

TextPack::TextPack(const TextPack& other) {
  if (other.data_ == nullptr) return;
  data_ = std::make_unique_for_overwrite<char[]>(other.header().total);
  std::memcpy(data_.get(), other.data_.get(), other.header().total);
}

std::string_view TextPack::operator[](size_t i) const {
  const char* spans = data_.get() + sizeof(Header);
  return header().wide != 0 ? slice<uint32_t>(spans, header().count, i)
                            : slice<uint16_t>(spans, header().count, i);
}

}  // namespace culvert::state
