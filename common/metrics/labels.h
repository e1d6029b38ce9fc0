#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace culvert::metrics {

// One set of label values, already in exposition form: `reporter="source",source_workload="a"`.
// Several families share one allocation; two sets are the same series if their texts are equal.
class Labels {
 public:
  Labels() = default;  // no labels
  // Names and values pairwise; with fewer values than names the last names are absent. Values are
  // escaped as OpenMetrics says (backslash, quote, line feed).
  static Labels make(std::span<const std::string> names, std::span<const std::string_view> values);

  // These labels with another value for `name`; shares the text if nothing changes. A name that is
  // not here is left out.
  [[nodiscard]] Labels with(std::string_view name, std::string_view value) const;

  [[nodiscard]] std::string_view text() const {
    return text_ ? std::string_view(*text_) : std::string_view();
  }
  bool operator==(const Labels& other) const { return text() == other.text(); }

 private:
  std::shared_ptr<const std::string> text_;
};

}  // namespace culvert::metrics
