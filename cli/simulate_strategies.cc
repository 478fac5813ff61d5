// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_strategies.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "base/text.h"
#include "core/snapshot.h"
#include "experiments/compile.h"

namespace fulcrum::cli {
namespace {

std::string CellOf(const sim::Properties& properties, const std::string& key) {
  for (const auto& [name, value] : properties) {
    if (name != key) continue;
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (const auto* number = std::get_if<double>(&value)) return FormatDouble(*number);
    return std::get<std::string>(value);
  }
  return "";
}

// Every key that any row has, in order of name: the columns.
template <typename Rows, typename Of>
std::set<std::string> Keys(const Rows& rows, const Of& of) {
  std::set<std::string> keys;
  for (const auto& row : rows) {
    for (const auto& [key, value] : of(row)) keys.insert(key);
  }
  return keys;
}

}  // namespace

bool AreStrategies(const experiments::Definitions& definitions) {
  return definitions.FindExperiment("order-recovery") != nullptr &&
         definitions.FindExperiment("service-desk") != nullptr;
}

absl::StatusOr<sim::StrategyWorld> MakeStrategies(const experiments::Definitions& definitions,
                                                  const SimulateOptions& options) {
  if (options.users <= 0 || options.users > 1'000'000) {
    return InvalidArgument("--users must be from 1 to 1000000.");
  }
  FULCRUM_ASSIGN_OR_RETURN(core::SnapshotData data,
                           experiments::Compile(definitions, core::Controls{}));
  core::BuildError error;
  const std::shared_ptr<const core::Snapshot> snapshot =
      core::Snapshot::Make(std::move(data), &error);
  if (snapshot == nullptr) return InvalidArgument(error.message);
  return sim::MakeStrategyWorld(definitions, *snapshot, {options.seed, options.users});
}

// No field of the strategies holds a comma, a quote or a line break.
absl::Status StrategiesToFiles(const sim::StrategyWorld& world, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return Unavailable(
        absl::StrCat("cannot make the directory '", directory, "': ", error.message(), "."));
  }
  std::ofstream exposures(directory + "/exposures.csv", std::ios::binary);
  const auto attributes = Keys(
      world.exposures, [](const auto& row) -> const sim::Properties& { return row.attributes; });
  exposures << "experiment,variant,unit_kind,unit,ts,received";
  for (const std::string& key : attributes) exposures << "," << key;
  exposures << "\n";
  for (const sim::StrategyExposure& row : world.exposures) {
    exposures << row.experiment << "," << row.variant << "," << row.kind << "," << row.unit << ","
              << row.ts_ms << "," << row.received_ms;
    for (const std::string& key : attributes) exposures << "," << CellOf(row.attributes, key);
    exposures << "\n";
  }
  std::ofstream events(directory + "/events.csv", std::ios::binary);
  const auto properties =
      Keys(world.events, [](const auto& row) -> const sim::Properties& { return row.properties; });
  events << "event_id,name,ts,received,unit_user,order_id,session_id,value";
  for (const std::string& key : properties) events << "," << key;
  events << "\n";
  for (const sim::StrategyEvent& row : world.events) {
    events << row.event_id << "," << row.name << "," << row.ts_ms << "," << row.received_ms << ","
           << row.user << "," << row.order_id << "," << row.session_id << ","
           << (row.value != 0 ? FormatDouble(row.value) : "");
    for (const std::string& key : properties) events << "," << CellOf(row.properties, key);
    events << "\n";
  }
  for (std::ofstream* file : {&exposures, &events}) {
    file->close();
    if (!*file) return Unavailable("cannot write the CSV files; is the disk full?");
  }
  return absl::OkStatus();
}

std::string StrategyTable(const sim::StrategyWorld& world) {
  std::string out = absl::StrFormat("%-18s %-16s %-32s %12s %12s %12s\n", "experiment", "variant",
                                    "metric", "control", "variant", "effect");
  for (const sim::StrategyEffect& effect : world.effects) {
    const std::string metric =
        effect.part.empty() ? effect.metric : effect.metric + " of " + effect.part;
    absl::StrAppendFormat(&out, "%-18s %-16s %-32s %12.5g %12.5g %+12.5g\n", effect.experiment,
                          effect.variant, metric, effect.control_value, effect.variant_value,
                          effect.variant_value - effect.control_value);
  }
  return out;
}

}  // namespace fulcrum::cli
