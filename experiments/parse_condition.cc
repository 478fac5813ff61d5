// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "core/version.h"
#include "experiments/parse.h"

namespace fulcrum::experiments {
namespace {

struct OpWord {
  const char* word;
  ConditionOp op;
};
constexpr OpWord kOps[] = {
    {"eq", ConditionOp::kEq},
    {"ne", ConditionOp::kNe},
    {"in", ConditionOp::kIn},
    {"not_in", ConditionOp::kNotIn},
    {"lt", ConditionOp::kLt},
    {"lte", ConditionOp::kLe},
    {"gt", ConditionOp::kGt},
    {"gte", ConditionOp::kGe},
    {"prefix", ConditionOp::kPrefix},
    {"suffix", ConditionOp::kSuffix},
    {"contains", ConditionOp::kContains},
    {"present", ConditionOp::kPresent},
    {"absent", ConditionOp::kAbsent},
};

const char* TypeName(AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return "bool";
    case AttributeType::kInt:
      return "int";
    case AttributeType::kFloat:
      return "float";
    case AttributeType::kString:
      return "string";
    case AttributeType::kVersion:
      return "version";
    case AttributeType::kTime:
      return "time";
  }
  return "string";
}

bool Compares(ConditionOp op) {
  return op == ConditionOp::kLt || op == ConditionOp::kLe || op == ConditionOp::kGt ||
         op == ConditionOp::kGe;
}

bool MatchesText(ConditionOp op) {
  return op == ConditionOp::kPrefix || op == ConditionOp::kSuffix || op == ConditionOp::kContains;
}

bool TakesList(ConditionOp op) {
  return op == ConditionOp::kIn || op == ConditionOp::kNotIn || MatchesText(op);
}

// Parses conditions of one tree; holds what every step needs.
class ConditionParser {
 public:
  ConditionParser(const Source& source, const std::vector<AttributeDecl>& attributes)
      : source_(source), attributes_(attributes) {}

  Condition Parse(const YamlNode& node, const std::string& what) {
    Condition all;
    all.pos = source_.At(node);
    if (node.kind == YamlNode::Kind::kMap && node.entries.empty()) {
      source_.Error(node, what + " is empty: write a condition or remove it");
    }
    ForEachEntry(source_, node, what, [&](const YamlEntry& entry) {
      std::optional<Condition> child = ParseEntry(entry, what);
      if (child) all.children.push_back(*std::move(child));
    });
    if (all.children.size() == 1) {
      Condition only = std::move(all.children.front());
      return only;
    }
    return all;
  }

 private:
  std::optional<Condition> ParseEntry(const YamlEntry& entry, const std::string& what) {
    if (entry.key == "all") return ParseList(entry, ConditionOp::kAll);
    if (entry.key == "any") return ParseList(entry, ConditionOp::kAny);
    if (entry.key == "not") {
      Condition condition = At(entry, ConditionOp::kNot);
      condition.children.push_back(Parse(entry.value, "`not` in " + what));
      return condition;
    }
    if (entry.key == "segment") {
      Condition condition = At(entry, ConditionOp::kSegment);
      condition.pos = source_.At(entry.value);
      auto name = ReadName(source_, entry.value, "the name of a segment");
      if (!name) return std::nullopt;
      condition.ref = *name;
      return condition;
    }
    if (entry.key == "percentage") {
      Condition condition = At(entry, ConditionOp::kPercentage);
      condition.pos = source_.At(entry.value);
      auto percent = ReadPercent(source_, entry.value, "`percentage`");
      if (!percent) return std::nullopt;
      condition.percent = *percent;
      return condition;
    }
    if (entry.key == "prerequisite") return ParsePrerequisite(entry);
    if (entry.key == "now") return ParseNow(entry);
    return ParseAttribute(entry);
  }

  Condition At(const YamlEntry& entry, ConditionOp op) const {
    Condition condition;
    condition.op = op;
    condition.pos = source_.At(entry);
    return condition;
  }

  std::optional<Condition> ParseList(const YamlEntry& entry, ConditionOp op) {
    Condition condition = At(entry, op);
    const std::string what = "`" + entry.key + "`";
    if (entry.value.kind == YamlNode::Kind::kSequence && entry.value.items.empty()) {
      source_.Error(entry.value, what + " is empty: list conditions or remove it");
      return std::nullopt;
    }
    ForEachItem(source_, entry.value, what, [&](const YamlNode& item) {
      condition.children.push_back(Parse(item, "a condition of " + what));
    });
    return condition;
  }

  std::optional<Condition> ParsePrerequisite(const YamlEntry& entry) {
    const Fields fields(source_, entry.value, "`prerequisite`", {"experiment", "variants"});
    const YamlNode* experiment = fields.Require("experiment", "the key of the other experiment");
    if (experiment == nullptr) return std::nullopt;
    Condition condition = At(entry, ConditionOp::kPrerequisite);
    condition.pos = source_.At(*experiment);
    auto name = ReadName(source_, *experiment, "the key of an experiment");
    if (!name) return std::nullopt;
    condition.ref = *name;
    std::vector<std::string> variants;
    fields.Texts("variants", &variants);
    for (std::string& variant : variants) condition.values.emplace_back(std::move(variant));
    return condition;
  }

  std::optional<Condition> ParseNow(const YamlEntry& entry) {
    const Fields fields(source_, entry.value, "`now`", {"after", "before"});
    Condition all = At(entry, ConditionOp::kAll);
    std::optional<int64_t> after_ms, before_ms;
    fields.Time("after", &after_ms);
    fields.Time("before", &before_ms);
    if (after_ms) {
      all.children.push_back(At(entry, ConditionOp::kNowAfter));
      all.children.back().values = {*after_ms};
    }
    if (before_ms) {
      all.children.push_back(At(entry, ConditionOp::kNowBefore));
      all.children.back().values = {*before_ms};
    }
    if (fields.is_map() && fields.node().entries.empty()) {
      source_.Error(entry, "`now` needs `after` or `before`, a time");
    }
    if (after_ms && before_ms && *after_ms >= *before_ms) {
      source_.Error(entry, "`now` can never hold: `after` is not before `before`; swap them");
    }
    if (all.children.empty()) return std::nullopt;
    return all;
  }

  const AttributeDecl* Declared(const std::string& key) const {
    for (const AttributeDecl& attribute : attributes_) {
      if (attribute.key == key) return &attribute;
    }
    return nullptr;
  }

  std::optional<Condition> ParseAttribute(const YamlEntry& entry) {
    const AttributeDecl* declared = Declared(entry.key);
    if (entry.value.kind == YamlNode::Kind::kScalar) {
      return ParseOp(entry, entry.value, ConditionOp::kEq, declared);
    }
    if (entry.value.kind == YamlNode::Kind::kSequence) {
      return ParseOp(entry, entry.value, ConditionOp::kIn, declared);
    }
    std::vector<std::string> known;
    for (const OpWord& op : kOps) known.push_back(op.word);
    const Fields fields(source_, entry.value, "the condition on `" + entry.key + "`", known);
    Condition all = At(entry, ConditionOp::kAll);
    if (entry.value.entries.empty()) {
      source_.Error(entry.value, "the condition on `" + entry.key +
                                     "` is empty: write an operator such as `eq` or `in`");
      return std::nullopt;
    }
    for (const OpWord& op : kOps) {
      const YamlNode* value = fields.Get(op.word);
      if (value == nullptr) continue;
      std::optional<Condition> child = ParseOp(entry, *value, op.op, declared);
      if (child) all.children.push_back(*std::move(child));
    }
    if (all.children.empty()) return std::nullopt;
    if (all.children.size() == 1) {
      Condition only = std::move(all.children.front());
      return only;
    }
    return all;
  }

  std::optional<Condition> ParseOp(const YamlEntry& entry, const YamlNode& value, ConditionOp op,
                                   const AttributeDecl* declared) {
    Condition condition = At(entry, op);
    condition.attribute = entry.key;
    if (op == ConditionOp::kPresent || op == ConditionOp::kAbsent) {
      const auto flag = ReadBool(source_, value, "`present` and `absent`");
      if (!flag) return std::nullopt;
      // `present: false` says absent.
      if (!*flag) {
        condition.op = op == ConditionOp::kPresent ? ConditionOp::kAbsent : ConditionOp::kPresent;
      }
      return condition;
    }
    if (declared != nullptr && !CheckOp(value, op, *declared)) return std::nullopt;
    bool ok = true;
    const auto add = [&](const YamlNode& item) {
      std::optional<Scalar> operand = ReadOperand(item, declared, op);
      if (!operand) {
        ok = false;
      } else if (std::find(condition.values.begin(), condition.values.end(), *operand) !=
                 condition.values.end()) {
        source_.Error(item, "`" + item.text + "` is listed twice: remove one");
      } else {
        condition.values.push_back(*std::move(operand));
      }
    };
    if (value.kind == YamlNode::Kind::kSequence && TakesList(op)) {
      if (value.items.empty()) {
        source_.Error(value, "an empty list can never match: list values or remove it");
        return std::nullopt;
      }
      ForEachItem(source_, value, "the values of `" + entry.key + "`", add);
    } else {
      add(value);
    }
    if (!ok) return std::nullopt;
    return condition;
  }

  bool CheckOp(const YamlNode& at, ConditionOp op, const AttributeDecl& declared) const {
    const bool is_text = declared.type == AttributeType::kString;
    if (Compares(op) && (is_text || declared.type == AttributeType::kBool)) {
      source_.Error(at, "`" + declared.key + "` is a " + TypeName(declared.type) +
                            ", which has no order: compare with `eq` or `in`, or declare it int, " +
                            "float, version or time");
      return false;
    }
    if (MatchesText(op) && !is_text) {
      source_.Error(at, "`prefix`, `suffix` and `contains` are for strings, and `" + declared.key +
                            "` is declared " + TypeName(declared.type));
      return false;
    }
    return true;
  }

  std::optional<Scalar> ReadOperand(const YamlNode& node, const AttributeDecl* declared,
                                    ConditionOp op) const {
    if (declared == nullptr) return ReadScalar(source_, node, "the value to compare with");
    const std::string what =
        "the value of `" + declared->key + "` (declared " + TypeName(declared->type) + ")";
    switch (declared->type) {
      case AttributeType::kBool:
        return Widen(ReadBool(source_, node, what));
      case AttributeType::kInt:
        return Widen(ReadInt(source_, node, what));
      case AttributeType::kFloat:
        return Widen(ReadNumber(source_, node, what));
      case AttributeType::kTime:
        return Widen(ReadTimeMs(source_, node, what));
      case AttributeType::kVersion:
        return ReadVersion(node, what);
      case AttributeType::kString:
        break;
    }
    std::optional<std::string> text = ReadText(source_, node, what);
    if (text && !MatchesText(op) && !declared->values.empty() &&
        std::find(declared->values.begin(), declared->values.end(), *text) ==
            declared->values.end()) {
      const std::string near = DidYouMean(*text, declared->values);
      source_.Error(node, "`" + *text + "` is not a declared value of `" + declared->key + "`: " +
                              (near.empty() ? "declared are " + JoinOr(declared->values)
                                            : "did you mean `" + near + "`?"));
      return std::nullopt;
    }
    return Widen(std::move(text));
  }

  // Versions are taken as written: 2.30 is not 2.3.
  std::optional<Scalar> ReadVersion(const YamlNode& node, const std::string& what) const {
    if (node.kind == YamlNode::Kind::kScalar && core::IsVersion(node.text))
      return Scalar(node.text);
    source_.Error(node, what + " must be a version such as 2.3.0, not " + KindName(node));
    return std::nullopt;
  }

  template <typename T>
  static std::optional<Scalar> Widen(std::optional<T> value) {
    return value ? std::optional<Scalar>(*std::move(value)) : std::nullopt;
  }

  const Source& source_;
  const std::vector<AttributeDecl>& attributes_;
};

}  // namespace

const std::vector<std::string>& ReservedConditionWords() {
  static const std::vector<std::string> kWords = {"all",          "any",        "not", "segment",
                                                  "prerequisite", "percentage", "now"};
  return kWords;
}

Condition ParseCondition(const Source& source, const YamlNode& node, const std::string& what,
                         const std::vector<AttributeDecl>& attributes) {
  return ConditionParser(source, attributes).Parse(node, what);
}

}  // namespace fulcrum::experiments
