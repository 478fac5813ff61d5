// SPDX-License-Identifier: Apache-2.0
//
// Exposures out of the database, and the facts of data quality.
#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

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
                                               columns_.text + from_where + ")"));
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

  const uint32_t* Read(const duckdb::Chunk& chunk, Fold* fold) {
    const int64_t size = chunk.size();
    codes_.assign(static_cast<size_t>(size), 0);
    for (int64_t row = 0; row < size; ++row) {
      uint32_t& code = codes_[static_cast<size_t>(row)];
      if (number_ >= 0 && !chunk.is_null(number_, row)) {
        code = NumberCode(chunk.data<double>(number_)[row], fold);
      } else if (text_ >= 0 && !chunk.is_null(text_, row)) {
        code = TextCode(chunk.data<int32_t>(text_)[row]);
      } else if (boolean_ >= 0 && !chunk.is_null(boolean_, row)) {
        code = chunk.data<bool>(boolean_)[row] ? true_ : false_;
      }
    }
    return codes_.data();
  }

 private:
  uint32_t NumberCode(double number, Fold* fold) {
    uint64_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    uint32_t& code = numbers_[bits];
    if (code == 0) code = fold->dictionary().Code(Literal(number));
    return code;
  }
  uint32_t TextCode(int32_t id) {
    if (id == last_text_) return last_code_;
    last_text_ = id;
    const auto it = texts_.find(id);
    last_code_ = it == texts_.end() ? 0 : it->second;
    return last_code_;
  }

  TypedColumns columns_;
  int number_ = -1, text_ = -1, boolean_ = -1;
  uint32_t false_ = 0, true_ = 0;
  absl::flat_hash_map<uint64_t, uint32_t> numbers_;
  absl::flat_hash_map<int32_t, uint32_t> texts_;
  int32_t last_text_ = -1;
  uint32_t last_code_ = 0;
  std::vector<uint32_t> codes_;
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
                           Fold* fold, UnitNumbers* numbers) {
  ArmCodes arms;
  FULCRUM_RETURN_IF_ERROR(arms.Load(connection, plan));
  FULCRUM_ASSIGN_OR_RETURN(
      const int64_t units,
      connection.QueryInt("SELECT coalesce(max(id) + 1, 0) FROM units WHERE kind = $1",
                          {int32_t{scope.kind}}));
  numbers->assign(static_cast<size_t>(units), kNoUnit);
  // first_exposures has no second exposure of a unit whose first is cut off by from_ms.
  const bool from_start = plan.population.from_ms == std::numeric_limits<int64_t>::min();
  const std::string from_where = std::string(" FROM ") +
                                 (from_start ? "first_exposures" : "exposure_rows") +
                                 scope.Where() + OfPopulation(plan, scope);
  std::vector<AttributeReader> attributes(fold->needs().attributes.size());
  std::vector<std::optional<OtherVariants>> others(attributes.size());
  std::string sql = "SELECT unit, variant, phase, ts_ms, seq";
  int at = 5;
  for (size_t a = 0; a < attributes.size(); ++a) {
    const std::string other = OtherExperiment(fold->needs().attributes[a]);
    if (!other.empty()) {
      FULCRUM_RETURN_IF_ERROR(others[a].emplace().Open(connection, other, scope, fold));
      continue;
    }
    FULCRUM_RETURN_IF_ERROR(
        attributes[a].Open(connection, fold->needs().attributes[a], from_where, fold));
    sql += attributes[a].Select(at);
    at += attributes[a].columns();
  }
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result rows, connection.Stream(sql + from_where));
  std::vector<uint32_t> unit;
  std::vector<int32_t> arm;
  uint32_t next = 0;
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    const auto size = static_cast<size_t>(chunk.size());
    unit.resize(size);
    arm.resize(size);
    const auto* ids = chunk.data<int32_t>(0);
    const auto* variants = chunk.data<int32_t>(1);
    for (size_t i = 0; i < size; ++i) {
      arm[i] = arms.Find(variants[i]);
      // A unit that the scope's end let in may be newer than the dictionary that was read.
      const auto id = static_cast<size_t>(ids[i]);
      if (id >= numbers->size()) numbers->resize(id + 1, kNoUnit);
      uint32_t& number = (*numbers)[id];
      if (number == kNoUnit && arm[i] >= 0) number = next++;
      unit[i] = number;
    }
    ExposureBatch batch;
    batch.size = size;
    batch.unit = unit.data();
    batch.arm = arm.data();
    batch.phase = chunk.data<int32_t>(2);
    batch.ts_ms = chunk.data<int64_t>(3);
    batch.sequence = chunk.data<int64_t>(4);
    for (size_t a = 0; a < attributes.size(); ++a) {
      batch.attributes.push_back(others[a] ? others[a]->Read(ids, size)
                                           : attributes[a].Read(chunk, fold));
    }
    fold->AddExposures(batch);
  }
}

namespace {

absl::Status ReadExposureCounts(duckdb::Connection& connection, const Plan& plan,
                                const Scope& scope, const ArmCodes& arms, Health* health) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result rows,
      connection.Query("SELECT r.variant, v.text, r.n, r.first, r.last FROM (SELECT variant, "
                       "count(*)::DOUBLE AS n, min(ts_ms) AS first, max(ts_ms) AS last "
                       "FROM exposure_rows" +
                       scope.Where() + OfPopulation(plan, scope) +
                       " GROUP BY variant) r JOIN variants v ON v.id = r.variant "
                       "ORDER BY r.n DESC, v.text"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const int32_t arm = arms.Find(chunk.data<int32_t>(0)[row]);
      const double count = chunk.data<double>(2)[row];
      if (arm < 0) {
        health->unknown_variant_exposures += count;
        if (health->unknown_variants.size() < kMaxNamedUnknowns) {
          health->unknown_variants[std::string(chunk.text(1, row))] = count;
        }
        continue;
      }
      health->arms[static_cast<size_t>(arm)].exposures += count;
      const int64_t first_ms = chunk.data<int64_t>(3)[row];
      if (health->first_exposure_ms == 0 || first_ms < health->first_exposure_ms) {
        health->first_exposure_ms = first_ms;
      }
      health->last_exposure_ms = std::max(health->last_exposure_ms, chunk.data<int64_t>(4)[row]);
    }
  }
}

absl::Status ReadDuplicates(duckdb::Connection& connection, const Scope& scope,
                            const ArmCodes& arms, Health* health) {
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
        health->duplicate_events += count;
      } else if (scope.experiment >= 0 && chunk.data<int32_t>(1)[row] == scope.experiment) {
        health->duplicate_exposures += count;
        const int32_t arm = arms.Find(chunk.data<int32_t>(2)[row]);
        if (arm >= 0) health->arms[static_cast<size_t>(arm)].exposures += count;
      }
    }
  }
}

absl::Status ReadClientCounts(duckdb::Connection& connection, const Scope& scope,
                              const ArmCodes& arms, Health* health) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result rows,
      connection.Query("SELECT variant, sum(assigned)::DOUBLE, sum(shown)::DOUBLE, "
                       "sum(sent)::DOUBLE, sum(dropped)::DOUBLE FROM client_count_rows" +
                       scope.Where() + OfExperiment(scope) + " GROUP BY variant"));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, rows.Next());
    if (!chunk) return absl::OkStatus();
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const int32_t arm = arms.Find(chunk.data<int32_t>(0)[row]);
      if (arm < 0) continue;
      ArmHealth& of = health->arms[static_cast<size_t>(arm)];
      of.client_assigned = chunk.data<double>(1)[row];
      of.client_shown = chunk.data<double>(2)[row];
      of.client_sent = chunk.data<double>(3)[row];
      of.client_dropped = chunk.data<double>(4)[row];
    }
  }
}

}  // namespace

absl::Status ReadHealth(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
                        Health* health) {
  ArmCodes arms;
  FULCRUM_RETURN_IF_ERROR(arms.Load(connection, plan));
  FULCRUM_RETURN_IF_ERROR(ReadDuplicates(connection, scope, arms, health));
  if (scope.experiment < 0) return absl::OkStatus();
  FULCRUM_RETURN_IF_ERROR(ReadClientCounts(connection, scope, arms, health));
  if (scope.kind < 0) return absl::OkStatus();
  return ReadExposureCounts(connection, plan, scope, arms, health);
}

}  // namespace fulcrum::store
