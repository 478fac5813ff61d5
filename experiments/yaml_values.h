// SPDX-License-Identifier: Apache-2.0
//
// From YAML scalars and maps to typed values, each refusal with its reason. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experiments/definition.h"
#include "experiments/yaml_reader.h"

namespace fulcrum::experiments {

// What an unquoted scalar is taken for by YAML readers. kLookalike is what they disagree about:
// `yes`, `True`, `010`, `0x1F`, `1_000`, `.5`, `12:30`, `.inf`.
enum class PlainForm { kText, kBool, kInt, kFloat, kWordLookalike, kNumberLookalike };
PlainForm ClassifyPlain(std::string_view text);

// "a map", "a list", "text", "nothing": for messages.
std::string KindName(const YamlNode& node);

// "`a`, `b` or `c`".
std::string JoinOr(const std::vector<std::string>& words);

// Each reports what is wrong at the node and returns nullopt. `what` names the value in messages.
std::optional<std::string> ReadText(const Source& source, const YamlNode& node,
                                    std::string_view what);
// [A-Za-z0-9._-]+, for whatever is used as a name in URLs and snapshots.
std::optional<std::string> ReadName(const Source& source, const YamlNode& node,
                                    std::string_view what);
bool CheckName(const Source& source, const Position& at, std::string_view name,
               std::string_view what);
std::optional<bool> ReadBool(const Source& source, const YamlNode& node, std::string_view what);
std::optional<int64_t> ReadInt(const Source& source, const YamlNode& node, std::string_view what);
std::optional<double> ReadNumber(const Source& source, const YamlNode& node, std::string_view what);
// `5%` or `0.05`.
std::optional<double> ReadFraction(const Source& source, const YamlNode& node,
                                   std::string_view what);
// A number of percent: `5` or `5%`.
std::optional<double> ReadPercent(const Source& source, const YamlNode& node,
                                  std::string_view what);
std::optional<int64_t> ReadDurationMs(const Source& source, const YamlNode& node,
                                      std::string_view what);
std::optional<int64_t> ReadTimeMs(const Source& source, const YamlNode& node,
                                  std::string_view what);
// A number, bool or text by its form; look-alikes are refused.
std::optional<Scalar> ReadScalar(const Source& source, const YamlNode& node, std::string_view what);
// A list of texts; a single text counts as a list of one. Duplicates are refused.
std::vector<std::string> ReadTexts(const Source& source, const YamlNode& node,
                                   std::string_view what);

// The fields of one map. Construction reports a node that is no map, and every key that is not in
// `known`, with the nearest known one.
class Fields {
 public:
  // `what` names the map in messages: "variant `one-page`". Field positions are noted in `noted`
  // under `prefix` + key where given.
  Fields(const Source& source, const YamlNode& node, std::string what,
         const std::vector<std::string>& known, FieldPositions* noted = nullptr,
         std::string prefix = "");

  bool is_map() const { return node_.kind == YamlNode::Kind::kMap; }
  const Source& source() const { return source_; }
  const YamlNode& node() const { return node_; }
  const std::string& what() const { return what_; }
  bool Has(std::string_view key) const { return node_.Find(key) != nullptr; }

  // nullptr when absent. A key without a value is an error, reported once, and absent.
  const YamlNode* Get(std::string_view key) const;
  // The same, but absence is an error: "<what> needs `key`: <hint>".
  const YamlNode* Require(std::string_view key, std::string_view hint) const;

  // Leave *out as it is when the field is absent or wrong (then reported).
  void Text(std::string_view key, std::string* out) const;
  void Name(std::string_view key, std::string* out) const;
  void Bool(std::string_view key, bool* out) const;
  void Number(std::string_view key, double* out) const;
  void Fraction(std::string_view key, double* out) const;
  void Duration(std::string_view key, int64_t* out_ms) const;
  void Time(std::string_view key, std::optional<int64_t>* out_ms) const;
  void Texts(std::string_view key, std::vector<std::string>* out) const;

  template <typename Enum>
  void Choice(std::string_view key, const std::vector<std::pair<std::string, Enum>>& choices,
              Enum* out) const {
    const YamlNode* value = Get(key);
    if (value == nullptr) return;
    std::vector<std::string> names;
    for (const auto& choice : choices) names.push_back(choice.first);
    const int index = ReadChoice(*value, key, names);
    if (index >= 0) *out = choices[static_cast<size_t>(index)].second;
  }

 private:
  int ReadChoice(const YamlNode& value, std::string_view key,
                 const std::vector<std::string>& names) const;
  std::string Path(std::string_view key) const;

  const Source& source_;
  const YamlNode& node_;
  std::string what_;
};

// Calls fn(entry) for each entry of a map, or reports that `what` must be one. Entries without a
// value are reported and skipped.
template <typename Fn>
void ForEachEntry(const Source& source, const YamlNode& node, const std::string& what, Fn fn) {
  if (node.kind != YamlNode::Kind::kMap) {
    source.Error(node, what + " must be a map (`name: …` lines), not " + KindName(node));
    return;
  }
  for (const YamlEntry& entry : node.entries) {
    if (entry.value.kind == YamlNode::Kind::kNull) {
      source.Error(entry, "`" + entry.key + "` in " + what + " has no value: write one (`{}` for " +
                              "nothing to say) or remove the line");
      continue;
    }
    fn(entry);
  }
}

// The same for a list.
template <typename Fn>
void ForEachItem(const Source& source, const YamlNode& node, const std::string& what, Fn fn) {
  if (node.kind != YamlNode::Kind::kSequence) {
    source.Error(node, what + " must be a list (`[…]` or `- …` lines), not " + KindName(node));
    return;
  }
  for (const YamlNode& item : node.items) {
    if (item.kind == YamlNode::Kind::kNull) {
      source.Error(item, "an empty item in " + what + ": write it or remove it");
      continue;
    }
    fn(item);
  }
}

}  // namespace fulcrum::experiments
