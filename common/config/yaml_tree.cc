#include "common/config/yaml_tree.h"

#include <fmt/format.h>

#include <yaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <type_traits>
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

// All of it, in memory of its own.
YamlNode copy(const YamlNode& from, YamlMemory& memory) {
  YamlNode to = from;
  to.tag = memory.keep(from.tag);
  to.text = memory.keep(from.text);
  std::vector<YamlNode> items;
  items.reserve(from.items.size());
  for (const YamlNode& item : from.items) items.push_back(copy(item, memory));
  to.items = memory.keep(items);
  return to;
}

}  // namespace

std::string_view YamlMemory::keep(std::string_view text) {
  if (text.empty()) return {};
  char* kept = static_cast<char*>(memory_.allocate(text.size(), 1));
  std::copy(text.begin(), text.end(), kept);
  used_ += text.size();
  return {kept, text.size()};
}

std::span<const YamlNode> YamlMemory::keep(std::span<const YamlNode> nodes) {
  static_assert(std::is_trivially_destructible_v<YamlNode>);
  if (nodes.empty()) return {};
  auto* kept = static_cast<YamlNode*>(memory_.allocate(nodes.size_bytes(), alignof(YamlNode)));
  std::uninitialized_copy(nodes.begin(), nodes.end(), kept);
  used_ += nodes.size_bytes();
  return {kept, nodes.size()};
}

void YamlMemory::clear() {
  memory_.release();
  used_ = 0;
}

// Makes nodes of events. A value that is complete waits in `waiting_` until the one it is in is
// complete too.
class YamlBuilder {
 public:
  YamlBuilder(const YamlLimits& limits, const YamlExchange& exchange)
      : limits_(limits), exchange_(exchange), memory_(document_.memory_.get()) {}

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
      case YAML_MAPPING_END_EVENT:
        return close();
      default:
        return {};
    }
  }

 private:
  struct Open {
    YamlNode node;  // without items
    std::string_view anchor;
    size_t first = 0;      // of its items in waiting_
    bool streams = false;  // its elements go to exchange_
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
    return add(copy(named->second, *memory_), {});
  }

  Result<> on_scalar(const yaml_event_t& event) {
    if (auto counted = count(1); !counted) return counted;
    const auto& scalar = event.data.scalar;
    const std::string_view tag = text_of(scalar.tag);
    const std::string_view value{reinterpret_cast<const char*>(scalar.value), scalar.length};
    const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
    YamlNode node;
    node.line = line_;
    if (plain && tag.empty() && is_null(value)) {
      // One that is not there is where its key is.
      const YamlNode* key = key_of_next();
      if (value.empty() && key != nullptr) node.line = key->line;
    } else {
      node.kind = YamlNode::Kind::kScalar;
      node.quoted = !plain || tag == "!" || tag == "tag:yaml.org,2002:str";
      node.text = memory_->keep(value);
      node.tag = own_tag(tag);
    }
    return add(node, text_of(scalar.anchor));
  }

  Result<> open(YamlNode::Kind kind, const yaml_char_t* tag, const yaml_char_t* anchor) {
    if (auto counted = count(1); !counted) return counted;
    if (open_.size() == limits_.depth) {
      return error_at(fmt::format("nested deeper than {} levels", limits_.depth), line_);
    }
    const YamlNode* key = open_.size() == 1 ? key_of_next() : nullptr;
    Open opened;
    opened.node.kind = kind;
    opened.node.line = line_;
    opened.node.tag = own_tag(text_of(tag));
    opened.anchor = memory_->keep(text_of(anchor));
    opened.first = waiting_.size();
    opened.streams = exchange_ && key != nullptr && kind == YamlNode::Kind::kSequence &&
                     opened.node.tag.empty() && opened.anchor.empty();
    if (opened.streams) begin_batch(key->text, 0);
    open_.push_back(opened);
    return {};
  }

  Result<> close() {
    Open closed = open_.back();
    open_.pop_back();
    if (closed.streams) {
      if (auto given = give_batch(); !given) return given;
      memory_ = document_.memory_.get();
    }
    closed.node.items = memory_->keep(std::span(waiting_).subspan(closed.first));
    waiting_.resize(closed.first);
    return add(closed.node, closed.anchor);
  }

  // `node` is complete.
  Result<> add(const YamlNode& node, std::string_view anchor) {
    if (!anchor.empty()) {
      // The copy counts as well: many nested anchors must not multiply memory.
      if (auto counted = count(size_of(node)); !counted) return counted;
      YamlMemory& memory = *document_.memory_;
      anchors_.insert_or_assign(memory.keep(anchor), copy(node, memory));
    }
    if (open_.empty()) {
      document_.root_ = node;
    } else if (!open_.back().streams) {
      waiting_.push_back(node);
    } else {
      batch_->elements.push_back(node);
      if (batch_->memory.used() >= YamlBatch::kBytes) return give_batch();
    }
    return {};
  }

  void begin_batch(std::string_view key, size_t first) {
    if (batch_ == nullptr) batch_ = std::make_unique<YamlBatch>();
    batch_->key = key;
    batch_->first = first;
    batch_->elements.clear();
    batch_->memory.clear();
    memory_ = &batch_->memory;
  }

  Result<> give_batch() {
    if (batch_->elements.empty()) return {};
    const std::string key = batch_->key;
    const size_t next = batch_->first + batch_->elements.size();
    batch_ = exchange_(std::move(batch_));
    if (batch_ == nullptr) return invalid("not wanted any more");
    begin_batch(key, next);
    return {};
  }

  Result<> count(size_t nodes) {
    nodes_ += nodes;
    if (nodes_ <= limits_.nodes) return {};
    return error_at(fmt::format("more than {} values", limits_.nodes), line_);
  }

  std::string_view own_tag(std::string_view tag) {
    const bool own = tag != "!" && !tag.starts_with(kCoreTagPrefix);
    return own ? memory_->keep(tag) : std::string_view();
  }

  // Of the value that comes next; nullptr: it has none.
  [[nodiscard]] const YamlNode* key_of_next() const {
    if (open_.empty() || open_.back().node.kind != YamlNode::Kind::kMap) return nullptr;
    return (waiting_.size() - open_.back().first) % 2 == 1 ? &waiting_.back() : nullptr;
  }

  const YamlLimits limits_;
  const YamlExchange& exchange_;
  YamlDocument document_;
  YamlMemory* memory_;                // where nodes go now: the document's or the batch's
  std::unique_ptr<YamlBatch> batch_;  // null: none was needed yet
  uint32_t line_ = 0;
  size_t documents_ = 0;
  size_t nodes_ = 0;
  std::vector<Open> open_;
  std::vector<YamlNode> waiting_;
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
                                const YamlExchange& exchange) {
  Parser parser(input, limits.bytes);
  YamlBuilder builder(limits, exchange);
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
