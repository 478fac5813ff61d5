// SPDX-License-Identifier: Apache-2.0
#include "experiments/yaml_values.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "base/text.h"
#include "base/time.h"

namespace fulcrum::experiments {
namespace {

constexpr int kMaxUnknownKeys = 100;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// -?(0|[1-9][0-9]*) at the start; its length, or 0.
size_t IntPrefix(std::string_view text) {
  size_t i = !text.empty() && text[0] == '-' ? 1 : 0;
  if (i >= text.size() || !IsDigit(text[i])) return 0;
  if (text[i] == '0') return i + 1;
  while (i < text.size() && IsDigit(text[i])) ++i;
  return i;
}

bool IsCanonicalFloat(std::string_view text) {
  size_t i = IntPrefix(text);
  if (i == 0) return false;
  if (i < text.size() && text[i] == '.') {
    const size_t begin = ++i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    if (i == begin) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    const size_t begin = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    if (i == begin) return false;
  }
  return i == text.size();
}

// Whatever some YAML version reads as a number, and more: better one quote too many.
bool LooksNumeric(const std::string& lower) {
  std::string_view rest(lower);
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) rest.remove_prefix(1);
  if (rest == ".inf" || rest == ".nan" || rest == "inf" || rest == "nan" || rest == "infinity") {
    return true;
  }
  if (rest.empty() || (!IsDigit(rest[0]) && rest[0] != '.')) return false;
  const bool is_prefixed =
      rest.size() > 2 && rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'o' || rest[1] == 'b');
  if (is_prefixed) {
    return rest.substr(2).find_first_not_of("0123456789abcdef_") == std::string_view::npos;
  }
  bool has_digit = false;
  int points = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    has_digit = has_digit || IsDigit(c);
    if (c == '.' && ++points > 1) return false;  // 2.3.0 is a version, not a number.
    const bool is_exponent = c == 'e' && i > 0 && i + 1 < rest.size();
    const bool is_exponent_sign = (c == '+' || c == '-') && i > 0 && rest[i - 1] == 'e';
    if (!IsDigit(c) && c != '.' && c != '_' && c != ':' && !is_exponent && !is_exponent_sign) {
      return false;
    }
  }
  return has_digit;
}

// Numbers as `what` expects them, or an error that tells the form.
std::optional<double> PlainNumber(const Source& source, const YamlNode& node, std::string_view text,
                                  std::string_view what, std::string_view example) {
  const PlainForm form = ClassifyPlain(text);
  std::optional<double> value;
  if (node.is_plain && (form == PlainForm::kInt || form == PlainForm::kFloat)) {
    value = ParseDouble(text);
    if (!value || !std::isfinite(*value)) {
      source.Error(node, std::string(what) + " is beyond what a number can hold: `" + node.text +
                             "`; write a smaller one");
      return std::nullopt;
    }
    return value;
  }
  source.Error(node, std::string(what) + " must be a number such as " + std::string(example) +
                         ", not `" + node.text + "`" +
                         (node.is_plain ? "" : " in quotes: remove them"));
  return std::nullopt;
}

bool RequireScalar(const Source& source, const YamlNode& node, std::string_view what,
                   std::string_view expected) {
  if (node.kind == YamlNode::Kind::kScalar) return true;
  source.Error(node,
               std::string(what) + " must be " + std::string(expected) + ", not " + KindName(node));
  return false;
}

}  // namespace

PlainForm ClassifyPlain(std::string_view text) {
  if (text == "true" || text == "false") return PlainForm::kBool;
  if (IntPrefix(text) == text.size() && text != "-0" && !text.empty()) {
    return ParseInt(text) ? PlainForm::kInt : PlainForm::kNumberLookalike;
  }
  if (IsCanonicalFloat(text)) return PlainForm::kFloat;
  const std::string lower = Lower(text);
  static const std::set<std::string, std::less<>> kWords = {"y",   "n",    "yes",   "no",   "on",
                                                            "off", "true", "false", "null", "~"};
  if (kWords.count(lower) > 0) return PlainForm::kWordLookalike;
  return LooksNumeric(lower) ? PlainForm::kNumberLookalike : PlainForm::kText;
}

std::string KindName(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return "`" + node.text.substr(0, 40) + "`";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

std::string JoinOr(const std::vector<std::string>& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += "`" + words[i] + "`";
  }
  return out;
}

std::optional<std::string> ReadText(const Source& source, const YamlNode& node,
                                    std::string_view what) {
  if (!RequireScalar(source, node, what, "text")) return std::nullopt;
  if (node.is_plain) {
    const PlainForm form = ClassifyPlain(node.text);
    // `on` is text to YAML 1.2 and text is what is asked for; a number is not.
    if (form != PlainForm::kText && form != PlainForm::kWordLookalike) {
      source.Error(node, std::string(what) + " must be text, and `" + node.text + "` is a " +
                             (form == PlainForm::kBool ? "bool" : "number") + " to YAML: write \"" +
                             node.text + "\"");
      return std::nullopt;
    }
  }
  if (node.text.find_first_not_of(" \n\t") == std::string::npos) {
    source.Error(node, std::string(what) + " is empty: write it or remove the line");
    return std::nullopt;
  }
  return node.text;
}

bool CheckName(const Source& source, const Position& at, std::string_view name,
               std::string_view what) {
  if (IsKey(name)) return true;
  source.Error(at,
               std::string(what) + " `" + std::string(name.substr(0, 60)) +
                   "` must be 1 to 200 letters, digits, `.`, `_` or `-`: rename it (a `title` " +
                   "may be any text)");
  return false;
}

std::optional<std::string> ReadName(const Source& source, const YamlNode& node,
                                    std::string_view what) {
  std::optional<std::string> text = ReadText(source, node, what);
  if (!text || !CheckName(source, source.At(node), *text, what)) return std::nullopt;
  return text;
}

std::optional<bool> ReadBool(const Source& source, const YamlNode& node, std::string_view what) {
  if (!RequireScalar(source, node, what, "`true` or `false`")) return std::nullopt;
  if (node.is_plain && node.text == "true") return true;
  if (node.is_plain && node.text == "false") return false;
  source.Error(node, std::string(what) + " must be `true` or `false`, not " +
                         (node.is_plain ? "`" + node.text + "`" : "text in quotes"));
  return std::nullopt;
}

std::optional<int64_t> ReadInt(const Source& source, const YamlNode& node, std::string_view what) {
  if (!RequireScalar(source, node, what, "a whole number")) return std::nullopt;
  if (node.is_plain && ClassifyPlain(node.text) == PlainForm::kInt) return ParseInt(node.text);
  source.Error(node, std::string(what) + " must be a whole number such as 3, not `" + node.text +
                         "`" + (node.is_plain ? "" : " in quotes"));
  return std::nullopt;
}

std::optional<double> ReadNumber(const Source& source, const YamlNode& node,
                                 std::string_view what) {
  if (!RequireScalar(source, node, what, "a number")) return std::nullopt;
  return PlainNumber(source, node, node.text, what, "2 or 0.5");
}

std::optional<double> ReadFraction(const Source& source, const YamlNode& node,
                                   std::string_view what) {
  if (!RequireScalar(source, node, what, "a percentage or a fraction")) return std::nullopt;
  std::string_view text = node.text;
  const bool is_percent = text.size() > 1 && text.back() == '%';
  if (is_percent) text.remove_suffix(1);
  const std::optional<double> value = PlainNumber(source, node, text, what, "5% or 0.05");
  // Dividing (not multiplying by 0.01) gives the double nearest to the fraction: 5% is 0.05.
  return value ? std::optional(is_percent ? *value / 100 : *value) : std::nullopt;
}

std::optional<double> ReadPercent(const Source& source, const YamlNode& node,
                                  std::string_view what) {
  if (!RequireScalar(source, node, what, "a percentage")) return std::nullopt;
  std::string_view text = node.text;
  if (text.size() > 1 && text.back() == '%') text.remove_suffix(1);
  return PlainNumber(source, node, text, what, "50 (percent)");
}

std::optional<int64_t> ReadDurationMs(const Source& source, const YamlNode& node,
                                      std::string_view what) {
  if (!RequireScalar(source, node, what, "a duration")) return std::nullopt;
  const std::optional<int64_t> value = ParseDuration(node.text);
  if (!value || *value > 3660 * kDayMs) {
    source.Error(node, std::string(what) + " must be a duration such as 90s, 15m, 12h, 7d or 2w" +
                           (value ? ", at most ten years" : "") + ", not `" + node.text + "`");
    return std::nullopt;
  }
  return value;
}

std::optional<int64_t> ReadTimeMs(const Source& source, const YamlNode& node,
                                  std::string_view what) {
  if (!RequireScalar(source, node, what, "a time")) return std::nullopt;
  const std::optional<int64_t> value = ParseRfc3339(node.text);
  if (!value) {
    const bool lacks_offset =
        ParseRfc3339(node.text + "Z") || ParseRfc3339(node.text + "T00:00:00Z");
    source.Error(node, std::string(what) +
                           (lacks_offset ? " has no offset from UTC: write "
                                         : " must be a date and time with offset such as ") +
                           "2026-03-02T00:00:00+08:00 (or …Z), not `" + node.text + "`");
    return std::nullopt;
  }
  if (*value < kMinInstantMs || *value >= kMaxInstantMs) {
    source.Error(node, std::string(what) + " must be between the years 2000 and 2199, not `" +
                           node.text + "`");
    return std::nullopt;
  }
  return value;
}

std::optional<Scalar> ReadScalar(const Source& source, const YamlNode& node,
                                 std::string_view what) {
  if (!RequireScalar(source, node, what, "a number, `true`, `false` or text")) return std::nullopt;
  if (!node.is_plain) return Scalar(node.text);
  switch (ClassifyPlain(node.text)) {
    case PlainForm::kText:
      return Scalar(node.text);
    case PlainForm::kBool:
      return Scalar(node.text == "true");
    case PlainForm::kInt:
      return Scalar(*ParseInt(node.text));
    case PlainForm::kFloat: {
      const std::optional<double> number = ReadNumber(source, node, what);
      return number ? std::optional<Scalar>(*number) : std::nullopt;
    }
    case PlainForm::kWordLookalike:
      source.Error(node, "`" + node.text + "` is a bool to some YAML readers and text to others: " +
                             "write true, false or \"" + node.text + "\"");
      return std::nullopt;
    case PlainForm::kNumberLookalike:
      source.Error(node, "`" + node.text +
                             "` is read differently by different YAML readers: write " +
                             "a plain decimal number, or \"" + node.text + "\" for text");
      return std::nullopt;
  }
  return std::nullopt;
}

std::vector<std::string> ReadTexts(const Source& source, const YamlNode& node,
                                   std::string_view what) {
  std::vector<std::string> out;
  const auto add = [&](const YamlNode& item) {
    std::optional<std::string> text = ReadText(source, item, what);
    if (!text) return;
    if (std::find(out.begin(), out.end(), *text) != out.end()) {
      source.Error(item, "`" + *text + "` is listed twice: remove one");
      return;
    }
    out.push_back(*std::move(text));
  };
  if (node.kind == YamlNode::Kind::kScalar) {
    add(node);
  } else {
    ForEachItem(source, node, std::string(what), add);
  }
  return out;
}

Fields::Fields(const Source& source, const YamlNode& node, std::string what,
               const std::vector<std::string>& known, FieldPositions* noted, std::string prefix)
    : source_(source), node_(node), what_(std::move(what)) {
  if (!is_map()) {
    source.Error(node, what_ + " must be a map (`name: …` lines), not " + KindName(node));
    return;
  }
  int unknown = 0;
  for (const YamlEntry& entry : node.entries) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      // Looking for near names costs time, which a file of junk must not have without bound.
      if (++unknown > kMaxUnknownKeys) {
        source.Error(entry, "and more unknown keys in " + what_ + ": fix the first ones first");
        break;
      }
      const std::string near = DidYouMean(entry.key, known);
      source.Error(entry, "unknown key `" + entry.key + "` in " + what_ +
                              (near.empty() ? ": known are " + JoinOr(known)
                                            : ": did you mean `" + near + "`?"));
    } else if (entry.value.kind == YamlNode::Kind::kNull) {
      source.Error(entry, "`" + entry.key + "` in " + what_ +
                              " has no value: write one or remove " + "the line");
    } else if (noted != nullptr) {
      noted->emplace(prefix + entry.key, source.At(entry.value));
    }
  }
}

const YamlNode* Fields::Get(std::string_view key) const {
  const YamlNode* value = node_.Find(key);
  return value != nullptr && value->kind != YamlNode::Kind::kNull ? value : nullptr;
}

const YamlNode* Fields::Require(std::string_view key, std::string_view hint) const {
  if (is_map() && !Has(key)) {
    source_.Error(node_, what_ + " needs `" + std::string(key) + "`: " + std::string(hint));
  }
  return Get(key);
}

std::string Fields::Path(std::string_view key) const {
  return "`" + std::string(key) + "` of " + what_;
}

void Fields::Text(std::string_view key, std::string* out) const {
  if (const YamlNode* value = Get(key)) {
    if (auto text = ReadText(source_, *value, Path(key))) *out = *std::move(text);
  }
}

void Fields::Name(std::string_view key, std::string* out) const {
  if (const YamlNode* value = Get(key)) {
    if (auto name = ReadName(source_, *value, Path(key))) *out = *std::move(name);
  }
}

void Fields::Bool(std::string_view key, bool* out) const {
  if (const YamlNode* value = Get(key)) {
    if (auto flag = ReadBool(source_, *value, Path(key))) *out = *flag;
  }
}

void Fields::Number(std::string_view key, double* out) const {
  if (const YamlNode* value = Get(key)) {
    if (auto number = ReadNumber(source_, *value, Path(key))) *out = *number;
  }
}

void Fields::Fraction(std::string_view key, double* out) const {
  if (const YamlNode* value = Get(key)) {
    if (auto fraction = ReadFraction(source_, *value, Path(key))) *out = *fraction;
  }
}

void Fields::Duration(std::string_view key, int64_t* out_ms) const {
  if (const YamlNode* value = Get(key)) {
    if (auto ms = ReadDurationMs(source_, *value, Path(key))) *out_ms = *ms;
  }
}

void Fields::Time(std::string_view key, std::optional<int64_t>* out_ms) const {
  if (const YamlNode* value = Get(key)) {
    if (auto ms = ReadTimeMs(source_, *value, Path(key))) *out_ms = *ms;
  }
}

void Fields::Texts(std::string_view key, std::vector<std::string>* out) const {
  if (const YamlNode* value = Get(key)) *out = ReadTexts(source_, *value, Path(key));
}

int Fields::ReadChoice(const YamlNode& value, std::string_view key,
                       const std::vector<std::string>& names) const {
  if (value.kind == YamlNode::Kind::kScalar) {
    const auto found = std::find(names.begin(), names.end(), value.text);
    if (found != names.end()) return static_cast<int>(found - names.begin());
  }
  const std::string near =
      value.kind == YamlNode::Kind::kScalar ? DidYouMean(value.text, names) : "";
  source_.Error(value, Path(key) + " must be " + JoinOr(names) + ", not " + KindName(value) +
                           (near.empty() ? "" : "; did you mean `" + near + "`?"));
  return -1;
}

}  // namespace fulcrum::experiments
