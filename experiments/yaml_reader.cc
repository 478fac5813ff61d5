// SPDX-License-Identifier: Apache-2.0
#include "experiments/yaml_reader.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <utility>

#include "base/text.h"

namespace fulcrum::experiments {
namespace {

// Thrown by the builder to stop yaml-cpp, caught in this file.
struct Stop {};

constexpr int kMaxDuplicates = 100;
constexpr char kNoAliases[] = "aliases (*name) are not supported: write the value out";

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  while (begin <= text.size()) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// Builds the tree from yaml-cpp's events, which (unlike its nodes) tell quoted from plain scalars
// and do not drop duplicate keys.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const Source& source, const std::vector<std::string_view>& lines)
      : source_(source), lines_(lines) {}

  YamlNode& root() { return root_; }
  int documents() const { return documents_; }

  // yaml-cpp counts bytes from 0; people count characters from 1.
  Position At(const YAML::Mark& mark) const {
    Position at{source_.file(), mark.line + 1, 1};
    if (mark.line < 0) return {source_.file(), 0, 0};
    std::string_view line;
    if (static_cast<size_t>(mark.line) < lines_.size()) line = lines_[mark.line];
    for (int i = 0; i < mark.column; ++i) {
      const bool continues = static_cast<size_t>(i) < line.size() &&
                             (static_cast<unsigned char>(line[i]) & 0xC0) == 0x80;
      if (!continues) ++at.column;
    }
    return at;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      Fail(At(mark), "a file holds one document: put what follows `---` into a file of its own");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Begin(mark, "", anchor, YamlNode::Kind::kNull);
    End();
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Fail(At(mark), kNoAliases); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (stack_.size() == 1 || !AwaitsKey()) {
      YamlNode& node = Begin(mark, tag, anchor, YamlNode::Kind::kScalar);
      node.text = value;
      node.is_plain = tag == "?";
      End();
      return;
    }
    CheckPlainNode(At(mark), tag, anchor);
    AddKey(At(mark), value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { End(); }

 private:
  struct Frame {
    YamlNode* node;
    bool has_key = false;                               // Of a map: a key waits for its value.
    std::map<std::string, int, std::less<>> seen = {};  // Key -> line.
  };

  [[noreturn]] void Fail(const Position& at, std::string message) {
    source_.Error(at, std::move(message));
    throw Stop{};
  }

  bool AwaitsKey() const {
    return stack_.back().node->kind == YamlNode::Kind::kMap && !stack_.back().has_key;
  }

  void CheckPlainNode(const Position& at, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) Fail(at, "anchors (&name) are not supported: write the value out where it is");
    if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(at, "tags (" + tag + ") are not supported: remove it; types follow from the field");
    }
  }

  void AddKey(const Position& at, const std::string& key) {
    Frame& frame = stack_.back();
    if (key == "<<") Fail(at, "merge keys (<<) are not supported: write the fields out");
    const auto [previous, is_new] = frame.seen.emplace(key, at.line);
    if (!is_new) {
      // Kept apart from the tree, so that reading goes on and later errors are reported too.
      source_.Error(at, "duplicate key `" + key + "`: it is already given in line " +
                            std::to_string(previous->second) + "; keep one of them");
      if (++duplicates_ > kMaxDuplicates) Fail(at, "too many duplicate keys: fix these first");
    }
    frame.node->entries.push_back({key, at.line, at.column, {}});
    frame.has_key = true;
  }

  YamlNode& Begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YamlNode::Kind kind) {
    const Position at = At(mark);
    CheckPlainNode(at, tag, anchor);
    if (stack_.size() > kMaxYamlDepth) {
      Fail(at, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels: flatten it");
    }
    YamlNode* node = &root_;
    if (stack_.size() > 1) {
      Frame& parent = stack_.back();
      if (parent.node->kind == YamlNode::Kind::kSequence) {
        node = &parent.node->items.emplace_back();
      } else if (!parent.has_key) {
        Fail(at, "a key must be text: write `name: value`");
      } else {
        node = &parent.node->entries.back().value;
        parent.has_key = false;
      }
    }
    node->kind = kind;
    node->line = at.line;
    node->column = at.column;
    if (kind == YamlNode::Kind::kNull && stack_.size() > 1 &&
        stack_.back().node->kind == YamlNode::Kind::kMap) {
      // yaml-cpp places an absent value at the next token, which may be lines further on.
      node->line = stack_.back().node->entries.back().line;
      node->column = stack_.back().node->entries.back().column;
    }
    stack_.push_back({node});
    return *node;
  }
  void End() { stack_.pop_back(); }

  const Source& source_;
  const std::vector<std::string_view>& lines_;
  YamlNode root_;
  // Bottom: a sentinel. Pointers stay valid: a vector grows only at its last, open element.
  std::vector<Frame> stack_ = {Frame{&root_}};
  int documents_ = 0;
  int duplicates_ = 0;
};

// What must hold of the bytes before a parser sees them.
bool CheckBytes(std::string_view text, const std::vector<std::string_view>& lines,
                const Source& source) {
  const Position whole{source.file(), 0, 0};
  if (text.size() > kMaxFileBytes) {
    source.Error(whole, "the file has " + std::to_string(text.size()) + " bytes, more than the " +
                            std::to_string(kMaxFileBytes) + " allowed: split it");
    return false;
  }
  if (text.substr(0, 2) == "\xFF\xFE" || text.substr(0, 2) == "\xFE\xFF") {
    source.Error(whole, "the file is UTF-16: save it as UTF-8");
    return false;
  }
  bool sound = true;
  bool prologue = true;
  for (size_t i = 0; i < lines.size() && sound; ++i) {
    const std::string_view line = lines[i];
    const int number = static_cast<int>(i) + 1;
    if (!IsValidUtf8(line)) {
      source.Error(Position{source.file(), number, 1},
                   "this line is not UTF-8: save the file as UTF-8");
      sound = false;
    }
    for (size_t c = 0; c < line.size() && sound; ++c) {
      const unsigned char byte = static_cast<unsigned char>(line[c]);
      const bool ends_line = byte == '\r' && c + 1 == line.size();
      if ((byte < 0x20 && byte != '\t' && !ends_line) || byte == 0x7F) {
        source.Error(Position{source.file(), number, static_cast<int>(c) + 1},
                     "a control character: remove it (in quoted text, write it as an escape)");
        sound = false;
      }
    }
    const size_t first = line.find_first_not_of(" \r");
    if (first == std::string_view::npos) continue;
    if (sound && line[first] == '\t') {
      source.Error(Position{source.file(), number, static_cast<int>(first) + 1},
                   "a tab in the indentation: indent with spaces");
      sound = false;
    }
    if (prologue && line[0] == '%') {
      source.Error(Position{source.file(), number, 1},
                   "YAML directives are not supported: remove it");
      sound = false;
    }
    if (line[first] != '#') prologue = false;
  }
  return sound;
}

}  // namespace

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::optional<YamlNode> ReadYaml(std::string_view text, const Source& source) {
  // A byte-order mark is what some editors write in front of UTF-8: harmless.
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  const std::vector<std::string_view> lines = SplitLines(text);
  if (!CheckBytes(text, lines, source)) return std::nullopt;
  TreeBuilder builder(source, lines);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    // The only complaint of yaml-cpp that is about more than syntax.
    const bool is_alias = e.msg.find("anchor") != std::string::npos;
    source.Error(builder.At(e.mark), is_alias ? kNoAliases : "not YAML here: " + e.msg);
    return std::nullopt;
  } catch (const std::exception& e) {
    source.Error(Position{source.file(), 0, 0}, std::string("not readable as YAML: ") + e.what());
    return std::nullopt;
  }
  if (builder.documents() == 0) {
    source.Error(Position{source.file(), 0, 0},
                 "the file is empty: write the definition or remove it");
    return std::nullopt;
  }
  return std::move(builder.root());
}

}  // namespace fulcrum::experiments
