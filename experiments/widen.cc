// SPDX-License-Identifier: Apache-2.0
#include "experiments/widen.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/time.h"
#include "core/version.h"

namespace fulcrum::experiments {
namespace {

using Op = ConditionOp;

bool Contains(const std::vector<Scalar>& values, const Scalar& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool IsSubset(const std::vector<Scalar>& a, const std::vector<Scalar>& b) {
  return std::all_of(a.begin(), a.end(), [&](const Scalar& v) { return Contains(b, v); });
}

bool IsIn(Op op) { return op == Op::kEq || op == Op::kIn; }
bool IsNotIn(Op op) { return op == Op::kNe || op == Op::kNotIn; }

// Of the same attribute, hence of one type. nullopt where there is no order between them.
std::optional<int> CompareScalars(const Scalar& a, const Scalar& b) {
  const auto number = [](const Scalar& v) -> std::optional<double> {
    if (const int64_t* i = std::get_if<int64_t>(&v)) return static_cast<double>(*i);
    if (const double* d = std::get_if<double>(&v)) return *d;
    return std::nullopt;
  };
  if (std::holds_alternative<int64_t>(a) && std::holds_alternative<int64_t>(b)) {
    const int64_t x = std::get<int64_t>(a), y = std::get<int64_t>(b);
    return x < y ? -1 : (x > y ? 1 : 0);
  }
  if (const auto x = number(a), y = number(b); x && y) return *x < *y ? -1 : (*x > *y ? 1 : 0);
  const std::string* x = std::get_if<std::string>(&a);
  const std::string* y = std::get_if<std::string>(&b);
  if (x == nullptr || y == nullptr || !core::IsVersion(*x) || !core::IsVersion(*y)) {
    return std::nullopt;
  }
  return core::CompareVersions(*x, *y);
}

// Both are conditions on the same attribute.
bool LeafImplies(const Condition& narrow, const Condition& wide) {
  const bool says_absent = narrow.op == Op::kAbsent || IsNotIn(narrow.op);
  if (wide.op == Op::kPresent) return !says_absent;
  if (IsIn(narrow.op) && IsIn(wide.op)) return IsSubset(narrow.values, wide.values);
  if (IsNotIn(narrow.op) && IsNotIn(wide.op)) return IsSubset(wide.values, narrow.values);
  if (IsIn(narrow.op) && IsNotIn(wide.op)) {
    return std::none_of(narrow.values.begin(), narrow.values.end(),
                        [&](const Scalar& v) { return Contains(wide.values, v); });
  }
  if (narrow.op == Op::kAbsent) return wide.op == Op::kAbsent || IsNotIn(wide.op);
  if (narrow.op != wide.op || narrow.values.empty() || wide.values.empty()) return false;
  switch (narrow.op) {
    case Op::kPrefix:
    case Op::kSuffix:
    case Op::kContains:
      return IsSubset(narrow.values, wide.values);
    case Op::kLt:
    case Op::kLe: {
      const auto order = CompareScalars(narrow.values[0], wide.values[0]);
      return order && *order <= 0;
    }
    case Op::kGt:
    case Op::kGe: {
      const auto order = CompareScalars(narrow.values[0], wide.values[0]);
      return order && *order >= 0;
    }
    default:
      return false;
  }
}

bool SpecialImplies(const Condition& narrow, const Condition& wide) {
  if (narrow.op != wide.op) return false;
  switch (narrow.op) {
    case Op::kPercentage:
      return narrow.percent <= wide.percent;
    case Op::kPrerequisite:
      return narrow.ref == wide.ref &&
             (wide.values.empty() ||
              (!narrow.values.empty() && IsSubset(narrow.values, wide.values)));
    case Op::kNowBefore:
      return std::get<int64_t>(narrow.values[0]) <= std::get<int64_t>(wide.values[0]);
    case Op::kNowAfter:
      return std::get<int64_t>(narrow.values[0]) >= std::get<int64_t>(wide.values[0]);
    case Op::kNot:
      return Implies(wide.children[0], narrow.children[0]);
    default:
      return false;
  }
}

Condition Resolve(const Project& project, const Condition& condition, int depth) {
  if (condition.op == Op::kSegment && depth < 32) {
    for (const Segment& segment : project.segments) {
      if (segment.key != condition.ref) continue;
      Condition resolved = Resolve(project, segment.condition, depth + 1);
      return resolved;
    }
  }
  Condition out = condition;
  for (Condition& child : out.children) child = Resolve(project, child, depth + 1);
  return out;
}

const char* OpText(Op op) {
  switch (op) {
    case Op::kEq:
      return " = ";
    case Op::kNe:
      return " != ";
    case Op::kIn:
      return " in ";
    case Op::kNotIn:
      return " not in ";
    case Op::kLt:
      return " < ";
    case Op::kLe:
      return " <= ";
    case Op::kGt:
      return " > ";
    case Op::kGe:
      return " >= ";
    case Op::kPrefix:
      return " prefix ";
    case Op::kSuffix:
      return " suffix ";
    case Op::kContains:
      return " contains ";
    case Op::kPresent:
      return " present";
    case Op::kAbsent:
      return " absent";
    default:
      return "";
  }
}

}  // namespace

std::string ScalarText(const Scalar& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const int64_t* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const double* real = std::get_if<double>(&value)) return FormatDouble(*real);
  return std::get<std::string>(value);
}

Condition ResolvedAudience(const Project& project, const std::optional<Condition>& audience) {
  return audience ? Resolve(project, *audience, 0) : Condition{};
}

bool SameCondition(const Condition& a, const Condition& b) {
  return a.op == b.op && a.attribute == b.attribute && a.values == b.values &&
         a.percent == b.percent && a.ref == b.ref &&
         std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(),
                    SameCondition);
}

bool Implies(const Condition& narrow, const Condition& wide) {
  if (SameCondition(narrow, wide)) return true;
  if (wide.op == Op::kAll) {
    return std::all_of(wide.children.begin(), wide.children.end(),
                       [&](const Condition& child) { return Implies(narrow, child); });
  }
  if (narrow.op == Op::kAny) {
    return std::all_of(narrow.children.begin(), narrow.children.end(),
                       [&](const Condition& child) { return Implies(child, wide); });
  }
  if (wide.op == Op::kAny && std::any_of(wide.children.begin(), wide.children.end(),
                                         [&](const Condition& c) { return Implies(narrow, c); })) {
    return true;
  }
  if (narrow.op == Op::kAll) {
    return std::any_of(narrow.children.begin(), narrow.children.end(),
                       [&](const Condition& child) { return Implies(child, wide); });
  }
  if (!narrow.attribute.empty() && narrow.attribute == wide.attribute) {
    return LeafImplies(narrow, wide);
  }
  return SpecialImplies(narrow, wide);
}

std::string ConditionText(const Condition& condition) {
  std::string inner;
  for (const Condition& child : condition.children) {
    inner += (inner.empty() ? "" : ", ") + ConditionText(child);
  }
  std::string values;
  for (const Scalar& value : condition.values) {
    values += (values.empty() ? "" : ", ") + ScalarText(value);
  }
  switch (condition.op) {
    case Op::kAll:
      return condition.children.empty() ? "everyone" : "all(" + inner + ")";
    case Op::kAny:
      return "any(" + inner + ")";
    case Op::kNot:
      return "not(" + inner + ")";
    case Op::kPercentage:
      return "percentage " + FormatDouble(condition.percent);
    case Op::kSegment:
      return "segment " + condition.ref;
    case Op::kPrerequisite:
      return "prerequisite " + condition.ref + (values.empty() ? "" : " in [" + values + "]");
    case Op::kNowBefore:
      return "before " + FormatRfc3339(std::get<int64_t>(condition.values[0]));
    case Op::kNowAfter:
      return "from " + FormatRfc3339(std::get<int64_t>(condition.values[0]));
    default:
      break;
  }
  if (condition.values.size() > 1) values = "[" + values + "]";
  return condition.attribute + OpText(condition.op) + values;
}

}  // namespace fulcrum::experiments
