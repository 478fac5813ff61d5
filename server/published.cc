// SPDX-License-Identifier: Apache-2.0
#include "server/published.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "core/wire.h"
#include "experiments/compile.h"
#include "experiments/load.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

// A float must keep its point on the wire: typed clients answer "type mismatch" to a bare 1.
std::string ValueText(core::ParameterType type, const std::string& value) {
  const bool bare = type == core::ParameterType::kFloat && !value.empty() &&
                    value.find_first_not_of("-0123456789") == std::string::npos;
  return bare ? value + ".0" : value;
}

FlagText MakeFlagText(const core::ExperimentData& experiment) {
  FlagText text;
  text.head = "{\"key\":" + JsonString(experiment.key);
  for (const core::VariantData& variant : experiment.variants) {
    text.variants.push_back(",\"value\":" + ValueText(experiment.value_type, variant.value) +
                            ",\"variant\":" + JsonString(variant.key));
  }
  if (experiment.has_default) {
    text.fallback = ",\"value\":" + ValueText(experiment.value_type, experiment.default_value);
  }
  return text;
}

}  // namespace

const experiments::ExperimentDefinition* Published::FindDefinition(std::string_view key) const {
  const auto at = definition_index.find(ToAbsl(key));
  return at == definition_index.end() ? nullptr : &definitions.experiments[at->second];
}

int Published::UnitKind(std::string_view kind) const {
  const std::vector<std::string>& kinds = snapshot->data().unit_kinds;
  const auto at = std::find(kinds.begin(), kinds.end(), kind);
  return at == kinds.end() ? -1 : static_cast<int>(at - kinds.begin());
}

std::string_view Published::default_unit_kind() const {
  const core::SnapshotData& data = snapshot->data();
  return data.unit_kinds.at(static_cast<size_t>(data.default_unit_kind));
}

absl::StatusOr<std::shared_ptr<const Published>> Publish(LoadedProject project,
                                                         std::vector<core::ControlRecord> log,
                                                         int64_t now_ms) {
  auto published = std::make_shared<Published>();
  std::sort(log.begin(), log.end(), [](const auto& a, const auto& b) { return a.seq < b.seq; });
  published->controls = core::Apply(log);
  published->log = std::move(log);
  FULCRUM_ASSIGN_OR_RETURN(
      core::SnapshotData data,
      experiments::Compile(project.definitions, published->controls, now_ms, &published->unfit));
  published->definitions = std::move(project.definitions);
  published->files = std::move(project.files);
  for (size_t i = 0; i < published->definitions.experiments.size(); ++i) {
    published->definition_index[published->definitions.experiments[i].key] = i;
  }
  published->created_ms = now_ms;
  core::BuildError error;
  published->snapshot = core::Snapshot::Make(std::move(data), &error);
  if (published->snapshot == nullptr) return InvalidArgument(error.message);

  const core::SnapshotData& made = published->snapshot->data();
  published->wire = core::Encode(made);
  published->wire_etag = EntityTag(published->wire);
  for (const core::ExperimentData& experiment : made.experiments) {
    const core::ExperimentHandle handle{static_cast<int32_t>(published->flags.size())};
    if (experiment.is_sticky) published->sticky.push_back(handle);
    published->flags.push_back(MakeFlagText(experiment));
  }
  for (const core::AttributeData& attribute : made.attributes) {
    published->attributes[attribute.key] = attribute.type;
    published->has_time_attributes |= attribute.type == core::AttributeType::kTimeMs;
  }
  return published;
}

absl::StatusOr<LoadedProject> LoadProject(const std::string& directory,
                                          std::vector<std::string>* warnings) {
  experiments::LoadResult loaded = experiments::LoadDirectory(directory);
  std::string errors;
  for (const experiments::Diagnostic& diagnostic : loaded.diagnostics) {
    if (diagnostic.severity == experiments::Severity::kWarning) {
      warnings->push_back(experiments::Format(diagnostic));
      continue;
    }
    if (!errors.empty()) errors.push_back('\n');
    errors += experiments::Format(diagnostic);
  }
  if (!errors.empty()) return InvalidArgument(errors);
  return LoadedProject{std::move(loaded.definitions), std::move(loaded.files)};
}

}  // namespace fulcrum::server
