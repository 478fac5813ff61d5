// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/evaluate.h"

#include <charconv>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

namespace fulcrum::sdk {
namespace {

// The views the evaluator wants, on the stack for an ordinary number of them. Raw storage, because
// constructing what is not used would cost more than deciding.
template <typename T>
class Items {
 public:
  explicit Items(size_t count) : count_(count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    if (count > kFew) more_ = std::make_unique<T[]>(count);
    first_ = more_ ? more_.get() : reinterpret_cast<T*>(few_);
  }
  void Set(size_t i, const T& item) { new (first_ + i) T(item); }
  std::span<const T> view() const { return {first_, count_}; }

 private:
  static constexpr size_t kFew = 24;
  size_t count_;
  T* first_;
  alignas(T) unsigned char few_[kFew * sizeof(T)];
  std::unique_ptr<T[]> more_;
};

core::Value ToCore(const Value& value) {
  switch (value.type()) {
    case Value::Type::kBool:
      return core::Value::Bool(value.integer() != 0);
    case Value::Type::kInt:
      return core::Value::Int(value.integer());
    case Value::Type::kDouble:
      return core::Value::Float(value.real());
    case Value::Type::kString:
      return core::Value::String(value.text());
    case Value::Type::kVersion:
      return core::Value::Version(value.text());
    case Value::Type::kTimeMs:
      return core::Value::TimeMs(value.integer());
  }
  return {};
}

// Calls `use` with the context as the evaluator reads it.
template <typename Use>
void WithContext(const Context& from, int64_t now_ms, Use use) {
  Items<core::UnitId> units(from.units.size());
  for (size_t i = 0; i < from.units.size(); ++i) {
    units.Set(i, {from.units[i].kind, from.units[i].id});
  }
  Items<core::Attribute> attributes(from.attributes.size());
  for (size_t i = 0; i < from.attributes.size(); ++i) {
    attributes.Set(i, {from.attributes[i].key, ToCore(from.attributes[i].value)});
  }
  Items<core::Prior> priors(from.priors.size());
  for (size_t i = 0; i < from.priors.size(); ++i) {
    const Prior& prior = from.priors[i];
    priors.Set(i, {prior.experiment, prior.variant, prior.phase});
  }
  use(core::Context{from.targeting_key, units.view(), attributes.view(), now_ms, priors.view()});
}

Error ErrorOf(core::Reason reason) {
  switch (reason) {
    case core::Reason::kUnknownExperiment:
      return Error::kUnknownExperiment;
    case core::Reason::kNoUnit:
      return Error::kNoUnit;
    case core::Reason::kTypeMismatch:
      return Error::kInvalidContext;
    default:
      return Error::kNone;
  }
}

// What the context's units were given in the experiments a decision may look at, after what the
// program says itself. Owns the texts, since another thread may push one out of the table.
struct PriorList {
  std::vector<std::string> variants;
  std::vector<core::Prior> priors;

  void Fill(const core::Snapshot& snapshot, const std::vector<int32_t>& sticky,
            const core::Context& context, const PriorTable& table) {
    priors.assign(context.priors.begin(), context.priors.end());
    variants.clear();
    variants.reserve(sticky.size());  // the views stay valid
    for (const int32_t index : sticky) {
      core::UnitBuffer buffer;
      const std::string_view unit = core::UnitIdOf(snapshot, {index}, context, &buffer);
      const std::string& experiment = snapshot.data().experiments[static_cast<size_t>(index)].key;
      const PriorTable::Given* given = unit.empty() ? nullptr : table.Find(experiment, unit);
      if (given == nullptr) continue;
      variants.push_back(given->variant);
      priors.push_back({experiment, variants.back(), given->phase});
    }
  }
};

core::Decision DecideSticky(const Ready& ready, core::ExperimentHandle handle,
                            core::Context context, PriorTable* table, std::mutex* mutex) {
  thread_local PriorList list;
  const core::Snapshot& snapshot = *ready.snapshot;
  const std::vector<int32_t>& sticky = ready.sticky[static_cast<size_t>(handle.index)];
  const core::Context asked = context;
  {
    const std::lock_guard<std::mutex> lock(*mutex);
    list.Fill(snapshot, sticky, asked, *table);
  }
  context.priors = list.priors;
  const core::Decision decision = core::Decide(snapshot, handle, context);
  const core::ExperimentData& experiment = snapshot.experiment(handle);
  const bool is_drawn =
      decision.reason == core::Reason::kAssigned || decision.reason == core::Reason::kSingleArm;
  if (!experiment.is_sticky || !is_drawn) return decision;
  core::UnitBuffer buffer;
  const std::string_view unit = core::UnitIdOf(snapshot, handle, asked, &buffer);
  const std::lock_guard<std::mutex> lock(*mutex);
  const std::string& variant = experiment.variants[static_cast<size_t>(decision.variant)].key;
  if (!table->Keep(experiment.key, unit, variant, decision.phase)) return decision;
  // Another thread was first, at the edge of a phase: what it gave stands.
  list.Fill(snapshot, sticky, asked, *table);
  context.priors = list.priors;
  return core::Decide(snapshot, handle, context);
}

}  // namespace

Answer EvaluateLocally(const std::shared_ptr<const Ready>& ready, std::string_view experiment,
                       const Context& context, int64_t now_ms, PriorTable* priors,
                       std::mutex* mutex) {
  Answer answer;
  Evaluation& evaluation = answer.evaluation;
  const core::Snapshot& snapshot = *ready->snapshot;
  const core::ExperimentHandle handle = snapshot.Find(experiment);
  evaluation.keep = ready;
  evaluation.snapshot = snapshot.version();
  if (!handle) {
    evaluation.error = Error::kUnknownExperiment;
    evaluation.reason = core::ReasonName(core::Reason::kUnknownExperiment);
    return answer;
  }
  const core::ExperimentData& data = snapshot.experiment(handle);
  evaluation.experiment = data.key;
  evaluation.unit_kind = snapshot.data().unit_kinds[static_cast<size_t>(data.unit_kind)];
  WithContext(context, now_ms, [&](const core::Context& asked) {
    const bool is_sticky =
        priors != nullptr && !ready->sticky[static_cast<size_t>(handle.index)].empty();
    const core::Decision decision = is_sticky ? DecideSticky(*ready, handle, asked, priors, mutex)
                                              : core::Decide(snapshot, handle, asked);
    evaluation.error = ErrorOf(decision.reason);
    evaluation.reason = core::ReasonName(decision.reason);
    evaluation.phase = decision.phase;
    evaluation.propensity = decision.propensity();
    if (decision.has_variant()) {
      const auto variant = static_cast<size_t>(decision.variant);
      evaluation.variant = data.variants[variant].key;
      answer.value = data.variants[variant].value;
      if (decision.is_enrolled()) {
        evaluation.is_exposure = true;
        core::UnitBuffer buffer;
        evaluation.unit_id = core::UnitIdOf(snapshot, handle, asked, &buffer);
        ready->arms[static_cast<size_t>(handle.index)][variant]->assigned.fetch_add(
            1, std::memory_order_relaxed);
      }
    } else if (data.has_default && evaluation.error == Error::kNone) {
      answer.value = data.default_value;
    }
  });
  return answer;
}

std::string ExplainLocally(const Ready& ready, std::string_view experiment, const Context& context,
                           int64_t now_ms) {
  std::string lines;
  WithContext(context, now_ms, [&](const core::Context& asked) {
    core::Trace trace;
    core::Explain(*ready.snapshot, ready.snapshot->Find(experiment), asked, &trace);
    for (const core::TraceStep& step : trace.steps) {
      lines.append(step.experiment).append("\t").append(step.rule);
      lines.append(step.passed ? "\tpassed\t" : "\tnot\t").append(step.detail).append("\n");
    }
  });
  return lines;
}

bool ReadBool(std::string_view json, bool* value) {
  *value = json == "true";
  return *value || json == "false";
}

bool ReadInt(std::string_view json, int64_t* value) {
  const auto [end, problem] = std::from_chars(json.data(), json.data() + json.size(), *value);
  return problem == std::errc() && end == json.data() + json.size();
}

bool ReadDouble(std::string_view json, double* value) {
  // from_chars also takes "inf" and "nan", which no JSON value begins with.
  if (json.empty() || (json[0] != '-' && (json[0] < '0' || json[0] > '9'))) return false;
  const auto [end, problem] = std::from_chars(json.data(), json.data() + json.size(), *value);
  return problem == std::errc() && end == json.data() + json.size();
}

bool ReadString(std::string_view json, std::string* value) {
  if (json.size() < 2 || json.front() != '"') return false;
  if (json.find('\\') == std::string_view::npos) {
    value->assign(json.substr(1, json.size() - 2));
    return true;
  }
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_string()) return false;
  *value = parsed.get<std::string>();
  return true;
}

}  // namespace fulcrum::sdk
