// SPDX-License-Identifier: Apache-2.0
#include "stats/calculator.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <vector>

#include "stats/calc_input.h"

namespace fulcrum::stats {
namespace {

const std::vector<Method>& Table() {
  static const std::vector<Method> table = [] {
    std::vector<Method> all;
    for (const auto family :
         {ProportionMethods(), MeanMethods(), RatioMethods(), NumericMethods(), SmallMethods(),
          SurvivalMethods(), EffectMethods(), BayesMethods(), GroupMethods(), SequentialMethods(),
          PowerMethods(), QuantileMethods(), LinMethods(), CupedMethods(), MultiplicityMethods(),
          ClusterMethods(), JointMethods(), SliceMethods()}) {
      all.insert(all.end(), family.begin(), family.end());
    }
    std::sort(all.begin(), all.end(),
              [](const Method& a, const Method& b) { return a.name < b.name; });
    return all;
  }();
  return table;
}

// Last line of defence: what leaves the range of doubles leaves as null, never as NaN.
Value WithoutNaN(const Value& value, bool* lost) {
  if (value.is_number() && std::isnan(value.number())) {
    *lost = true;
    return Value();
  }
  if (value.is_array()) {
    Value::Array array;
    for (const Value& item : value.array()) array.push_back(WithoutNaN(item, lost));
    return array;
  }
  if (value.is_object()) {
    Value::Object object;
    for (const auto& [name, item] : value.object())
      object.emplace_back(name, WithoutNaN(item, lost));
    return object;
  }
  return value;
}

}  // namespace

std::span<const MethodInfo> Methods() {
  static const std::vector<MethodInfo> methods = [] {
    std::vector<MethodInfo> all;
    for (const Method& method : Table()) all.push_back({method.name, method.summary});
    return all;
  }();
  return methods;
}

CalculatorStatus Calculate(std::string_view method, const Value& inputs, Value* result) {
  *result = Value();
  const auto& table = Table();
  const auto found =
      std::lower_bound(table.begin(), table.end(), method,
                       [](const Method& a, std::string_view name) { return a.name < name; });
  if (found == table.end() || found->name != method) {
    return {"'" + std::string(method) + "' is not a method; see the list of methods."};
  }
  if (!inputs.is_object()) return {"inputs: must be an object"};
  try {
    const Input in(inputs);
    Value answer = found->run(in);
    if (answer.Find("alpha") == nullptr && in.Has("alpha")) answer.Set("alpha", in.Alpha());
    bool lost = false;
    *result = WithoutNaN(answer, &lost);
    const Value* reason = result->Find("reason");
    if (lost && (reason == nullptr || reason->text().empty())) {
      result->Set("reason", "these inputs leave the range of double precision");
    }
  } catch (const BadInput& error) {
    return {error.what()};
  } catch (const std::exception& error) {
    return {std::string(method) + ": these inputs cannot be computed (" + error.what() + ")"};
  }
  return {};
}

}  // namespace fulcrum::stats
