// SPDX-License-Identifier: Apache-2.0
//
// One row per event: the file is streamed once for exposures, once for enrolments where an event
// starts the clock, and once for outcomes (again for units whose rows are out of order). Only units
// are kept in memory. A row counts as received at its own time.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <set>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "store/file_source.h"
#include "store/fold_feed.h"

namespace fulcrum::store {
namespace {

// How the text of a cell is to be read.
struct CellColumn {
  std::string name;    // As the plan calls it.
  std::string column;  // As the file calls it.
  bool typed = true;   // Numbers and booleans are recognised; else always text.
};

bool HasText(const std::vector<Literal>& values) {
  return std::any_of(values.begin(), values.end(), [](const Literal& value) {
    return std::holds_alternative<std::string>(value);
  });
}

// One event row; views are valid while its chunk is.
struct FileRow {
  std::string_view unit;
  std::string_view event;
  std::string_view arm;
  int64_t ts_ms = 0;
  std::optional<double> value;
  std::span<const PropertyView> cells;
};

class EventRows {
 public:
  EventRows(const FileSource& source, const Plan& plan) : source_(source), plan_(plan), health_{} {
    // Dates of the plan stay; the experiment is whatever the file holds.
    plan_.population.experiment.clear();
  }

  absl::StatusOr<PlanResult> Run() {
    FULCRUM_RETURN_IF_ERROR(CheckSource());
    FULCRUM_ASSIGN_OR_RETURN(Fold fold, Fold::Compile(plan_, 2));
    FULCRUM_ASSIGN_OR_RETURN(file_, OpenFile(source_, plan_.memory_limit_bytes / 2));
    FULCRUM_ASSIGN_OR_RETURN(arms_, ArmMap::Make(source_, plan_));
    FULCRUM_RETURN_IF_ERROR(FindColumns(fold.needs()));
    FoldFeeder feeder(&fold, plan_);
    FULCRUM_RETURN_IF_ERROR(AddExposures(&fold, &feeder));
    FULCRUM_RETURN_IF_ERROR(CountUnreadableLines(&file_, &health_));
    fold.CloseExposures();
    if (fold.wants_enrolments()) {
      FULCRUM_RETURN_IF_ERROR(
          ForEachRow(nullptr, [&](const FileRow& row) { feeder.AddEnrolment(Event(row)); }));
    }
    const bool open = plan_.as_of_ms == std::numeric_limits<int64_t>::max();
    FULCRUM_RETURN_IF_ERROR(fold.CloseCohort(open ? last_ms_ : plan_.as_of_ms));
    FULCRUM_RETURN_IF_ERROR(AddEvents(&feeder));
    if (fold.wants_replay()) {
      fold.BeginReplay();
      FULCRUM_RETURN_IF_ERROR(AddEvents(&feeder));
    }
    FULCRUM_ASSIGN_OR_RETURN(PlanResult result, fold.Finish());
    feeder.AddHealth(&result.health);
    AddHealth(&result.health);
    return result;
  }

 private:
  absl::Status CheckSource() const {
    const auto need = [](const std::string& value, const char* what) {
      if (!value.empty()) return absl::OkStatus();
      return InvalidArgument(std::string("the data has one row per event, but data.") + what +
                             " is missing; say which column (or event) it is");
    };
    FULCRUM_RETURN_IF_ERROR(need(source_.unit_column, "unit"));
    FULCRUM_RETURN_IF_ERROR(need(source_.event_column, "event"));
    FULCRUM_RETURN_IF_ERROR(need(source_.time_column, "time"));
    FULCRUM_RETURN_IF_ERROR(need(source_.arm_column, "arm"));
    return need(source_.exposure_event, "exposure");
  }

  absl::Status FindColumns(const FoldNeeds& needs) {
    std::set<std::string> names(needs.values.begin(), needs.values.end());
    std::set<std::string> texts;  // Compared with texts: "007" stays "007".
    for (const EventFilter& filter : needs.filters) {
      names.insert(filter.property);
      if (HasText(filter.values)) texts.insert(filter.property);
    }
    for (const std::string& value : needs.values) texts.erase(value);
    // Ids are texts, and not ids of units in a file of one kind of unit: they only name journeys.
    if (needs.order_keys) names.emplace(kOwnOrderId), texts.emplace(kOwnOrderId);
    if (needs.session_keys) names.emplace(kOwnSessionId), texts.emplace(kOwnSessionId);
    has_keys_ = needs.order_keys || needs.session_keys;
    for (const std::string& name : names) {
      if (name == kOwnValue && !source_.value_column.empty()) continue;
      cells_.push_back({name, name, texts.count(name) == 0});
    }
    std::set<std::string> typed_attributes = {plan_.population.exclude_attribute};
    for (const auto& all : plan_.population.exclude_any) {
      for (const EventFilter& test : all) {
        if (!HasText(test.values)) typed_attributes.insert(test.property);
      }
    }
    for (const FunnelSpec& funnel : plan_.funnels) {
      for (const FunnelStage& stage : funnel.stages) {
        if (!HasText(stage.satisfied_values)) typed_attributes.insert(stage.satisfied_attribute);
      }
    }
    for (const std::string& attribute : needs.attributes) {
      const bool known = std::any_of(cells_.begin(), cells_.end(), [&](const CellColumn& cell) {
        return cell.name == attribute;
      });
      if (!known) cells_.push_back({attribute, attribute, typed_attributes.count(attribute) > 0});
    }
    for (const CellColumn& cell : cells_) {
      FULCRUM_RETURN_IF_ERROR(file_.Find(cell.column, "the plan").status());
    }
    for (const auto& [column, what] : {std::pair{&source_.unit_column, "data.unit"},
                                       {&source_.event_column, "data.event"},
                                       {&source_.arm_column, "data.arm"}}) {
      FULCRUM_RETURN_IF_ERROR(file_.Find(*column, what).status());
    }
    FULCRUM_ASSIGN_OR_RETURN(time_, file_.Find(source_.time_column, "data.time"));
    if (!source_.value_column.empty()) {
      FULCRUM_ASSIGN_OR_RETURN(value_, file_.Find(source_.value_column, "data.value"));
    }
    return absl::OkStatus();
  }

  std::string TimeSql() const {
    const std::string name = duckdb::QuoteName(time_.name);
    if (time_.type.rfind("TIMESTAMP", 0) == 0) return "epoch_ms(" + name + ")::VARCHAR";
    if (time_.type == "DATE") return "epoch_ms(" + name + "::TIMESTAMP)::VARCHAR";
    return name + "::VARCHAR";
  }

  std::string Select() const {
    const auto text = [](const std::string& name) { return duckdb::QuoteName(name) + "::VARCHAR"; };
    std::string sql = "SELECT " + text(source_.unit_column) + ", " + text(source_.event_column) +
                      ", " + text(source_.arm_column) + ", " + TimeSql() + ", ";
    sql += value_.name.empty()
               ? "NULL::DOUBLE, false"
               : NumberSql(value_) + ", coalesce(trim(" + text(value_.name) + "), '') <> ''";
    for (const CellColumn& cell : cells_) sql += ", " + text(cell.column);
    return sql + " FROM " + file_.relation;
  }

  static PropertyView ReadCell(const CellColumn& cell, std::string_view text) {
    PropertyView view;
    view.key = cell.name;
    view.text = text;
    if (!cell.typed) return view;
    if (const std::optional<double> number = ParseDouble(text)) {
      view.type = PropertyType::kNumber;
      view.number = *number;
    } else if (text == "true" || text == "false") {
      view.type = PropertyType::kBool;
      view.boolean = text == "true";
    }
    return view;
  }

  // Why the row cannot be read, or "".
  std::string ReadRow(const duckdb::Chunk& chunk, int64_t i, FileRow* row) {
    if (chunk.is_null(0, i)) return source_.unit_column + ": missing";
    if (chunk.is_null(1, i)) return source_.event_column + ": missing";
    if (chunk.is_null(3, i)) return source_.time_column + ": missing";
    row->unit = chunk.text(0, i);
    row->event = chunk.text(1, i);
    row->arm = chunk.is_null(2, i) ? std::string_view() : chunk.text(2, i);
    const std::string_view time = chunk.text(3, i);
    std::optional<int64_t> ts_ms = ParseInt(time);
    if (!ts_ms) ts_ms = ParseRfc3339(time);
    if (!ts_ms) {
      return source_.time_column + ": not Unix milliseconds nor RFC 3339 with an offset";
    }
    if (*ts_ms < kMinInstantMs || *ts_ms >= kMaxInstantMs) {
      return source_.time_column + ": not between the years 2000 and 2200";
    }
    row->ts_ms = *ts_ms;
    row->value.reset();
    if (!value_.name.empty() && chunk.data<bool>(5)[i]) {
      if (chunk.is_null(4, i)) return value_.name + ": not a number";
      row->value = chunk.data<double>(4)[i];
      if (!std::isfinite(*row->value)) return value_.name + ": not a finite number";
    }
    properties_.clear();
    for (size_t c = 0; c < cells_.size(); ++c) {
      const int at = 6 + static_cast<int>(c);
      if (chunk.is_null(at, i)) continue;
      properties_.push_back(ReadCell(cells_[c], chunk.text(at, i)));
    }
    row->cells = properties_;
    return "";
  }

  // `health` counts what cannot be read, in the first pass only.
  absl::Status ForEachRow(Health* health, const std::function<void(const FileRow&)>& fn) {
    FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows, file_.connection.Stream(Select()));
    FileRow row;
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
      if (!chunk) return absl::OkStatus();
      for (int64_t i = 0; i < chunk.size(); ++i) {
        const std::string problem = ReadRow(chunk, i, &row);
        if (!problem.empty()) {
          if (health != nullptr) CountRejected(problem, health);
        } else if (row.ts_ms <= plan_.as_of_ms) {
          fn(row);
        }
      }
    }
  }

  EventView Event(const FileRow& row) {
    unit_ = {plan_.population.unit_kind, row.unit};
    EventView event;
    event.name = row.event;
    event.ts_ms = row.ts_ms;
    event.ids = {&unit_, 1};
    event.value = row.value;
    event.properties = row.cells;
    if (!has_keys_) return event;
    for (const PropertyView& cell : row.cells) {
      if (cell.key == kOwnOrderId) event.order_id = cell.text;
      if (cell.key == kOwnSessionId) event.session_id = cell.text;
    }
    return event;
  }

  absl::Status AddExposures(Fold* fold, FoldFeeder* feeder) {
    const int64_t limit = plan_.memory_limit_bytes / 2;
    bool too_many = false;
    FULCRUM_RETURN_IF_ERROR(ForEachRow(&health_, [&](const FileRow& row) {
      last_ms_ = std::max(last_ms_, row.ts_ms);
      ++health_.events_scanned;
      if (row.event != source_.exposure_event || too_many) return;
      const Population& population = plan_.population;
      if (row.ts_ms < population.from_ms || row.ts_ms >= population.to_ms) return;
      const int arm = arms_.Find(row.arm);
      if (arm < 0) {
        ArmMap::CountUnknown(row.arm, &health_);
        return;
      }
      ExposureView exposure;
      exposure.variant = plan_.population.arms[static_cast<size_t>(arm)].key;
      exposure.unit = {plan_.population.unit_kind, row.unit};
      exposure.ts_ms = row.ts_ms;
      exposure.attributes = row.cells;
      feeder->AddExposure(exposure);
      // A text id costs about 100 bytes beside the fold's own.
      const auto units = static_cast<int64_t>(feeder->units());
      too_many = fold->EstimateBytes(units) + 100 * units > limit;
    }));
    if (!too_many) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        "the data has more units than fit into the memory limit; raise it, or analyse fewer "
        "metrics at once");
  }

  absl::Status AddEvents(FoldFeeder* feeder) {
    FULCRUM_RETURN_IF_ERROR(
        ForEachRow(nullptr, [&](const FileRow& row) { feeder->AddEvent(Event(row)); }));
    feeder->Flush();
    return absl::OkStatus();
  }

  void AddHealth(Health* health) const {
    health->rejected_rows = health_.rejected_rows;
    health->rejected_reasons = health_.rejected_reasons;
    health->unknown_variant_exposures = health_.unknown_variant_exposures;
    health->unknown_variants = health_.unknown_variants;
    health->events_scanned = health_.events_scanned;
    health->last_received_ms = last_ms_;
  }

  const FileSource& source_;
  Plan plan_;
  OpenedFile file_;
  ArmMap arms_;
  FileColumn time_;
  FileColumn value_;
  std::vector<CellColumn> cells_;
  std::vector<PropertyView> properties_;
  UnitRef unit_;
  Health health_;
  int64_t last_ms_ = 0;
  bool has_keys_ = false;
};

}  // namespace

absl::StatusOr<PlanResult> RunOnEventRows(const FileSource& source, const Plan& plan) {
  return EventRows(source, plan).Run();
}

}  // namespace fulcrum::store
