// SPDX-License-Identifier: Apache-2.0
//
// Exposures out of the database, and the facts of data quality.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "base/status.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr int kMaxNamedUnknowns = 20;

std::string OfExperiment(const Scope& scope) {
  return " AND experiment = " + std::to_string(scope.experiment);
}

std::string OfPopulation(const Plan& plan, const Scope& scope) {
  std::string sql = OfExperiment(scope) + " AND kind = " + std::to_string(scope.kind);
  const Population& population = plan.population;
  if (population.from_ms != std::numeric_limits<int64_t>::min()) {
    sql += " AND ts_ms >= " + std::to_string(population.from_ms);
  }
  if (population.to_ms != std::numeric_limits<int64_t>::max()) {
    sql += " AND ts_ms < " + std::to_string(population.to_ms);
  }
  return sql;
}

// Variant code -> arm, -1 = unknown.
class ArmCodes {
 public:
  absl::Status Load(duckdb::Connection& connection, const Plan& plan) {
    std::vector<std::string> keys;
    for (const Arm& arm : plan.population.arms) keys.push_back(arm.key);
    FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> codes,
                             CodesOf(connection, "variants", keys));
    for (size_t arm = 0; arm < codes.size(); ++arm) {
      if (codes[arm] < 0) continue;
      if (static_cast<size_t>(codes[arm]) >= arms_.size()) {
        arms_.resize(static_cast<size_t>(codes[arm]) + 1, -1);
      }
      arms_[static_cast<size_t>(codes[arm])] = static_cast<int32_t>(arm);
    }
    return absl::OkStatus();
  }
  int32_t Find(int32_t variant) const {
    const auto index = static_cast<size_t>(variant);
    return index < arms_.size() ? arms_[index] : -1;
  }

 private:
  std::vector<int32_t> arms_;
};

HealthCounts::Variant& VariantOf(int32_t code, HealthCounts* counts) {
  const auto index = static_cast<size_t>(code);
  if (index >= counts->variants.size()) counts->variants.resize(index + 1);
  return counts->variants[index];
}

// One attribute of one exposure as it is in the database.
struct RawAttribute {
  enum Type : uint64_t { kAbsent, kNumber, kText, kBoolean };
  Type type = kAbsent;
  uint64_t bits = 0;
  bool operator==(const RawAttribute& other) const {
    return type == other.type && bits == other.bits;
  }
};

// One attribute of the exposures, as codes of the fold's dictionary.
class AttributeReader {
 public:
  absl::Status Open(duckdb::Connection& connection, const std::string& key,
                    const std::string& from_where, Fold* fold) {
    FULCRUM_ASSIGN_OR_RETURN(columns_, FindProperty(connection, kScopeExposure, key));
    false_ = fold->dictionary().Code(Literal(false));
    true_ = fold->dictionary().Code(Literal(true));
    if (columns_.text.empty()) return absl::OkStatus();
    FULCRUM_ASSIGN_OR_RETURN(duckdb::Result texts,
                             connection.Stream("SELECT id, text FROM strings WHERE id IN (SELECT " +
                                               columns_.text + " " + from_where + ")"));
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, texts.Next());
      if (!chunk) return absl::OkStatus();
      for (int64_t row = 0; row < chunk.size(); ++row) {
        texts_[chunk.data<int32_t>(0)[row]] =
            fold->dictionary().Code(Literal(std::string(chunk.text(1, row))));
      }
    }
  }

  // Appends its columns to a select list whose next column is number `at`.
  std::string Select(int at) {
    std::string sql;
    for (const auto& [name, index] : {std::pair{&columns_.number, &number_},
                                      {&columns_.text, &text_},
                                      {&columns_.boolean, &boolean_}}) {
      if (name->empty()) continue;
      sql += ", " + *name;
      *index = at++;
    }
    return sql;
  }
  int columns() const { return (number_ >= 0) + (text_ >= 0) + (boolean_ >= 0); }

  // Thread-safe.
  void Read(const duckdb::ChunkView& chunk, std::vector<RawAttribute>* raw) const {
    const int64_t size = chunk.size();
    raw->assign(static_cast<size_t>(size), RawAttribute());
    for (int64_t row = 0; row < size; ++row) {
      RawAttribute& of = (*raw)[static_cast<size_t>(row)];
      if (number_ >= 0 && !chunk.is_null(number_, row)) {
        of.type = RawAttribute::kNumber;
        std::memcpy(&of.bits, &chunk.data<double>(number_)[row], sizeof of.bits);
      } else if (text_ >= 0 && !chunk.is_null(text_, row)) {
        of = {RawAttribute::kText, static_cast<uint32_t>(chunk.data<int32_t>(text_)[row])};
      } else if (boolean_ >= 0 && !chunk.is_null(boolean_, row)) {
        of = {RawAttribute::kBoolean, chunk.data<bool>(boolean_)[row] ? uint64_t{1} : 0};
      }
    }
  }

  void Code(const std::vector<RawAttribute>& raw, Fold* fold, std::vector<uint32_t>* codes) {
    codes->resize(raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
      if (!(raw[i] == last_)) {
        last_ = raw[i];
        last_code_ = CodeOf(raw[i], fold);
      }
      (*codes)[i] = last_code_;
    }
  }

 private:
  uint32_t CodeOf(const RawAttribute& raw, Fold* fold) {
    if (raw.type == RawAttribute::kAbsent) return 0;
    if (raw.type == RawAttribute::kBoolean) return raw.bits != 0 ? true_ : false_;
    if (raw.type == RawAttribute::kText) {
      const auto it = texts_.find(static_cast<int32_t>(raw.bits));
      return it == texts_.end() ? 0 : it->second;
    }
    uint32_t& code = numbers_[raw.bits];
    double number = 0;
    std::memcpy(&number, &raw.bits, sizeof number);
    if (code == 0) code = fold->dictionary().Code(Literal(number));
    return code;
  }

  TypedColumns columns_;
  int number_ = -1, text_ = -1, boolean_ = -1;
  uint32_t false_ = 0, true_ = 0;
  absl::flat_hash_map<uint64_t, uint32_t> numbers_;
  absl::flat_hash_map<int32_t, uint32_t> texts_;
  RawAttribute last_;
  uint32_t last_code_ = 0;
};

// A chunk of exposures, kept until its turn comes: the threads that read them are not in step, and
// units are numbered in the order in which they came.
struct ExposureRows {
  std::vector<int32_t> unit, variant, phase;
  std::vector<int64_t> ts_ms, sequence;
  std::vector<std::vector<RawAttribute>> attributes;
};

class ExposureSink : public duckdb::RowSink {
 public:
  explicit ExposureSink(const std::vector<AttributeReader>& attributes) : attributes_(attributes) {}
  void AddRows(const duckdb::ChunkView& rows, int worker) override {
    ExposureRows& to = parts_[static_cast<size_t>(worker)].emplace_back();
    const auto copy = [&](auto* vector, int column) {
      using T = typename std::remove_reference_t<decltype(*vector)>::value_type;
      const T* data = rows.data<T>(column);
      vector->assign(data, data + rows.size());
    };
    copy(&to.unit, 0);
    copy(&to.variant, 1);
    copy(&to.phase, 2);
    copy(&to.ts_ms, 3);
    copy(&to.sequence, 4);
    to.attributes.resize(attributes_.size());
    for (size_t a = 0; a < attributes_.size(); ++a) attributes_[a].Read(rows, &to.attributes[a]);
  }
  std::vector<ExposureRows> TakeInOrder() {
    std::vector<ExposureRows> all;
    for (std::vector<ExposureRows>& part : parts_) {
      for (ExposureRows& rows : part) all.push_back(std::move(rows));
    }
    std::sort(all.begin(), all.end(), [](const ExposureRows& a, const ExposureRows& b) {
      return a.sequence.front() < b.sequence.front();
    });
    return all;
  }

 private:
  const std::vector<AttributeReader>& attributes_;
  std::array<std::vector<ExposureRows>, kMaxWorkers> parts_;
};

// Exposure rows of each variant, and when they were.
class VariantCounts : public duckdb::RowSink {
 public:
  using Count = HealthCounts::Variant;
  void AddRows(const duckdb::ChunkView& rows, int worker) override {
    std::vector<Count>& counts = parts_[static_cast<size_t>(worker)];
    const auto* variant = rows.data<int32_t>(0);
    const auto* ts_ms = rows.data<int64_t>(1);
    for (int64_t row = 0; row < rows.size(); ++row) {
      const auto v = static_cast<size_t>(variant[row]);
      if (v >= counts.size()) counts.resize(v + 1);
      ++counts[v].rows;
      counts[v].first_ms = std::min(counts[v].first_ms, ts_ms[row]);
      counts[v].last_ms = std::max(counts[v].last_ms, ts_ms[row]);
    }
  }
  void AddTo(HealthCounts* total) const {
    for (const std::vector<Count>& part : parts_) {
      for (size_t v = 0; v < part.size(); ++v) {
        Count& of = VariantOf(static_cast<int32_t>(v), total);
        of.rows += part[v].rows;
        of.first_ms = std::min(of.first_ms, part[v].first_ms);
        of.last_ms = std::max(of.last_ms, part[v].last_ms);
      }
    }
  }

 private:
  std::array<std::vector<Count>, kMaxWorkers> parts_;
};

// The variant that units were first shown in another experiment, as codes of the fold's dictionary.
class OtherVariants {
 public:
  absl::Status Open(duckdb::Connection& connection, const std::string& experiment,
                    const Scope& scope, Fold* fold) {
    FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> codes,
                             CodesOf(connection, "experiments", {experiment}));
    if (codes.front() < 0) return absl::OkStatus();
    FULCRUM_ASSIGN_OR_RETURN(
        duckdb::Result rows,
        connection.Stream("SELECT f.unit, f.ts_ms, f.seq, v.text FROM first_exposures f JOIN "
                          "variants v ON v.id = f.variant" +
                          scope.Where() + " AND experiment = " + std::to_string(codes.front()) +
                          " AND kind = " + std::to_string(scope.kind)));
    std::vector<std::pair<int64_t, int64_t>> first;  // Time and order of arrival.
    while (true) {
      FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
      if (!chunk) return absl::OkStatus();
      for (int64_t row = 0; row < chunk.size(); ++row) {
        const auto unit = static_cast<size_t>(chunk.data<int32_t>(0)[row]);
        const std::pair<int64_t, int64_t> at{chunk.data<int64_t>(1)[row],
                                             chunk.data<int64_t>(2)[row]};
        if (unit >= of_unit_.size()) {
          of_unit_.resize(unit + 1, 0);
          first.resize(unit + 1);
        }
        if (of_unit_[unit] != 0 && first[unit] <= at) continue;
        first[unit] = at;
        of_unit_[unit] = fold->dictionary().Code(Literal(std::string(chunk.text(3, row))));
      }
    }
  }

  const uint32_t* Read(const int32_t* units, size_t size) {
    codes_.resize(size);
    for (size_t i = 0; i < size; ++i) {
      const auto unit = static_cast<size_t>(units[i]);
      codes_[i] = unit < of_unit_.size() ? of_unit_[unit] : 0;
    }
    return codes_.data();
  }

 private:
  std::vector<uint32_t> of_unit_;  // By dense id; 0 = in none.
  std::vector<uint32_t> codes_;
};

}  // namespace

absl::Status ScanExposures(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                           int64_t fresh_from, Fold* fold, UnitNumbers* numbers,
                           std::vector<uint32_t>* fresh) {
  ArmCodes arms;
  FULCRUM_RETURN_IF_ERROR(arms.Load(connection, plan));
  FULCRUM_ASSIGN_OR_RETURN(
      const int64_t units,
      connection.QueryInt("SELECT coalesce(max(id) + 1, 0) FROM units WHERE kind = $1",
                          {int32_t{scope.kind}}));
  if (static_cast<size_t>(units) > numbers->size()) {
    if (numbers->empty()) numbers->reserve(static_cast<size_t>(units + units / 8));
    numbers->resize(static_cast<size_t>(units), kNoUnit);
  }
  // first_exposures has no second exposure of a unit whose first is cut off by from_ms.
  const bool from_start = plan.population.from_ms == std::numeric_limits<int64_t>::min();
  const auto from = [&](const Scope& rows) {
    return std::string("FROM ") + (from_start ? "first_exposures" : "exposure_rows") +
           rows.Where() + OfPopulation(plan, rows);
  };
  std::vector<AttributeReader> attributes(fold->needs().attributes.size());
  std::vector<std::optional<OtherVariants>> others(attributes.size());
  std::string columns = "unit, variant, phase, ts_ms, seq";
  int at = 5;
  for (size_t a = 0; a < attributes.size(); ++a) {
    const std::string other = OtherExperiment(fold->needs().attributes[a]);
    if (!other.empty()) {
      FULCRUM_RETURN_IF_ERROR(others[a].emplace().Open(connection, other, scope, fold));
      continue;
    }
    FULCRUM_RETURN_IF_ERROR(
        attributes[a].Open(connection, fold->needs().attributes[a], from(scope), fold));
    columns += attributes[a].Select(at);
    at += attributes[a].columns();
  }
  std::vector<uint32_t> unit;
  std::vector<int32_t> arm;
  std::vector<std::vector<uint32_t>> codes(attributes.size());
  auto next = static_cast<uint32_t>(fold->units());
  const auto add = [&](const ExposureRows& rows) {
    const size_t size = rows.unit.size();
    unit.resize(size);
    arm.resize(size);
    for (size_t i = 0; i < size; ++i) {
      arm[i] = arms.Find(rows.variant[i]);
      // A unit that the scope's end let in may be newer than the dictionary that was read.
      const auto id = static_cast<size_t>(rows.unit[i]);
      if (id >= numbers->size()) numbers->resize(id + 1, kNoUnit);
      uint32_t& number = (*numbers)[id];
      if (number == kNoUnit && arm[i] >= 0) {
        number = next++;
        if (rows.unit[i] >= fresh_from) fresh->push_back(number);
      }
      unit[i] = number;
    }
    ExposureBatch batch;
    batch.size = size;
    batch.unit = unit.data();
    batch.arm = arm.data();
    batch.phase = rows.phase.data();
    batch.ts_ms = rows.ts_ms.data();
    batch.sequence = rows.sequence.data();
    for (size_t a = 0; a < attributes.size(); ++a) {
      if (others[a]) {
        batch.attributes.push_back(others[a]->Read(rows.unit.data(), size));
        continue;
      }
      attributes[a].Code(rows.attributes[a], fold, &codes[a]);
      batch.attributes.push_back(codes[a].data());
    }
    fold->AddExposures(batch);
  };
  // A stretch of the history at a time: its rows are kept until all of them are there.
  constexpr int64_t kStretch = 8 << 20;
  for (int64_t seq = scope.begin_seq; seq < scope.end_seq; seq += kStretch) {
    const Scope stretch = scope.Between(seq, std::min(scope.end_seq, seq + kStretch));
    ExposureSink sink(attributes);
    FULCRUM_RETURN_IF_ERROR(connection.ScanInto(columns, from(stretch), &sink).status());
    for (const ExposureRows& rows : sink.TakeInOrder()) add(rows);
  }
  return absl::OkStatus();
}

namespace {

// The most frequent ones by name.
absl::Status NameUnknown(duckdb::Connection& connection,
                         std::vector<std::pair<double, int32_t>> unknown, Health* health) {
  std::sort(unknown.rbegin(), unknown.rend());
  if (unknown.size() > kMaxNamedUnknowns) unknown.resize(kMaxNamedUnknowns);
  for (const auto& [count, variant] : unknown) {
    FULCRUM_ASSIGN_OR_RETURN(
        const std::string name,
        connection.QueryText("SELECT text FROM variants WHERE id = $1", {variant}));
    health->unknown_variants[name] = count;
  }
  return absl::OkStatus();
}

absl::Status AddDuplicates(duckdb::Connection& connection, const Scope& scope,
                           HealthCounts* counts) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result rows,
      connection.Query("SELECT scope, coalesce(experiment, -1), coalesce(variant, -1), "
                       "count(*)::DOUBLE FROM duplicates" +
                       scope.Where() + " GROUP BY ALL"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const double count = chunk.data<double>(3)[row];
      if (chunk.data<int32_t>(0)[row] == kScopeEvent) {
        counts->duplicate_events += count;
      } else if (scope.experiment >= 0 && chunk.data<int32_t>(1)[row] == scope.experiment) {
        counts->duplicate_exposures += count;
        const int32_t variant = chunk.data<int32_t>(2)[row];
        if (variant >= 0) VariantOf(variant, counts).repeated += count;
      }
    }
  }
}

absl::Status AddClientCounts(duckdb::Connection& connection, const Scope& scope,
                             HealthCounts* counts) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result rows,
      connection.Query("SELECT variant, sum(assigned)::DOUBLE, sum(shown)::DOUBLE, "
                       "sum(sent)::DOUBLE, sum(dropped)::DOUBLE FROM client_count_rows" +
                       scope.Where() + OfExperiment(scope) + " GROUP BY variant"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      HealthCounts::Variant& of = VariantOf(chunk.data<int32_t>(0)[row], counts);
      of.assigned += chunk.data<double>(1)[row];
      of.shown += chunk.data<double>(2)[row];
      of.sent += chunk.data<double>(3)[row];
      of.dropped += chunk.data<double>(4)[row];
    }
  }
}

}  // namespace

absl::Status AddHealth(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                       HealthCounts* counts) {
  FULCRUM_RETURN_IF_ERROR(AddDuplicates(connection, scope, counts));
  if (scope.experiment < 0) return absl::OkStatus();
  FULCRUM_RETURN_IF_ERROR(AddClientCounts(connection, scope, counts));
  if (scope.kind < 0) return absl::OkStatus();
  VariantCounts rows;
  FULCRUM_RETURN_IF_ERROR(
      connection
          .ScanInto("variant, ts_ms",
                    "FROM exposure_rows" + scope.Where() + OfPopulation(plan, scope), &rows)
          .status());
  rows.AddTo(counts);
  return absl::OkStatus();
}

absl::Status TellHealth(duckdb::Connection& connection, const Plan& plan,
                        const HealthCounts& counts, Health* health) {
  ArmCodes arms;
  FULCRUM_RETURN_IF_ERROR(arms.Load(connection, plan));
  health->duplicate_events = counts.duplicate_events;
  health->duplicate_exposures = counts.duplicate_exposures;
  std::vector<std::pair<double, int32_t>> unknown;
  for (size_t v = 0; v < counts.variants.size(); ++v) {
    const HealthCounts::Variant& of = counts.variants[v];
    const int32_t arm = arms.Find(static_cast<int32_t>(v));
    if (arm < 0) {
      if (of.rows > 0) unknown.emplace_back(of.rows, static_cast<int32_t>(v));
      health->unknown_variant_exposures += of.rows;
      continue;
    }
    ArmHealth& to = health->arms[static_cast<size_t>(arm)];
    to.exposures = of.rows + of.repeated;
    to.client_assigned = of.assigned;
    to.client_shown = of.shown;
    to.client_sent = of.sent;
    to.client_dropped = of.dropped;
    if (of.rows == 0) continue;
    if (health->first_exposure_ms == 0 || of.first_ms < health->first_exposure_ms) {
      health->first_exposure_ms = of.first_ms;
    }
    health->last_exposure_ms = std::max(health->last_exposure_ms, of.last_ms);
  }
  return NameUnknown(connection, std::move(unknown), health);
}

}  // namespace fulcrum::store
