#include "common/config/yaml_tree.h"

#include <fmt/format.h>

#include <istream>
#include <map>
#include <stdexcept>
#include <streambuf>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace culvert::config {
namespace {

constexpr std::string_view kCoreTagPrefix = "tag:yaml.org,2002:";

// Reads from memory that someone else owns: a configuration can be large, one copy of it is enough.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // only ever read from
    setg(begin, begin, begin + text.size());
  }
};

// Thrown through the parser, which offers no other way to stop it.
struct Stop : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const YamlLimits& limits) : limits_(limits) {}

  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) stop(mark, "more than one YAML document");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    finish(make(mark, YamlNode::Kind::kNull, {}), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto named = anchors_.find(anchor);
    if (named == anchors_.end()) stop(mark, "alias inside the value it names");
    count(mark, size_of(named->second));
    attach(YamlNode(named->second));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = make(mark, YamlNode::Kind::kScalar, tag);
    node.quoted = tag == "!" || tag == std::string(kCoreTagPrefix) + "str";
    node.text = value;
    finish(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(mark, YamlNode::Kind::kSequence, tag), anchor, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(mark, YamlNode::Kind::kMap, tag), anchor, mark);
  }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] static void stop(const YAML::Mark& mark, std::string_view why) {
    throw Stop(fmt::format("{} (line {})", why, mark.line + 1));
  }

  void count(const YAML::Mark& mark, size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > limits_.nodes) stop(mark, fmt::format("more than {} values", limits_.nodes));
  }

  static size_t size_of(const YamlNode& node) {
    size_t size = 1;
    for (const YamlNode& item : node.items) size += size_of(item);
    return size;
  }

  YamlNode make(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& tag) {
    count(mark, 1);
    YamlNode node;
    node.kind = kind;
    node.line = static_cast<uint32_t>(mark.line + 1);
    // "?" is no tag on a plain value, "!" none on a quoted one.
    if (tag != "?" && tag != "!" && !tag.starts_with(kCoreTagPrefix)) node.tag = tag;
    return node;
  }

  void open(YamlNode node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (open_.size() == limits_.depth) {
      stop(mark, fmt::format("nested deeper than {} levels", limits_.depth));
    }
    open_.emplace_back(std::move(node), anchor);
  }

  void close() {
    auto [node, anchor] = std::move(open_.back());
    open_.pop_back();
    finish(std::move(node), anchor);
  }

  void finish(YamlNode node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      // The copy counts as well: many nested anchors must not multiply memory.
      nodes_ += size_of(node);
      if (nodes_ > limits_.nodes) throw Stop(fmt::format("more than {} values", limits_.nodes));
      anchors_.insert_or_assign(anchor, node);
    }
    attach(std::move(node));
  }

  void attach(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    YamlNode& parent = open_.back().first;
    // The parser sees that there is no value only at whatever comes next: say the key's line.
    const bool is_value = parent.kind == YamlNode::Kind::kMap && parent.items.size() % 2 == 1;
    if (node.kind == YamlNode::Kind::kNull && is_value) node.line = parent.items.back().line;
    parent.items.push_back(std::move(node));
  }

  const YamlLimits limits_;
  size_t documents_ = 0;
  size_t nodes_ = 0;
  std::vector<std::pair<YamlNode, YAML::anchor_t>> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  YamlNode root_;
};

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, const YamlLimits& limits) {
  if (text.size() > limits.bytes) {
    return Error(Errc::kLimit,
                 fmt::format("{} bytes of YAML, at most {} are read", text.size(), limits.bytes));
  }
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    TreeBuilder builder(limits);
    if (!parser.HandleNextDocument(builder)) return invalid("no YAML document");
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.take_root();
  } catch (const Stop& stopped) {
    return invalid(stopped.what());
  } catch (const YAML::Exception& failure) {
    return invalid(fmt::format("{} (line {})", failure.msg, failure.mark.line + 1));
  }
}

}  // namespace culvert::config
