// SPDX-License-Identifier: Apache-2.0
#include "experiments/diff.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "experiments/compile.h"
#include "experiments/diff_moves.h"
#include "experiments/diff_same.h"
#include "experiments/widen.h"

namespace fulcrum::experiments {
namespace {

const char* StatusName(ExperimentStatus status) {
  switch (status) {
    case ExperimentStatus::kDraft:
      return "draft";
    case ExperimentStatus::kRunning:
      return "running";
    case ExperimentStatus::kStopped:
      return "stopped";
  }
  return "draft";
}

const char* HashName(HashAlgorithm hash) {
  return hash == HashAlgorithm::kXxh3 ? "xxh3" : "growthbook-v2";
}

std::string TimeText(const std::optional<int64_t>& at_ms) {
  return at_ms ? FormatRfc3339(*at_ms) : "";
}

std::string RangesText(const ExperimentDefinition& experiment) {
  std::string out;
  for (const auto& [from, to] : experiment.layer_ranges) {
    out += (out.empty() ? "[" : ", [") + FormatDouble(from) + ", " + FormatDouble(to) + "]";
  }
  return out;
}

// Every bucket of `narrow` is in one range or in adjoining ranges of `wide`.
bool CoversRanges(const ExperimentDefinition& wide, const ExperimentDefinition& narrow) {
  auto ranges = wide.layer_ranges;
  std::sort(ranges.begin(), ranges.end());
  return std::all_of(narrow.layer_ranges.begin(), narrow.layer_ranges.end(), [&](const auto& one) {
    double covered = one.first;
    for (const auto& [from, to] : ranges) {
      if (from <= covered) covered = std::max(covered, to);
    }
    return covered >= one.second;
  });
}

const VariantDefinition* FindVariant(const ExperimentDefinition& experiment,
                                     const std::string& key) {
  for (const VariantDefinition& variant : experiment.variants) {
    if (variant.key == key) return &variant;
  }
  return nullptr;
}

constexpr char kSafeAnalysis[] =
    "changes the analysis and not who gets what; the report says that the definition changed";

// Collects the edits of one experiment, or (with an empty key) of the project.
class Edits {
 public:
  Edits(std::string experiment, bool is_running, std::vector<Edit>* out)
      : experiment_(std::move(experiment)), is_running_(is_running), out_(out) {}

  void Add(std::string what, std::string before, std::string after, EditClass edit_class,
           std::string reason, const Position& pos) {
    if (!is_running_ && edit_class != EditClass::kSafe) {
      edit_class = EditClass::kSafe;
      reason = "it was not running, so nobody has been assigned";
    }
    out_->push_back({experiment_, std::move(what), std::move(before), std::move(after), edit_class,
                     std::move(reason), pos});
  }
  // An edit only where the two differ.
  void AddIfChanged(std::string what, std::string before, std::string after, EditClass edit_class,
                    std::string reason, const Position& pos) {
    if (before == after) return;
    Add(std::move(what), std::move(before), std::move(after), edit_class, std::move(reason), pos);
  }

 private:
  std::string experiment_;
  bool is_running_;
  std::vector<Edit>* out_;
};

// Compares one experiment that is in both.
class ExperimentDiff {
 public:
  ExperimentDiff(const Definitions& before_all, const ExperimentDefinition& before,
                 const Definitions& after_all, const ExperimentDefinition& after,
                 const core::ExperimentData& compiled_before,
                 const core::ExperimentData& compiled_after, std::optional<int64_t> now_ms,
                 bool is_running, const std::vector<Move>& moves, std::vector<Edit>* out)
      : before_all_(before_all),
        before_(before),
        after_all_(after_all),
        after_(after),
        compiled_before_(compiled_before),
        compiled_after_(compiled_after),
        now_ms_(now_ms),
        edits_(after.key, is_running, out) {
    reassigns_ = std::any_of(moves.begin(), moves.end(),
                             [](const Move& move) { return !move.from.empty(); });
  }

  void Run() {
    Status();
    Draws();
    LayerRanges();
    Audience();
    Variants();
    Traffic();
    Schedule();
    Sticky();
    Overrides();
    Analysis();
  }

 private:
  const Position& Pos(std::string_view field) const {
    const auto found = after_.fields.find(field);
    return found == after_.fields.end() ? after_.pos : found->second;
  }

  void Status() {
    if (before_.status == after_.status) return;
    EditClass edit_class = EditClass::kSafe;
    std::string reason = "begins to assign units";
    if (after_.status == ExperimentStatus::kStopped) {
      reason = "ends for everyone at once; what was analysed stays as it is";
    } else if (before_.status == ExperimentStatus::kRunning) {
      edit_class = EditClass::kUnsafe;
      reason = "a running experiment cannot become a draft again: stop it";
    } else if (before_.status == ExperimentStatus::kStopped) {
      reason =
          "units assigned before come back after a gap: a new experiment with a new salt "
          "answers more cleanly";
    }
    edits_.Add("status", StatusName(before_.status), StatusName(after_.status), edit_class, reason,
               Pos("status"));
  }

  // What is drawn and for whom: any change reshuffles.
  void Draws() {
    const std::string reshuffles =
        "every unit is drawn anew: keep it, or make a new experiment with a key of its own";
    const auto unsafe = [&](const char* what, std::string a, std::string b) {
      edits_.AddIfChanged(what, std::move(a), std::move(b), EditClass::kUnsafe, reshuffles,
                          Pos(what));
    };
    unsafe("salt", before_.salt, after_.salt);
    unsafe("hash", HashName(before_.hash), HashName(after_.hash));
    unsafe("unit", before_.unit, after_.unit);
    unsafe("cluster", before_.cluster, after_.cluster);
    const auto switchback = [](const ExperimentDefinition& e) {
      if (!e.switchback) return std::string();
      return FormatDuration(e.switchback->block_ms) + " by " + e.switchback->region_attribute;
    };
    unsafe("switchback", switchback(before_), switchback(after_));
    if (before_.switchback && after_.switchback) {
      edits_.AddIfChanged("switchback.washout", FormatDuration(before_.switchback->washout_ms),
                          FormatDuration(after_.switchback->washout_ms), EditClass::kNeedsNewPhase,
                          "blocks before and after are cut differently: analyse them apart",
                          Pos("switchback.washout"));
    }
  }

  void LayerRanges() {
    if (before_.layer != after_.layer) {
      const bool leaves_layer = after_.layer.empty();
      edits_.Add("layer", before_.layer, after_.layer,
                 leaves_layer ? EditClass::kNeedsNewPhase : EditClass::kUnsafe,
                 leaves_layer
                     ? "units of other experiments of the layer come in: analyse them apart"
                     : "units outside the new range leave: keep the layer",
                 Pos("layer"));
      return;
    }
    const bool widens = CoversRanges(after_, before_);
    edits_.AddIfChanged("layer.range", RangesText(before_), RangesText(after_),
                        widens ? EditClass::kSafe : EditClass::kUnsafe,
                        widens ? "only widens"
                               : "units in the buckets given up leave: only add buckets while it "
                                 "runs",
                        Pos("layer"));
  }

  void Audience() {
    const Condition a = ResolvedAudience(before_all_.project, before_.audience);
    const Condition b = ResolvedAudience(after_all_.project, after_.audience);
    if (SameCondition(a, b)) return;
    EditClass edit_class = EditClass::kUnsafe;
    std::string reason =
        "units that no longer match leave: only widen it while it runs, or make it sticky first";
    if (Implies(a, b)) {
      edit_class = EditClass::kSafe;
      reason = "only widens";
    } else if (before_.sticky && after_.sticky) {
      edit_class = EditClass::kNeedsNewPhase;
      reason = "units that are in stay in (sticky), and others come from now on: analyse by phase";
    }
    edits_.Add("audience", ConditionText(a), ConditionText(b), edit_class, reason, Pos("audience"));
  }

  // In some phase, be it by a control.
  static bool HadWeight(const core::ExperimentData& experiment, const std::string& variant) {
    for (size_t v = 0; v < experiment.variants.size(); ++v) {
      if (experiment.variants[v].key != variant) continue;
      return std::any_of(experiment.phases.begin(), experiment.phases.end(),
                         [v](const core::PhaseData& phase) { return phase.weights_ppm[v] > 0; });
    }
    return false;
  }

  void Variants() {
    const bool keeps = before_.sticky && after_.sticky;
    const EditClass moving = keeps ? EditClass::kNeedsNewPhase : EditClass::kUnsafe;
    const std::string moving_reason =
        keeps ? "units keep their variant (sticky), new ones are drawn by the new weights"
              : "units would change variant: make it sticky first, or make a new experiment";
    for (const VariantDefinition& variant : before_.variants) {
      if (FindVariant(after_, variant.key) != nullptr) continue;
      const bool had_units = variant.weight > 0 || HadWeight(compiled_before_, variant.key);
      edits_.Add("variants." + variant.key, variant.key, "",
                 had_units ? EditClass::kUnsafe : EditClass::kSafe,
                 had_units ? "its units lose their variant: set its weight to 0 instead"
                           : "it had no traffic",
                 variant.pos);
    }
    std::vector<std::string> order_before, order_after;
    for (const VariantDefinition& variant : before_.variants) {
      if (FindVariant(after_, variant.key) != nullptr) order_before.push_back(variant.key);
    }
    for (size_t i = 0; i < after_.variants.size(); ++i) {
      const VariantDefinition& variant = after_.variants[i];
      const std::string path = "variants." + variant.key;
      const VariantDefinition* old = FindVariant(before_, variant.key);
      if (old == nullptr) {
        const bool moves = variant.weight > 0 && reassigns_;
        edits_.Add(path, "", variant.key, moves ? moving : EditClass::kSafe,
                   moves ? moving_reason : "takes no unit from another variant", variant.pos);
        continue;
      }
      order_after.push_back(variant.key);
      const auto share = [](const core::ExperimentData& e, const std::string& key) {
        for (size_t v = 0; v < e.variants.size(); ++v) {
          if (e.variants[v].key == key) {
            return FormatDouble(e.phases.back().weights_ppm[v] / 10'000.0) + "%";
          }
        }
        return std::string();
      };
      edits_.AddIfChanged(path + ".weight", share(compiled_before_, variant.key),
                          share(compiled_after_, variant.key), moving, moving_reason, variant.pos);
      edits_.AddIfChanged(path + ".value", old->value_json, variant.value_json,
                          EditClass::kNeedsNewPhase,
                          "the arm would mix two treatments: analyse before and after apart, or "
                          "make a new experiment",
                          variant.pos);
      edits_.AddIfChanged(path + ".control", old->control ? "true" : "false",
                          variant.control ? "true" : "false", EditClass::kSafe, kSafeAnalysis,
                          variant.pos);
    }
    if (order_before != order_after) {
      edits_.Add("variants", "", "in another order", reassigns_ ? moving : EditClass::kSafe,
                 reassigns_ ? "the order decides which buckets a variant has, so " + moving_reason
                            : "moves nobody",
                 Pos("variants"));
    }
  }

  static uint32_t TrafficAt(const core::ExperimentData& experiment, int64_t at_ms) {
    uint32_t traffic_ppm = 0;
    for (const core::PhaseData& phase : experiment.phases) {
      if (phase.start_ms <= at_ms) traffic_ppm = phase.traffic_ppm;
    }
    return at_ms < experiment.start_ms || at_ms >= experiment.end_ms ? 0 : traffic_ppm;
  }

  void Traffic() {
    const auto text = [](const std::vector<RampStep>& ramp) {
      std::string out;
      for (const RampStep& step : ramp) {
        out += (out.empty() ? "" : ", ") + FormatDouble(step.percent) + "% " +
               (step.elapsed ? "after " + FormatDuration(step.at_ms)
                             : "at " + FormatRfc3339(step.at_ms));
      }
      return out;
    };
    const std::string a = text(before_.ramp), b = text(after_.ramp);
    if (a == b) return;
    // Traffic is constant between the starts of phases, so those instants tell all.
    std::set<int64_t> instants;
    for (const core::ExperimentData* e : {&compiled_before_, &compiled_after_}) {
      for (const core::PhaseData& phase : e->phases) instants.insert(phase.start_ms);
    }
    if (now_ms_) instants.insert(*now_ms_);
    bool narrows = false;
    for (const int64_t at_ms : instants) {
      if (now_ms_ && at_ms < *now_ms_) continue;
      narrows = narrows || TrafficAt(compiled_after_, at_ms) < TrafficAt(compiled_before_, at_ms);
    }
    const bool keeps = before_.sticky && after_.sticky;
    edits_.Add(
        "ramp", a, b,
        !narrows ? EditClass::kSafe : (keeps ? EditClass::kNeedsNewPhase : EditClass::kUnsafe),
        !narrows ? "only widens"
        : keeps  ? "units that are in stay in (sticky), fewer come from now on"
                 : "traffic goes down, so units leave: hold the ramp instead",
        Pos("ramp"));
  }

  void Schedule() {
    const bool starts_later =
        after_.start_ms && (!before_.start_ms || *after_.start_ms > *before_.start_ms);
    const bool not_begun = now_ms_ && before_.start_ms && *now_ms_ < *before_.start_ms;
    const bool is_unsafe = starts_later && !not_begun;
    edits_.AddIfChanged("schedule.start", TimeText(before_.start_ms), TimeText(after_.start_ms),
                        is_unsafe ? EditClass::kUnsafe : EditClass::kSafe,
                        is_unsafe ? "units assigned since the old start would leave: keep the start"
                                  : "nobody has been assigned between the two",
                        Pos("schedule.start"));
    edits_.AddIfChanged("schedule.end", TimeText(before_.end_ms), TimeText(after_.end_ms),
                        EditClass::kSafe, "begins or ends for everyone alike", Pos("schedule.end"));
  }

  void Sticky() {
    if (before_.sticky == after_.sticky) return;
    edits_.Add("sticky", before_.sticky ? "true" : "false", after_.sticky ? "true" : "false",
               after_.sticky ? EditClass::kSafe : EditClass::kUnsafe,
               after_.sticky ? "units keep what they have"
                             : "units drawn by earlier weights or audiences would be drawn anew",
               Pos("sticky"));
  }

  void Overrides() {
    edits_.AddIfChanged("overrides", OverridesText(before_), OverridesText(after_),
                        EditClass::kSafe, "testers are not analysed", Pos("overrides"));
  }

  void Analysis() {
    for (const std::string& field : ChangedAnalysis(before_, after_)) {
      edits_.Add(field, "", "changed", EditClass::kSafe, kSafeAnalysis, Pos(field));
    }
    for (const std::string& key : UsedMetrics(after_)) {
      const MetricDefinition* a = before_all_.FindMetric(key);
      const MetricDefinition* b = after_all_.FindMetric(key);
      if (a != nullptr && b != nullptr && !SameMetric(*a, *b)) {
        edits_.Add("metrics." + key, "", "changed", EditClass::kSafe, kSafeAnalysis, b->pos);
      }
    }
  }

  const Definitions& before_all_;
  const ExperimentDefinition& before_;
  const Definitions& after_all_;
  const ExperimentDefinition& after_;
  const core::ExperimentData& compiled_before_;
  const core::ExperimentData& compiled_after_;
  std::optional<int64_t> now_ms_;
  Edits edits_;
  bool reassigns_ = false;
};

bool IsRunning(const core::ExperimentData& experiment, std::optional<int64_t> now_ms) {
  if (experiment.status != core::ExperimentStatus::kRunning) return false;
  if (!now_ms) return experiment.stopped_at_ms == core::kDistantFutureMs;
  return *now_ms >= experiment.start_ms && *now_ms < experiment.end_ms &&
         *now_ms < experiment.stopped_at_ms;
}

size_t IndexOf(const Definitions& definitions, const std::string& key) {
  for (size_t i = 0; i < definitions.experiments.size(); ++i) {
    if (definitions.experiments[i].key == key) return i;
  }
  return definitions.experiments.size();
}

}  // namespace

const char* EditClassName(EditClass edit_class) {
  switch (edit_class) {
    case EditClass::kSafe:
      return "safe";
    case EditClass::kNeedsNewPhase:
      return "needs a new phase";
    case EditClass::kUnsafe:
      return "unsafe";
  }
  return "unsafe";
}

bool DiffReport::unsafe() const {
  return std::any_of(edits.begin(), edits.end(),
                     [](const Edit& edit) { return edit.edit_class == EditClass::kUnsafe; });
}

absl::StatusOr<DiffReport> Diff(const Definitions& before, const Definitions& after,
                                std::optional<int64_t> now_ms, const core::Controls* controls) {
  const core::Controls none;
  if (controls == nullptr) controls = &none;
  const auto compiled_before = Compile(before, *controls);
  if (!compiled_before.ok()) return Annotate(compiled_before.status(), "the old definitions");
  const auto compiled_after = Compile(after, *controls);
  if (!compiled_after.ok()) return Annotate(compiled_after.status(), "the new definitions");
  DiffReport report;
  for (const core::ExperimentData& old : compiled_before->experiments) {
    if (IsRunning(old, now_ms)) report.running.push_back(old.key);
  }
  const auto is_running = [&](const std::string& key) {
    return std::find(report.running.begin(), report.running.end(), key) != report.running.end();
  };
  DiffProject(before, after, report.running, &report.edits);
  for (const ExperimentDefinition& old : before.experiments) {
    if (after.FindExperiment(old.key) != nullptr) continue;
    Edits(old.key, is_running(old.key), &report.edits)
        .Add("experiment", old.key, "", EditClass::kUnsafe,
             "its units lose their variant and its report its definition: stop it instead, or, "
             "for a rename, keep the key (its title may change)",
             old.pos);
  }
  for (size_t i = 0; i < after.experiments.size(); ++i) {
    const ExperimentDefinition& now = after.experiments[i];
    const size_t index = IndexOf(before, now.key);
    if (index == before.experiments.size()) {
      Edits(now.key, false, &report.edits)
          .Add("experiment", "", now.key, EditClass::kSafe, "is new", now.pos);
      continue;
    }
    const ExperimentDefinition& old = before.experiments[index];
    std::vector<Move> moves;
    if (is_running(old.key)) moves = MovesOf(*compiled_before, index, *compiled_after, i, now_ms);
    ExperimentDiff(before, old, after, now, compiled_before->experiments[index],
                   compiled_after->experiments[i], now_ms, is_running(old.key), moves,
                   &report.edits)
        .Run();
    report.moves.insert(report.moves.end(), moves.begin(), moves.end());
  }
  return report;
}

std::vector<Diagnostic> UnsafeEdits(const DiffReport& report) {
  std::vector<Diagnostic> out;
  for (const Edit& edit : report.edits) {
    if (edit.edit_class != EditClass::kUnsafe) continue;
    double share = 0;
    for (const Move& move : report.moves) {
      if (move.experiment == edit.experiment && !move.from.empty()) share += move.share;
    }
    std::string message = edit.experiment.empty()
                              ? "unsafe while experiments that depend on it run: "
                              : "unsafe while '" + edit.experiment + "' runs: ";
    message += edit.what + ": " + (edit.before.empty() ? "(absent)" : edit.before) + " -> " +
               (edit.after.empty() ? "(absent)" : edit.after) + ": " + edit.reason;
    if (share > 0) {
      message += " (with all edits of it, " + FormatDouble(std::round(share * 1e6) / 1e4) +
                 "% of units change variant or leave)";
    }
    out.push_back({edit.pos.file, edit.pos.line, edit.pos.column, Severity::kError, message});
  }
  return out;
}

std::vector<core::ControlRecord> PhasesBegun(const Definitions& before, const DiffReport& report) {
  const absl::StatusOr<core::SnapshotData> compiled = Compile(before, core::Controls{});
  std::vector<core::ControlRecord> records;
  for (const std::string& key : report.running) {
    std::string what;
    for (const Edit& edit : report.edits) {
      const bool changes_who = edit.edit_class != EditClass::kSafe || edit.what == "ramp" ||
                               edit.what == "audience" || edit.what == "layer.range";
      if (edit.experiment != key || !changes_who) continue;
      what += (what.empty() ? "" : "; ") + edit.what + " (" + EditClassName(edit.edit_class) + ")";
    }
    if (what.empty() || !compiled.ok()) continue;
    core::ControlRecord record;
    record.kind = core::ControlKind::kEdit;
    record.experiment = key;
    record.reason = what;
    const core::ExperimentData& old = compiled->experiments[IndexOf(before, key)];
    for (size_t v = 0; v < old.variants.size(); ++v) {
      record.weights.push_back({old.variants[v].key, old.phases.back().weights_ppm[v], 0});
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace fulcrum::experiments
