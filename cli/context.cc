// SPDX-License-Identifier: Apache-2.0
#include "cli/context.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "experiments/compile.h"
#include "nlohmann/json.hpp"

namespace fulcrum::cli {
namespace {

absl::Status WrongContext(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the context ", ToAbsl(what),
                   "; give one JSON object such as {\"targetingKey\": \"u1\", \"channel\": "
                   "\"search\"}."));
}

}  // namespace

std::string_view OwnedContext::Keep(std::string_view text) { return texts_.emplace_back(text); }

absl::StatusOr<OwnedContext> OwnedContext::FromJson(std::string_view json,
                                                    const core::SnapshotData& snapshot) {
  const auto root = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return WrongContext("is not a JSON object");
  OwnedContext context;
  context.now_ms_ = WallClockMs();
  for (const auto& [key, value] : root.items()) {
    if (key == "targetingKey") {
      if (!value.is_string()) return WrongContext("has a targetingKey that is not a text");
      context.targeting_key_ = value.get<std::string>();
    } else if (key == "units") {
      if (!value.is_object()) return WrongContext("has units that are not an object");
      for (const auto& [kind, id] : value.items()) {
        if (!id.is_string()) return WrongContext("has a unit id that is not a text");
        context.units_.push_back({context.Keep(kind), context.Keep(id.get<std::string>())});
      }
    } else if (key == "priors") {
      if (!value.is_object()) return WrongContext("has priors that are not an object");
      for (const auto& [experiment, variant] : value.items()) {
        if (!variant.is_string()) return WrongContext("has a prior variant that is not a text");
        context.AddPrior(experiment, variant.get<std::string>(), -1);
      }
    } else if (key == "now") {
      const auto now = value.is_string() ? ParseRfc3339(value.get<std::string>()) : std::nullopt;
      if (!now) return WrongContext("has a now that is not an RFC 3339 instant with its offset");
      context.now_ms_ = *now;
    } else if (value.is_boolean()) {
      context.attributes_.push_back({context.Keep(key), core::Value::Bool(value.get<bool>())});
    } else if (value.is_number_integer()) {
      context.attributes_.push_back({context.Keep(key), core::Value::Int(value.get<int64_t>())});
    } else if (value.is_number()) {
      context.attributes_.push_back({context.Keep(key), core::Value::Float(value.get<double>())});
    } else if (value.is_string()) {
      const std::string_view text = context.Keep(value.get<std::string>());
      // Times travel as RFC 3339 text in JSON.
      core::Value typed = core::Value::String(text);
      for (const core::AttributeData& attribute : snapshot.attributes) {
        if (attribute.key != key || attribute.type != core::AttributeType::kTimeMs) continue;
        if (const auto instant = ParseRfc3339(text)) typed = core::Value::TimeMs(*instant);
      }
      context.attributes_.push_back({context.Keep(key), typed});
      // As the server reads it: named like a unit kind, it is an id of that kind as well.
      const auto& kinds = snapshot.unit_kinds;
      if (std::find(kinds.begin(), kinds.end(), key) != kinds.end()) {
        context.units_.push_back({context.Keep(key), text});
      }
    } else if (!value.is_null()) {
      return WrongContext("has an attribute that is neither a text, a number nor a bool");
    }
  }
  return context;
}

void OwnedContext::AddPrior(std::string_view experiment, std::string_view variant, int32_t phase) {
  for (const core::Prior& prior : priors_) {
    if (prior.experiment == experiment) return;
  }
  priors_.push_back({Keep(experiment), Keep(variant), phase});
}

core::Context OwnedContext::View() const& {
  core::Context view;
  view.targeting_key = targeting_key_;
  view.units = units_;
  view.attributes = attributes_;
  view.priors = priors_;
  view.now_ms = now_ms_;
  return view;
}

absl::StatusOr<std::unique_ptr<const core::Snapshot>> CompileProject(
    const experiments::Definitions& definitions, const core::Controls& controls) {
  FULCRUM_ASSIGN_OR_RETURN(core::SnapshotData data, experiments::Compile(definitions, controls));
  core::BuildError error;
  auto snapshot = core::Snapshot::Make(std::move(data), &error);
  if (snapshot == nullptr) return InvalidArgument(error.message);
  return snapshot;
}

absl::StatusOr<core::ExperimentHandle> FindHandle(const experiments::Definitions& definitions,
                                                  const core::Snapshot& snapshot,
                                                  const std::string& experiment) {
  FULCRUM_RETURN_IF_ERROR(FindExperiment(definitions, experiment).status());
  return snapshot.Find(experiment);
}

}  // namespace fulcrum::cli
