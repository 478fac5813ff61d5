// SPDX-License-Identifier: Apache-2.0
#include "sdk/c/fulcrum.h"

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/decide.h"
#include "core/snapshot.h"

// WebAssembly is built without exceptions: there an allocation that fails traps.
#ifdef __cpp_exceptions
#define FULCRUM_TRY try
#define FULCRUM_CATCH_ALL catch (...)
#else
#define FULCRUM_TRY if (true)
#define FULCRUM_CATCH_ALL else
#endif

struct fulcrum_snapshot {
  std::unique_ptr<const fulcrum::core::Snapshot> snapshot;
};

namespace {

namespace core = fulcrum::core;

// The arrays of a context, converted on the stack: a call with an ordinary number of attributes
// does not allocate. Raw storage, because constructing what is not used would cost more than
// deciding.
constexpr size_t kStackItems = 32;

template <typename T>
class Items {
 public:
  explicit Items(size_t count) : count_(count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    if (count > kStackItems) more_ = std::make_unique<T[]>(count);
    first_ = more_ ? more_.get() : reinterpret_cast<T*>(few_);
  }
  void Set(size_t i, const T& item) { new (first_ + i) T(item); }
  std::span<const T> view() const { return {first_, count_}; }

 private:
  size_t count_;
  T* first_;
  alignas(T) unsigned char few_[kStackItems * sizeof(T)];
  std::unique_ptr<T[]> more_;
};

bool IsText(const fulcrum_text& text) { return text.data != nullptr || text.size == 0; }
std::string_view View(const fulcrum_text& text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
fulcrum_text Text(std::string_view view) { return {view.data(), view.size()}; }

bool IsExperiment(const fulcrum_snapshot* snapshot, int32_t experiment) {
  return experiment >= 0 && experiment < snapshot->snapshot->experiment_count();
}

bool ToValue(const fulcrum_attribute& attribute, core::Value* value) {
  switch (attribute.type) {
    case FULCRUM_BOOL:
      *value = core::Value::Bool(attribute.integer != 0);
      return true;
    case FULCRUM_INT:
      *value = core::Value::Int(attribute.integer);
      return true;
    case FULCRUM_FLOAT:
      *value = core::Value::Float(attribute.real);
      return true;
    case FULCRUM_STRING:
      *value = core::Value::String(View(attribute.text));
      return IsText(attribute.text);
    case FULCRUM_VERSION:
      *value = core::Value::Version(View(attribute.text));
      return IsText(attribute.text);
    case FULCRUM_TIME_MS:
      *value = core::Value::TimeMs(attribute.integer);
      return true;
    default:
      return false;
  }
}

// Converts the context and calls `use` with it; false where the context is malformed.
template <typename Use>
bool WithContext(const fulcrum_context& from, Use use) {
  if (from.struct_size != sizeof(fulcrum_context) || !IsText(from.targeting_key) ||
      (from.unit_count > 0 && from.units == nullptr) ||
      (from.attribute_count > 0 && from.attributes == nullptr) ||
      (from.prior_count > 0 && from.priors == nullptr)) {
    return false;
  }
  Items<core::UnitId> units(from.unit_count);
  for (size_t i = 0; i < from.unit_count; ++i) {
    const fulcrum_unit& unit = from.units[i];
    if (!IsText(unit.kind) || !IsText(unit.id)) return false;
    units.Set(i, {View(unit.kind), View(unit.id)});
  }
  Items<core::Attribute> attributes(from.attribute_count);
  for (size_t i = 0; i < from.attribute_count; ++i) {
    core::Value value;
    if (!IsText(from.attributes[i].key) || !ToValue(from.attributes[i], &value)) return false;
    attributes.Set(i, {View(from.attributes[i].key), value});
  }
  Items<core::Prior> priors(from.prior_count);
  for (size_t i = 0; i < from.prior_count; ++i) {
    const fulcrum_prior& prior = from.priors[i];
    if (!IsText(prior.experiment) || !IsText(prior.variant)) return false;
    priors.Set(i, {View(prior.experiment), View(prior.variant), prior.phase});
  }
  use(core::Context{View(from.targeting_key), units.view(), attributes.view(), from.now_ms,
                    priors.view()});
  return true;
}

std::string Lines(const core::Trace& trace) {
  std::string lines;
  for (const core::TraceStep& step : trace.steps) {
    lines += step.experiment + "\t" + step.rule + (step.passed ? "\tpassed\t" : "\tnot\t");
    lines += step.detail + "\n";
  }
  return lines;
}

}  // namespace

uint32_t fulcrum_abi_version(void) { return FULCRUM_ABI_VERSION; }

fulcrum_status fulcrum_snapshot_load(const void* bytes, size_t size, fulcrum_snapshot** snapshot,
                                     char* error, size_t error_size) {
  if (snapshot == nullptr) return FULCRUM_INVALID_ARGUMENT;
  *snapshot = nullptr;
  if (bytes == nullptr && size > 0) return FULCRUM_INVALID_ARGUMENT;
  FULCRUM_TRY {
    core::BuildError why;
    const std::string_view view(static_cast<const char*>(bytes), size);
    auto built = core::Snapshot::FromBytes(view, &why);
    if (built != nullptr) {
      *snapshot = new fulcrum_snapshot{std::move(built)};
      return FULCRUM_OK;
    }
    if (error != nullptr && error_size > 0) {
      error[why.message.copy(error, error_size - 1)] = '\0';
    }
    return FULCRUM_REFUSED;
  }
  FULCRUM_CATCH_ALL { return FULCRUM_OUT_OF_MEMORY; }
}

void fulcrum_snapshot_free(fulcrum_snapshot* snapshot) { delete snapshot; }

int32_t fulcrum_experiment_count(const fulcrum_snapshot* snapshot) {
  return snapshot == nullptr ? 0 : snapshot->snapshot->experiment_count();
}

int32_t fulcrum_find(const fulcrum_snapshot* snapshot, fulcrum_text key) {
  if (snapshot == nullptr || !IsText(key)) return -1;
  return snapshot->snapshot->Find(View(key)).index;
}

fulcrum_status fulcrum_experiment_key(const fulcrum_snapshot* snapshot, int32_t experiment,
                                      fulcrum_text* key) {
  if (snapshot == nullptr || key == nullptr || !IsExperiment(snapshot, experiment)) {
    return FULCRUM_INVALID_ARGUMENT;
  }
  *key = Text(snapshot->snapshot->experiment({experiment}).key);
  return FULCRUM_OK;
}

fulcrum_status fulcrum_variant(const fulcrum_snapshot* snapshot, int32_t experiment,
                               int32_t variant, fulcrum_text* key, fulcrum_text* value) {
  if (snapshot == nullptr || !IsExperiment(snapshot, experiment)) return FULCRUM_INVALID_ARGUMENT;
  const auto& variants = snapshot->snapshot->experiment({experiment}).variants;
  if (variant < 0 || static_cast<size_t>(variant) >= variants.size()) {
    return FULCRUM_INVALID_ARGUMENT;
  }
  const core::VariantData& data = variants[static_cast<size_t>(variant)];
  if (key != nullptr) *key = Text(data.key);
  if (value != nullptr) *value = Text(data.value);
  return FULCRUM_OK;
}

fulcrum_text fulcrum_snapshot_version(const fulcrum_snapshot* snapshot) {
  return snapshot == nullptr ? fulcrum_text{nullptr, 0} : Text(snapshot->snapshot->version());
}

fulcrum_status fulcrum_decide(const fulcrum_snapshot* snapshot, int32_t experiment,
                              const fulcrum_context* context, fulcrum_decision* decision) {
  if (snapshot == nullptr || context == nullptr || decision == nullptr ||
      decision->struct_size != sizeof(fulcrum_decision)) {
    return FULCRUM_INVALID_ARGUMENT;
  }
  FULCRUM_TRY {
    core::Decision made;
    const bool is_valid = WithContext(*context, [&](const core::Context& converted) {
      made = core::Decide(*snapshot->snapshot, {experiment}, converted);
    });
    if (!is_valid) return FULCRUM_INVALID_ARGUMENT;
    *decision = {sizeof(fulcrum_decision),
                 made.variant,
                 static_cast<int32_t>(made.reason),
                 made.phase,
                 made.propensity_ppm,
                 made.detail,
                 made.block,
                 made.is_enrolled() ? 1u : 0u,
                 0};
    return FULCRUM_OK;
  }
  FULCRUM_CATCH_ALL { return FULCRUM_OUT_OF_MEMORY; }
}

fulcrum_status fulcrum_explain(const fulcrum_snapshot* snapshot, int32_t experiment,
                               const fulcrum_context* context, char* buffer, size_t size,
                               size_t* needed) {
  if (snapshot == nullptr || context == nullptr || needed == nullptr ||
      (buffer == nullptr && size > 0)) {
    return FULCRUM_INVALID_ARGUMENT;
  }
  FULCRUM_TRY {
    core::Trace trace;
    const bool is_valid = WithContext(*context, [&](const core::Context& converted) {
      core::Explain(*snapshot->snapshot, {experiment}, converted, &trace);
    });
    if (!is_valid) return FULCRUM_INVALID_ARGUMENT;
    const std::string lines = Lines(trace);
    *needed = lines.size();
    std::copy_n(lines.data(), std::min(size, lines.size()), buffer);
    return FULCRUM_OK;
  }
  FULCRUM_CATCH_ALL { return FULCRUM_OUT_OF_MEMORY; }
}

fulcrum_text fulcrum_reason_name(int32_t reason) {
  const bool exists = reason >= 0 && reason < core::kReasonCount;
  return Text(exists ? core::ReasonName(static_cast<core::Reason>(reason)) : "unknown");
}
