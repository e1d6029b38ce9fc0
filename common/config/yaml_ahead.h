#pragma once

#include "common/config/yaml_tree.h"

#include <cstddef>
#include <string_view>

namespace culvert::config {

// Takes the element at `index` of the list that is the value of `key` in the document's map.
// Neither lives longer than the call.
using YamlElement =
    std::function<void(std::string_view key, size_t index, const YamlNode& element)>;

// As parse_yaml, but the text is read and parsed by a thread that is at most kYamlBatchesAhead
// batches ahead of `element`, so that both take the time of the slower one. `input` is called on
// that thread, `element` on the caller's; the thread has ended when this returns. Error, beside
// those of parse_yaml: the system's, when there can be no thread.
inline constexpr size_t kYamlBatchesAhead = 4;
Result<YamlDocument> parse_yaml_ahead(const YamlInput& input, const YamlLimits& limits,
                                      const YamlElement& element);

}  // namespace culvert::config
