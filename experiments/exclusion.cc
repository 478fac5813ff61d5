// SPDX-License-Identifier: Apache-2.0
#include "experiments/exclusion.h"

#include <optional>
#include <utility>

namespace fulcrum::experiments {
namespace {

constexpr size_t kMaxAlternatives = 64;

std::optional<FilterOp> OpOf(ConditionOp op) {
  switch (op) {
    case ConditionOp::kEq:
      return FilterOp::kEq;
    case ConditionOp::kNe:
      return FilterOp::kNe;
    case ConditionOp::kIn:
      return FilterOp::kIn;
    case ConditionOp::kNotIn:
      return FilterOp::kNotIn;
    case ConditionOp::kLt:
      return FilterOp::kLt;
    case ConditionOp::kLe:
      return FilterOp::kLe;
    case ConditionOp::kGt:
      return FilterOp::kGt;
    case ConditionOp::kGe:
      return FilterOp::kGe;
    case ConditionOp::kPresent:
      return FilterOp::kPresent;
    case ConditionOp::kAbsent:
      return FilterOp::kAbsent;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::vector<std::vector<PropertyFilter>> ExclusionTests(const Condition& condition,
                                                        std::string* why) {
  using Tests = std::vector<std::vector<PropertyFilter>>;
  if (condition.op == ConditionOp::kAny || condition.op == ConditionOp::kAll) {
    Tests out;
    if (condition.op == ConditionOp::kAll) out.emplace_back();
    for (const Condition& child : condition.children) {
      const Tests part = ExclusionTests(child, why);
      if (part.empty()) return {};
      if (condition.op == ConditionOp::kAny) {
        out.insert(out.end(), part.begin(), part.end());
        continue;
      }
      Tests crossed;
      for (const auto& left : out) {
        for (const auto& right : part) {
          crossed.push_back(left);
          crossed.back().insert(crossed.back().end(), right.begin(), right.end());
        }
      }
      out = std::move(crossed);
      if (out.size() > kMaxAlternatives) {
        *why = "has too many alternatives: write a shorter rule";
        return {};
      }
    }
    return out;
  }
  const std::optional<FilterOp> op = OpOf(condition.op);
  if (!op) {
    *why =
        "may only compare attributes (`eq ne in not_in lt lte gt gte present absent`), joined by "
        "`all` and `any`";
    return {};
  }
  return {{PropertyFilter{condition.attribute, *op, condition.values, condition.pos}}};
}

}  // namespace fulcrum::experiments
