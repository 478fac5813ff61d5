// SPDX-License-Identifier: Apache-2.0
//
// One row per unit: every row is streamed past once (twice where a cap is a quantile) and only its
// numbers are added up. Nothing is kept but Grams, and values where a quantile needs them.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "base/status.h"
#include "base/text.h"
#include "stats/distributions.h"
#include "store/file_source.h"
#include "store/fold_cells.h"
#include "store/fold_filter.h"
#include "store/fold_tables.h"

namespace fulcrum::store {
namespace {

constexpr size_t kMaxSliceValues = 10000;

// A number column of the file. Missing is fine only for a covariate whose absence is a column too.
struct Source {
  FileColumn column;
  bool may_be_missing = false;
};

struct UnitRow {
  int arm = 0;
  const std::vector<double>* columns = nullptr;      // As Plan::columns, before caps.
  const std::vector<std::string>* slices = nullptr;  // As Plan::slices.
  std::string_view cluster;                          // "" = its own.
};

class UnitRows {
 public:
  UnitRows(const FileSource& source, const Plan& plan) : source_(source), plan_(plan) {}

  absl::StatusOr<PlanResult> Run() {
    FULCRUM_RETURN_IF_ERROR(CheckPlan());
    FULCRUM_ASSIGN_OR_RETURN(file_, OpenFile(source_, plan_.memory_limit_bytes));
    FULCRUM_ASSIGN_OR_RETURN(arms_, ArmMap::Make(source_, plan_));
    FULCRUM_RETURN_IF_ERROR(FindColumns());
    FULCRUM_RETURN_IF_ERROR(CheckUnitsOnce());
    result_.as_of_ms = plan_.as_of_ms;
    FULCRUM_RETURN_IF_ERROR(FindCaps());
    FULCRUM_RETURN_IF_ERROR(AddRows());
    FULCRUM_RETURN_IF_ERROR(CountUnreadableLines(&file_, &result_.health));
    EmitCells();
    EmitQuantiles();
    return std::move(result_);
  }

 private:
  absl::Status CheckPlan() const {
    if (source_.arm_column.empty()) {
      return InvalidArgument("the data has one row per unit, but no arm column is named");
    }
    if (!plan_.time_to.empty()) {
      return InvalidArgument("time \"" + plan_.time_to.front().key +
                             "\" needs events, but the data has one row per unit; leave it out");
    }
    if (plan_.population.arms.empty()) {
      return InvalidArgument("the plan has no arms; name at least the control");
    }
    for (const QuantileSpec& spec : plan_.quantiles) {
      if (spec.of_events || spec.column < 0 ||
          spec.column >= static_cast<int>(plan_.columns.size())) {
        return InvalidArgument("quantile \"" + spec.key +
                               "\" must be of a column: the data has one row per unit");
      }
    }
    for (const Group& group : plan_.groups) {
      for (const int c : group.columns) {
        if (c < 0 || c >= static_cast<int>(plan_.columns.size())) {
          return InvalidArgument("a group names a column that the plan does not have");
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status FindColumns() {
    FULCRUM_ASSIGN_OR_RETURN(arm_column_, file_.Find(source_.arm_column, "data.arm"));
    std::map<std::string, bool> has_column;
    for (const Column& column : plan_.columns) {
      if (column.kind == ColumnKind::kHasPre) has_column[column.source_column] = true;
    }
    for (const Column& column : plan_.columns) {
      if (column.source_column.empty()) {
        return InvalidArgument("metric column \"" + column.name +
                               "\" names no column of the data, which has one row per unit");
      }
      FULCRUM_ASSIGN_OR_RETURN(
          const FileColumn found,
          file_.Find(column.source_column, "metric column \"" + column.name + "\""));
      size_t s = 0;
      while (s < sources_.size() && sources_[s].column.name != found.name) ++s;
      if (s == sources_.size()) {
        sources_.push_back({found, has_column.count(column.source_column) > 0});
      }
      source_of_column_.push_back(s);
    }
    const Population& population = plan_.population;
    if (!population.exclude_attribute.empty()) {
      FULCRUM_RETURN_IF_ERROR(AddText(population.exclude_attribute, "the exclusion"));
    }
    if (!population.cluster_attribute.empty()) {
      FULCRUM_RETURN_IF_ERROR(AddText(population.cluster_attribute, "the cluster"));
    }
    for (const SliceSpec& slice : plan_.slices) {
      for (const std::string& attribute : slice.attributes) {
        FULCRUM_RETURN_IF_ERROR(AddText(attribute, "slice \"" + slice.key + "\""));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddText(const std::string& name, const std::string& used_by) {
    FULCRUM_RETURN_IF_ERROR(file_.Find(name, used_by).status());
    if (std::find(texts_.begin(), texts_.end(), name) == texts_.end()) texts_.push_back(name);
    return absl::OkStatus();
  }

  size_t TextIndex(const std::string& name) const {
    return static_cast<size_t>(std::find(texts_.begin(), texts_.end(), name) - texts_.begin());
  }

  absl::Status CheckUnitsOnce() {
    if (source_.unit_column.empty()) return absl::OkStatus();
    FULCRUM_ASSIGN_OR_RETURN(const FileColumn unit, file_.Find(source_.unit_column, "data.unit"));
    const std::string name = duckdb::QuoteName(unit.name);
    const absl::StatusOr<std::string> repeated = file_.connection.QueryText(
        "SELECT " + name + "::VARCHAR FROM " + file_.relation + " WHERE " + name +
        " IS NOT NULL GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1");
    if (absl::IsNotFound(repeated.status())) return absl::OkStatus();
    FULCRUM_RETURN_IF_ERROR(repeated.status());
    return InvalidArgument("unit \"" + *repeated +
                           "\" is in several rows, but the data is said to have one row per unit; "
                           "add its rows up first, or describe the data as rows: events");
  }

  // Columns: arm, then per source its number and (text only) whether there was anything, then
  // texts.
  std::string Select() const {
    std::string sql = "SELECT " + duckdb::QuoteName(arm_column_.name) + "::VARCHAR";
    for (const Source& source : sources_) {
      const std::string name = duckdb::QuoteName(source.column.name);
      sql += ", " + NumberSql(source.column) + ", coalesce(trim(" + name + "::VARCHAR), '') <> ''";
    }
    for (const std::string& text : texts_) sql += ", " + duckdb::QuoteName(text) + "::VARCHAR";
    sql += " FROM " + file_.relation;
    if (!plan_.population.cluster_attribute.empty()) {
      sql += " ORDER BY " + duckdb::QuoteName(plan_.population.cluster_attribute);
    }
    return sql;
  }

  // Why the row cannot be read, or "" with the numbers in `numbers_` (NaN = missing and allowed).
  std::string ReadNumbers(const duckdb::Chunk& chunk, int64_t row) {
    for (size_t s = 0; s < sources_.size(); ++s) {
      const int at = 1 + 2 * static_cast<int>(s);
      const std::string& name = sources_[s].column.name;
      numbers_[s] = std::numeric_limits<double>::quiet_NaN();
      if (!chunk.data<bool>(at + 1)[row]) {
        if (sources_[s].may_be_missing) continue;
        return name + ": missing";
      }
      if (chunk.is_null(at, row)) return name + ": not a number";
      numbers_[s] = chunk.data<double>(at)[row];
      if (!std::isfinite(numbers_[s])) return name + ": not a finite number";
    }
    return "";
  }

  void FillColumns() {
    for (size_t c = 0; c < plan_.columns.size(); ++c) {
      const Column& column = plan_.columns[c];
      const double number = numbers_[source_of_column_[c]];
      if (column.kind == ColumnKind::kHasPre) {
        row_[c] = std::isnan(number) ? 0 : 1;
      } else if (std::isnan(number)) {
        row_[c] = 0;
      } else if (column.kind == ColumnKind::kAtLeast) {
        row_[c] = number >= column.threshold ? 1 : 0;
      } else {
        row_[c] = number;
      }
    }
  }

  std::optional<std::string_view> Text(const duckdb::Chunk& chunk, const std::string& name,
                                       int64_t row) const {
    const int at = 1 + 2 * static_cast<int>(sources_.size()) + static_cast<int>(TextIndex(name));
    if (chunk.is_null(at, row)) return std::nullopt;
    return chunk.text(at, row);
  }

  bool Excluded(const duckdb::Chunk& chunk, int64_t row) const {
    const std::string& attribute = plan_.population.exclude_attribute;
    if (attribute.empty()) return false;
    const std::optional<std::string_view> text = Text(chunk, attribute, row);
    if (!text) return false;
    if (const std::optional<double> number = ParseDouble(*text)) return *number != 0;
    return IsTrue(Literal(std::string(*text)));
  }

  // Streams the file. `counting` also counts health.
  absl::Status ForEachRow(bool counting, const std::function<absl::Status(const UnitRow&)>& fn) {
    Health discarded;
    discarded.arms.resize(plan_.population.arms.size());
    Health* health = counting ? &result_.health : &discarded;
    health->arms.resize(plan_.population.arms.size());
    numbers_.resize(sources_.size());
    row_.resize(plan_.columns.size());
    std::vector<std::string> slices(plan_.slices.size());
    FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows, file_.connection.Stream(Select()));
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
      if (!chunk) return absl::OkStatus();
      for (int64_t i = 0; i < chunk.size(); ++i) {
        if (chunk.is_null(0, i)) {
          CountRejected(arm_column_.name + ": missing", health);
          continue;
        }
        const std::string_view arm_value = chunk.text(0, i);
        const int arm = arms_.Find(arm_value);
        if (arm < 0) {
          ArmMap::CountUnknown(arm_value, health);
          continue;
        }
        const std::string problem = ReadNumbers(chunk, i);
        if (!problem.empty()) {
          CountRejected(problem, health);
          continue;
        }
        ArmHealth& arm_health = health->arms[static_cast<size_t>(arm)];
        if (Excluded(chunk, i)) {
          ++arm_health.excluded_units;
          continue;
        }
        ++arm_health.units;
        ++arm_health.exposures;
        ++arm_health.units_by_phase[0];
        FillColumns();
        for (size_t s = 0; s < slices.size(); ++s) slices[s] = SliceText(chunk, s, i);
        UnitRow unit{arm, &row_, &slices, {}};
        if (!plan_.population.cluster_attribute.empty()) {
          unit.cluster = Text(chunk, plan_.population.cluster_attribute, i).value_or("");
        }
        FULCRUM_RETURN_IF_ERROR(fn(unit));
      }
    }
  }

  std::string SliceText(const duckdb::Chunk& chunk, size_t slice, int64_t row) const {
    std::string text;
    for (const std::string& attribute : plan_.slices[slice].attributes) {
      if (!text.empty()) text += kCompoundSeparator;
      text += Text(chunk, attribute, row).value_or(kAbsentSliceValue);
    }
    return text;
  }

  absl::Status FindCaps() {
    result_.cap_values.assign(plan_.columns.size(), std::numeric_limits<double>::infinity());
    std::vector<size_t> by_quantile;
    for (size_t c = 0; c < plan_.columns.size(); ++c) {
      if (!plan_.columns[c].cap) continue;
      if (plan_.columns[c].cap->value) result_.cap_values[c] = *plan_.columns[c].cap->value;
      if (plan_.columns[c].cap->quantile) by_quantile.push_back(c);
    }
    if (by_quantile.empty()) return absl::OkStatus();
    std::vector<std::vector<double>> values(plan_.columns.size());
    FULCRUM_RETURN_IF_ERROR(ForEachRow(false, [&](const UnitRow& row) {
      for (const size_t c : by_quantile) {
        const double value = (*row.columns)[c];
        if (value != 0 || plan_.columns[c].cap->include_zeros) values[c].push_back(value);
      }
      return absl::OkStatus();
    }));
    for (const size_t c : by_quantile) {
      if (values[c].empty()) continue;
      result_.cap_values[c] = std::min(result_.cap_values[c],
                                       QuantileType7(&values[c], *plan_.columns[c].cap->quantile));
    }
    return absl::OkStatus();
  }

  using Buffers = std::vector<GramBuffer>;  // [arm * groups + group]

  bool clustered() const { return Clustered(plan_.population); }

  Buffers NewBuffers() const {
    Buffers buffers;
    for (size_t i = 0; i < plan_.population.arms.size(); ++i) {
      for (const Group& group : plan_.groups) {
        buffers.emplace_back(group.columns.size() + (clustered() ? 1 : 0));
      }
    }
    return buffers;
  }

  // Rows of one cluster wait here until the next cluster begins.
  struct OpenCluster {
    std::map<std::pair<Buffers*, size_t>, std::vector<double>> sums;
    const Buffers* whole = nullptr;
    ClusterRows rows;  // Of the whole.
    void Flush() {
      for (auto& [where, values] : sums) {
        (*where.first)[where.second].Add(values);
        if (where.first == whole) rows.Add(where.second, values);
      }
      sums.clear();
    }
  };

  void AddTo(Buffers* buffers, const UnitRow& unit) {
    for (size_t g = 0; g < plan_.groups.size(); ++g) {
      const size_t at = static_cast<size_t>(unit.arm) * plan_.groups.size() + g;
      part_.clear();
      for (const int c : plan_.groups[g].columns) part_.push_back(row_[static_cast<size_t>(c)]);
      if (!clustered()) {
        (*buffers)[at].Add(part_);
        continue;
      }
      part_.push_back(1);
      std::vector<double>& sums = cluster_.sums[{buffers, at}];
      sums.resize(part_.size(), 0.0);
      for (size_t i = 0; i < part_.size(); ++i) sums[i] += part_[i];
    }
  }

  absl::Status AddRows() {
    whole_ = NewBuffers();
    cluster_.whole = &whole_;
    cluster_.rows = ClusterRows(whole_.size());
    slices_.resize(plan_.slices.size());
    quantile_values_.assign(plan_.quantiles.size(),
                            std::vector<std::vector<QuantileMember>>(plan_.population.arms.size()));
    std::string cluster;
    uint32_t cluster_number = 0;
    const absl::Status status = ForEachRow(true, [&](const UnitRow& unit) -> absl::Status {
      if (clustered() && (unit.cluster.empty() || unit.cluster != cluster)) {
        cluster_.Flush();
        cluster = unit.cluster;
        ++cluster_number;
      }
      for (size_t c = 0; c < row_.size(); ++c) row_[c] = std::min(row_[c], result_.cap_values[c]);
      AddTo(&whole_, unit);
      for (size_t s = 0; s < plan_.slices.size(); ++s) {
        const auto [it, added] = slices_[s].try_emplace((*unit.slices)[s]);
        if (added) it->second.buffers = NewBuffers();
        if (slices_[s].size() > kMaxSliceValues) {
          return InvalidArgument("slice \"" + plan_.slices[s].key + "\" has more than " +
                                 std::to_string(kMaxSliceValues) +
                                 " different values; slice by something coarser");
        }
        ++it->second.units;
        AddTo(&it->second.buffers, unit);
      }
      for (size_t q = 0; q < plan_.quantiles.size(); ++q) {
        const double value = row_[static_cast<size_t>(plan_.quantiles[q].column)];
        quantile_values_[q][static_cast<size_t>(unit.arm)].push_back({cluster_number, value});
      }
      return absl::OkStatus();
    });
    cluster_.Flush();
    return status;
  }

  void Emit(Buffers* buffers, int slice, const std::string& value) {
    for (size_t arm = 0; arm < plan_.population.arms.size(); ++arm) {
      for (size_t g = 0; g < plan_.groups.size(); ++g) {
        GramBuffer& buffer = (*buffers)[arm * plan_.groups.size() + g];
        if (slice >= 0 && buffer.empty()) continue;
        Cell cell;
        cell.arm = static_cast<int>(arm);
        cell.slice = slice;
        cell.slice_value = value;
        cell.group = static_cast<int>(g);
        cell.gram = buffer.Take();
        if (slice < 0 && clustered()) {
          cell.clusters = cluster_.rows.Take(arm * plan_.groups.size() + g);
        }
        result_.cells.push_back(std::move(cell));
      }
    }
  }

  void EmitCells() {
    Emit(&whole_, -1, "");
    for (size_t s = 0; s < slices_.size(); ++s) {
      std::vector<std::pair<std::string, int64_t>> counts;
      for (const auto& [value, slice] : slices_[s]) counts.emplace_back(value, slice.units);
      const std::vector<std::string> top = TopSliceValues(counts, plan_.slices[s].max_values);
      for (const std::string& value : top) {
        Emit(&slices_[s][value].buffers, static_cast<int>(s), value);
        slices_[s].erase(value);
      }
      if (slices_[s].empty()) continue;
      Buffers other = NewBuffers();
      for (auto& [value, slice] : slices_[s]) {
        for (size_t i = 0; i < other.size(); ++i) other[i].Merge(&slice.buffers[i]);
      }
      Emit(&other, static_cast<int>(s), std::string(kOtherSliceValue));
    }
  }

  void EmitQuantiles() {
    for (size_t q = 0; q < plan_.quantiles.size(); ++q) {
      for (size_t arm = 0; arm < plan_.population.arms.size(); ++arm) {
        QuantileResult result =
            MakeQuantile(std::move(quantile_values_[q][arm]), clustered(), plan_.quantiles[q]);
        result.quantile = static_cast<int>(q);
        result.arm = static_cast<int>(arm);
        result_.quantiles.push_back(result);
      }
    }
  }

  struct SliceRows {
    Buffers buffers;
    int64_t units = 0;
  };

  const FileSource& source_;
  const Plan& plan_;
  OpenedFile file_;
  ArmMap arms_;
  FileColumn arm_column_;
  std::vector<Source> sources_;
  std::vector<size_t> source_of_column_;
  std::vector<std::string> texts_;
  std::vector<double> numbers_;
  std::vector<double> row_;
  std::vector<double> part_;
  Buffers whole_;
  std::vector<std::map<std::string, SliceRows>> slices_;
  OpenCluster cluster_;
  std::vector<std::vector<std::vector<QuantileMember>>> quantile_values_;  // [quantile][arm]
  PlanResult result_;
};

}  // namespace

absl::StatusOr<PlanResult> RunOnUnitRows(const FileSource& source, const Plan& plan) {
  return UnitRows(source, plan).Run();
}

}  // namespace fulcrum::store
