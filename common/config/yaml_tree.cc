#include "common/config/yaml_tree.h"

#include <fmt/format.h>

#include <yaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

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
    const size_t line = (has_mark ? parser_.problem_mark : parser_.mark).line + 1;
    // What is missing at the end is missing in the last line, not in one after it.
    return error_at(parser_.problem, std::max<size_t>(1, std::min(line, lines())));
  }

 private:
  static int read(void* self, unsigned char* buffer, size_t size, size_t* got) {
    auto& parser = *static_cast<Parser*>(self);
    auto result = parser.input_({reinterpret_cast<char*>(buffer), size});
    *got = result ? *result : 0;
    parser.bytes_ += *got;
    parser.line_ends_ += static_cast<size_t>(std::count(buffer, buffer + *got, '\n'));
    if (*got > 0) parser.in_line_ = buffer[*got - 1] != '\n';
    if (!result) {
      parser.failed_ = result.error();
    } else if (parser.bytes_ > parser.max_bytes_) {
      parser.failed_ =
          Error(Errc::kLimit, fmt::format("more than {} bytes of YAML", parser.max_bytes_));
    }
    return parser.failed_ ? 0 : 1;
  }

  [[nodiscard]] size_t lines() const { return line_ends_ + (in_line_ ? 1 : 0); }

  const YamlInput& input_;
  const size_t max_bytes_;
  size_t bytes_ = 0;
  size_t line_ends_ = 0;
  bool in_line_ = false;  // what was read last did not end a line
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

std::string_view keep(std::string_view text, std::pmr::memory_resource& memory) {
  if (text.empty()) return {};
  char* kept = static_cast<char*>(memory.allocate(text.size(), 1));
  std::copy(text.begin(), text.end(), kept);
  return {kept, text.size()};
}

// `to`, which has its place in memory, becomes a copy of `from`.
void copy(const YamlNode& from, YamlNode& to, std::pmr::memory_resource& memory) {
  to.kind = from.kind;
  to.quoted = from.quoted;
  to.line = from.line;
  to.tag = keep(from.tag, memory);
  to.text = keep(from.text, memory);
  to.items.reserve(from.items.size());
  for (const YamlNode& item : from.items) copy(item, to.items.emplace_back(&memory), memory);
}

}  // namespace

// Makes nodes of events, each in its place: the last item of the node that is open.
class YamlBuilder {
 public:
  YamlBuilder(const YamlLimits& limits, const YamlElement& element)
      : limits_(limits), element_(element), memory_(document_.memory_.get()) {}

  [[nodiscard]] bool has_document() const { return documents_ > 0; }
  YamlDocument take() { return std::move(document_); }

  Result<> on_event(const yaml_event_t& event) {
    line_ = static_cast<uint32_t>(event.start_mark.line + 1);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1) return error_at("more than one YAML document", line_);
        return {};
      case YAML_ALIAS_EVENT:
        return on_alias(text_of(event.data.alias.anchor));
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
        const Open closed = open_.back();
        open_.pop_back();
        if (closed.streams) memory_ = document_.memory_.get();
        return finish(*closed.node, closed.anchor);
      }
      default:
        return {};
    }
  }

 private:
  struct Open {
    YamlNode* node;
    std::string_view anchor;
    bool streams = false;  // its elements go to element_
    size_t given_away = 0;
  };

  Result<> on_alias(std::string_view anchor) {
    const bool inside =
        std::ranges::any_of(open_, [&](const Open& opened) { return opened.anchor == anchor; });
    if (inside) return error_at("alias inside the value it names", line_);
    const auto named = anchors_.find(anchor);
    if (named == anchors_.end()) {
      return error_at(fmt::format("unknown alias '{}'", anchor), line_);
    }
    if (auto counted = count(size_of(named->second)); !counted) return counted;
    YamlNode& node = add_node();
    copy(named->second, node, *memory_);
    return finish(node, {});
  }

  Result<> on_scalar(const yaml_event_t& event) {
    if (auto counted = count(1); !counted) return counted;
    const auto& scalar = event.data.scalar;
    const std::string_view tag = text_of(scalar.tag);
    const std::string_view value{reinterpret_cast<const char*>(scalar.value), scalar.length};
    const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
    YamlNode& node = add_node();
    node.line = line_;
    if (plain && tag.empty() && is_null(value)) {
      // One that is not there is where its key is.
      if (value.empty() && key_line_ != 0) node.line = key_line_;
    } else {
      node.kind = YamlNode::Kind::kScalar;
      node.quoted = !plain || tag == "!" || tag == "tag:yaml.org,2002:str";
      node.text = keep(value, *memory_);
      node.tag = own_tag(tag);
    }
    return finish(node, keep(text_of(scalar.anchor), *memory_));
  }

  Result<> open(YamlNode::Kind kind, const yaml_char_t* tag, const yaml_char_t* anchor) {
    if (auto counted = count(1); !counted) return counted;
    if (open_.size() == limits_.depth) {
      return error_at(fmt::format("nested deeper than {} levels", limits_.depth), line_);
    }
    YamlNode& node = add_node();
    const bool is_list_of_document = open_.size() == 1 && key_line_ != 0;
    node.kind = kind;
    node.line = line_;
    node.tag = own_tag(text_of(tag));
    open_.push_back({&node, keep(text_of(anchor), *memory_)});
    Open& opened = open_.back();
    opened.streams = element_ && is_list_of_document && kind == YamlNode::Kind::kSequence &&
                     node.tag.empty() && opened.anchor.empty();
    if (opened.streams) memory_ = &element_memory_;
    return {};
  }

  Result<> count(size_t nodes) {
    nodes_ += nodes;
    if (nodes_ <= limits_.nodes) return {};
    return error_at(fmt::format("more than {} values", limits_.nodes), line_);
  }

  std::string_view own_tag(std::string_view tag) {
    return tag == "!" || tag.starts_with(kCoreTagPrefix) ? std::string_view() : keep(tag, *memory_);
  }

  // The next value's node. Sets key_line_ to the line of its key; 0: it has none.
  YamlNode& add_node() {
    if (open_.empty()) return document_.root_;
    YamlNode& parent = *open_.back().node;
    const bool has_key = parent.kind == YamlNode::Kind::kMap && parent.items.size() % 2 == 1;
    key_line_ = has_key ? parent.items.back().line : 0;
    if (!open_.back().streams) return parent.items.emplace_back(memory_);
    current_.emplace(memory_);
    return *current_;
  }

  // `node` is complete.
  Result<> finish(const YamlNode& node, std::string_view anchor) {
    if (!anchor.empty()) {
      // The copy counts as well: many nested anchors must not multiply memory.
      if (auto counted = count(size_of(node)); !counted) return counted;
      auto& memory = *document_.memory_;
      YamlNode copied(&memory);
      copy(node, copied, memory);
      anchors_.insert_or_assign(keep(anchor, memory), std::move(copied));
    }
    if (open_.empty() || !open_.back().streams) return {};
    Open& list = open_.back();
    element_(open_.front().node->items[open_.front().node->items.size() - 2].text,
             list.given_away++, node);
    current_.reset();
    element_memory_.release();
    return {};
  }

  const YamlLimits limits_;
  const YamlElement& element_;
  YamlDocument document_;
  std::vector<char> element_buffer_ = std::vector<char>(size_t{64} << 10);
  std::pmr::monotonic_buffer_resource element_memory_{element_buffer_.data(),
                                                      element_buffer_.size()};
  std::pmr::memory_resource* memory_;  // where nodes go now
  std::optional<YamlNode> current_;    // the element of a list that is given away
  uint32_t line_ = 0;
  uint32_t key_line_ = 0;
  size_t documents_ = 0;
  size_t nodes_ = 0;
  std::vector<Open> open_;
  std::map<std::string_view, YamlNode> anchors_;
};

YamlInput yaml_input(std::string_view text) {
  return [rest = text](std::span<char> buffer) mutable -> Result<size_t> {
    const size_t size = std::min(buffer.size(), rest.size());
    std::copy_n(rest.begin(), size, buffer.begin());
    rest.remove_prefix(size);
    return size;
  };
}

Result<YamlDocument> parse_yaml(const YamlInput& input, const YamlLimits& limits,
                                const YamlElement& element) {
  Parser parser(input, limits.bytes);
  YamlBuilder builder(limits, element);
  for (bool more = true; more;) {
    yaml_event_t event;
    if (auto parsed = parser.next(event); !parsed) return parsed.error();
    more = event.type != YAML_STREAM_END_EVENT;
    const Result<> taken = builder.on_event(event);
    yaml_event_delete(&event);
    if (!taken) return taken.error();
  }
  if (!builder.has_document()) return invalid("no YAML document");
  return builder.take();
}

}  // namespace culvert::config
