#include "common/config/yaml_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <yaml.h>

namespace culvert::config {
namespace {

constexpr std::string_view kCoreTagPrefix = "tag:yaml.org,2002:";

std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

Error error_at(std::string_view why, size_t line) {
  return invalid(fmt::format("{} (line {})", why, line));
}

// libyaml's parser on a YamlInput.
class Parser {
 public:
  Parser(const YamlInput& input, size_t max_bytes) : input_(input), max_bytes_(max_bytes) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_input(&parser_, read, this);
  }
  ~Parser() { yaml_parser_delete(&parser_); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // The caller deletes the event.
  Result<> next(yaml_event_t& event) {
    if (yaml_parser_parse(&parser_, &event) != 0) return {};
    if (failed_) return *failed_;
    if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
    const bool has_mark = parser_.error != YAML_READER_ERROR;
    return error_at(parser_.problem, (has_mark ? parser_.problem_mark : parser_.mark).line + 1);
  }

 private:
  static int read(void* self, unsigned char* buffer, size_t size, size_t* got) {
    auto& parser = *static_cast<Parser*>(self);
    auto result = parser.input_({reinterpret_cast<char*>(buffer), size});
    *got = result ? *result : 0;
    parser.bytes_ += *got;
    if (!result) {
      parser.failed_ = result.error();
    } else if (parser.bytes_ > parser.max_bytes_) {
      parser.failed_ = Error(
          Errc::kLimit, fmt::format("more than {} bytes of YAML", parser.max_bytes_));
    }
    return parser.failed_ ? 0 : 1;
  }

  const YamlInput& input_;
  const size_t max_bytes_;
  size_t bytes_ = 0;
  std::optional<Error> failed_;
  yaml_parser_t parser_{};
};

size_t size_of(const YamlNode& node) {
  size_t size = 1;
  for (const YamlNode& item : node.items) size += size_of(item);
  return size;
}

bool is_null(std::string_view plain) {
  return plain.empty() || plain == "~" || plain == "null" || plain == "Null" || plain == "NULL";
}

// Makes nodes of events.
class TreeBuilder {
 public:
  TreeBuilder(const YamlLimits& limits, const YamlElement& element)
      : limits_(limits), element_(element) {}

  [[nodiscard]] bool has_document() const { return documents_ > 0; }
  YamlNode take_root() { return std::move(root_); }

  Result<> on_event(const yaml_event_t& event) {
    line_ = static_cast<uint32_t>(event.start_mark.line + 1);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1) return error_at("more than one YAML document", line_);
        return {};
      case YAML_ALIAS_EVENT:
        return on_alias(std::string(text_of(event.data.alias.anchor)));
      case YAML_SCALAR_EVENT:
        return on_scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return open(YamlNode::Kind::kSequence, event.data.sequence_start.tag,
                    event.data.sequence_start.anchor);
      case YAML_MAPPING_START_EVENT:
        return open(YamlNode::Kind::kMap, event.data.mapping_start.tag,
                    event.data.mapping_start.anchor);
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: {
        Open closed = std::move(open_.back());
        open_.pop_back();
        return finish(std::move(closed.node), closed.anchor);
      }
      default:
        return {};
    }
  }

 private:
  struct Open {
    YamlNode node;
    std::string anchor;
    size_t given_away = 0;  // elements that went to element_
    bool streams = false;
  };

  Result<> on_alias(const std::string& anchor) {
    const bool inside = std::ranges::any_of(
        open_, [&](const Open& opened) { return !anchor.empty() && opened.anchor == anchor; });
    if (inside) return error_at("alias inside the value it names", line_);
    const auto named = anchors_.find(anchor);
    if (named == anchors_.end()) return error_at("unknown alias '" + anchor + "'", line_);
    if (auto counted = count(size_of(named->second)); !counted) return counted;
    attach(YamlNode(named->second));
    return {};
  }

  Result<> on_scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    YamlNode node = make(YamlNode::Kind::kScalar, scalar.tag);
    const std::string_view tag = text_of(scalar.tag);
    const std::string_view value{reinterpret_cast<const char*>(scalar.value), scalar.length};
    const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && tag.empty() && is_null(value)) {
      node.kind = YamlNode::Kind::kNull;
    } else {
      node.quoted = !plain || tag == "!" ||
                    (tag.starts_with(kCoreTagPrefix) && tag.substr(kCoreTagPrefix.size()) == "str");
      node.text = value;
    }
    if (auto counted = count(1); !counted) return counted;
    return finish(std::move(node), std::string(text_of(scalar.anchor)));
  }

  Result<> count(size_t nodes) {
    nodes_ += nodes;
    if (nodes_ <= limits_.nodes) return {};
    return error_at(fmt::format("more than {} values", limits_.nodes), line_);
  }

  [[nodiscard]] YamlNode make(YamlNode::Kind kind, const yaml_char_t* tag_text) const {
    YamlNode node;
    node.kind = kind;
    node.line = line_;
    const std::string_view tag = text_of(tag_text);
    if (tag != "!" && !tag.starts_with(kCoreTagPrefix)) node.tag = tag;
    return node;
  }

  Result<> open(YamlNode::Kind kind, const yaml_char_t* tag, const yaml_char_t* anchor_text) {
    if (auto counted = count(1); !counted) return counted;
    if (open_.size() == limits_.depth) {
      return error_at(fmt::format("nested deeper than {} levels", limits_.depth), line_);
    }
    Open opened{make(kind, tag), std::string(text_of(anchor_text))};
    opened.streams = element_ && kind == YamlNode::Kind::kSequence && opened.node.tag.empty() &&
                     opened.anchor.empty() && open_.size() == 1 && is_value(open_.back().node);
    open_.push_back(std::move(opened));
    return {};
  }

  // Whether the next child of `parent` is a value in a map, by a key that is a text.
  static bool is_value(const YamlNode& parent) {
    return parent.kind == YamlNode::Kind::kMap && parent.items.size() % 2 == 1;
  }

  Result<> finish(YamlNode node, const std::string& anchor) {
    if (!anchor.empty()) {
      // The copy counts as well: many nested anchors must not multiply memory.
      if (auto counted = count(size_of(node)); !counted) return counted;
      anchors_.insert_or_assign(anchor, node);
    }
    attach(std::move(node));
    return {};
  }

  void attach(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.streams) {
      element_(open_.front().node.items.back().text, parent.given_away++, node);
      return;
    }
    // An absent value is where its key is.
    if (node.kind == YamlNode::Kind::kNull && is_value(parent.node)) {
      node.line = parent.node.items.back().line;
    }
    parent.node.items.push_back(std::move(node));
  }

  const YamlLimits limits_;
  const YamlElement& element_;
  uint32_t line_ = 0;
  size_t documents_ = 0;
  size_t nodes_ = 0;
  std::vector<Open> open_;
  std::map<std::string, YamlNode> anchors_;
  YamlNode root_;
};

}  // namespace

YamlInput yaml_input(std::string_view text) {
  return [rest = text](std::span<char> buffer) mutable -> Result<size_t> {
    const size_t size = std::min(buffer.size(), rest.size());
    std::copy_n(rest.begin(), size, buffer.begin());
    rest.remove_prefix(size);
    return size;
  };
}

Result<YamlNode> parse_yaml(const YamlInput& input, const YamlLimits& limits,
                            const YamlElement& element) {
  Parser parser(input, limits.bytes);
  TreeBuilder builder(limits, element);
  for (bool more = true; more;) {
    yaml_event_t event;
    if (auto parsed = parser.next(event); !parsed) return parsed.error();
    more = event.type != YAML_STREAM_END_EVENT;
    const Result<> taken = builder.on_event(event);
    yaml_event_delete(&event);
    if (!taken) return taken.error();
  }
  if (!builder.has_document()) return invalid("no YAML document");
  return builder.take_root();
}

}  // namespace culvert::config
