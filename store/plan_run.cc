// SPDX-License-Identifier: Apache-2.0
#include "store/plan_run.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/text.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {
namespace {

constexpr int64_t kOpen = std::numeric_limits<int64_t>::max();

// How a run keeps to its memory limit.
struct MemoryPlan {
  bool spills = false;
  int64_t pass_units = 0;   // Whose state is in memory at once.
  int64_t round_bytes = 0;  // Of events on their way to the fold.
};

absl::StatusOr<MemoryPlan> PlanMemory(const Fold& fold, int64_t units, int64_t limit_bytes) {
  constexpr int64_t kLeastRound = 48LL << 20;
  constexpr int64_t kMostRound = 512LL << 20;
  MemoryPlan memory;
  memory.pass_units = units;
  const int64_t state = fold.EstimateStateBytes(units);
  const int64_t rest = fold.EstimateBytes(units) - state;
  if (rest + state <= limit_bytes) {
    // Half of the state: then a round's sweep over it costs less than the round's own events.
    memory.round_bytes =
        std::clamp(std::min(state / 2, limit_bytes - rest - state), kLeastRound, kMostRound);
    return memory;
  }
  const int64_t one = std::max<int64_t>(fold.EstimateStateBytes(1), 1);
  if (rest + one > limit_bytes) {
    return absl::ResourceExhaustedError(
        "the report needs " + std::to_string(((rest + one) >> 20) + 1) +
        " MiB for the exposures of " + std::to_string(units) + " units and may take " +
        std::to_string(limit_bytes >> 20) +
        " MiB; raise the memory limit, or ask for fewer slices at once");
  }
  memory.spills = true;
  memory.pass_units = (limit_bytes - rest) / one * 3 / 4;
  memory.pass_units = std::clamp<int64_t>(memory.pass_units, 1, units);
  memory.round_bytes =
      std::clamp(limit_bytes - rest - memory.pass_units * one, kLeastRound / 4, kMostRound);
  return memory;
}

// What a run that goes on says when it must begin anew.
absl::Status NoLongerFits() { return absl::OutOfRangeError("the kept state no longer fits"); }

constexpr const char* kTables[] = {"event_rows", "exposure_rows", "link_rows", "duplicates",
                                   "client_count_rows"};

// One number over all tables that hold what arrived.
absl::StatusOr<int64_t> OverTables(duckdb::Connection& connection, const std::string& outer,
                                   const std::string& inner, const std::string& where) {
  std::string sql = "SELECT coalesce(" + outer + ", 0)::BIGINT FROM (";
  const char* separator = "";
  for (const char* table : kTables) {
    sql += separator + ("SELECT " + inner + " AS one FROM ") + table + where;
    separator = " UNION ALL ";
  }
  return connection.QueryInt(sql + ")");
}

// The latest arrival that the as-of lets in.
absl::StatusOr<int64_t> LastReceived(duckdb::Connection& connection, const Scope& scope) {
  if (scope.as_of_ms >= scope.received_ms) return scope.received_ms;
  return OverTables(connection, "max(one)", "max(received_ms)", scope.Where());
}

// What arrived is nearly always in order of its time, so an as-of is a sequence number: then no row
// needs to be asked when it came, and a kept state can go on to there.
absl::Status Trim(duckdb::Connection& connection, Scope* scope) {
  if (scope->complete()) return absl::OkStatus();
  const std::string as_of = std::to_string(scope->as_of_ms);
  FULCRUM_ASSIGN_OR_RETURN(
      const int64_t end,
      OverTables(connection, "min(one)", "min(seq)",
                 " WHERE seq < " + std::to_string(scope->end_seq) + " AND received_ms > " + as_of));
  if (end <= 0) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(
      const int64_t stragglers,
      OverTables(connection, "sum(one)", "count(*)",
                 " WHERE seq >= " + std::to_string(end) + " AND seq < " +
                     std::to_string(scope->end_seq) + " AND received_ms <= " + as_of));
  if (stragglers > 0) return absl::OkStatus();
  FULCRUM_ASSIGN_OR_RETURN(
      const int64_t received_ms,
      OverTables(connection, "max(one)", "max(received_ms)", scope->Between(0, end).Where()));
  scope->end_seq = end;
  scope->received_ms = received_ms;
  return absl::OkStatus();
}

}  // namespace

Scope Scope::Between(int64_t begin, int64_t end) const {
  Scope scope = *this;
  scope.begin_seq = begin;
  scope.end_seq = end;
  return scope;
}

std::string Scope::Where() const {
  std::string sql = " WHERE seq < " + std::to_string(end_seq);
  if (begin_seq > 0) sql += " AND seq >= " + std::to_string(begin_seq);
  if (as_of_ms < received_ms) sql += " AND received_ms <= " + std::to_string(as_of_ms);
  return sql;
}

absl::StatusOr<std::vector<int32_t>> CodesOf(duckdb::Connection& connection,
                                             const std::string& table,
                                             const std::vector<std::string>& texts) {
  std::vector<int32_t> codes(texts.size(), -1);
  if (texts.empty()) return codes;
  std::string sql = "SELECT id, text FROM " + table + " WHERE text IN (";
  duckdb::Params params;
  for (size_t i = 0; i < texts.size(); ++i) {
    sql += (i > 0 ? ", $" : "$") + std::to_string(i + 1);
    params.emplace_back(std::string_view(texts[i]));
  }
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result, connection.Query(sql + ")", params));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return codes;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const auto it = std::find(texts.begin(), texts.end(), chunk.text(1, row));
      codes[static_cast<size_t>(it - texts.begin())] = chunk.data<int32_t>(0)[row];
    }
  }
}

namespace {

// Values of keys that came after the first kMaxProperties are not in columns. Read as absent they
// would make a wrong number out of nothing, so such a key is refused by name.
absl::Status RefuseKeyWithoutColumn(duckdb::Connection& connection, int scope,
                                    const std::string& key) {
  const absl::StatusOr<int64_t> keys =
      connection.QueryInt("SELECT count(*) FROM properties WHERE scope = $1", {int32_t{scope}});
  FULCRUM_RETURN_IF_ERROR(keys.status());
  if (*keys < kMaxProperties) return absl::OkStatus();
  std::string written;
  AppendJsonString(key, &written);
  const bool event = scope == kScopeEvent;
  const absl::StatusOr<int64_t> rows =
      connection.QueryInt(std::string("SELECT count(*) FROM (SELECT 1 FROM ") +
                              (event ? "event_rows" : "exposure_rows") +
                              " WHERE extra IS NOT NULL AND contains(extra, $1) LIMIT 1)",
                          {std::string_view(written + ":")});
  FULCRUM_RETURN_IF_ERROR(rows.status());
  if (*rows == 0) return absl::OkStatus();
  return FailedPrecondition(
      std::string(event ? "event property \"" : "attribute \"") + key + "\" came after " +
      std::to_string(kMaxProperties) +
      " others, so it has no column and a report cannot read it; send fewer different keys, or "
      "export the data, leave out columns that nobody needs and import it into a new directory");
}

}  // namespace

absl::StatusOr<TypedColumns> FindProperty(duckdb::Connection& connection, int scope,
                                          const std::string& key) {
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result result,
      connection.Query("SELECT id, has_number, has_text, has_bool FROM properties "
                       "WHERE scope = $1 AND key = $2",
                       {int32_t{scope}, std::string_view(key)}));
  FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
  TypedColumns columns;
  if (!chunk) {
    FULCRUM_RETURN_IF_ERROR(RefuseKeyWithoutColumn(connection, scope, key));
    return columns;
  }
  const int32_t id = chunk.data<int32_t>(0)[0];
  if (chunk.data<bool>(1)[0]) columns.number = NumberColumn(id);
  if (chunk.data<bool>(2)[0]) columns.text = TextColumn(id);
  if (chunk.data<bool>(3)[0]) columns.boolean = BoolColumn(id);
  return columns;
}

absl::StatusOr<Scope> MakeScope(duckdb::Connection& connection, const Plan& plan) {
  Scope scope;
  {
    FULCRUM_ASSIGN_OR_RETURN(duckdb::Result result,
                             connection.Query("SELECT next_seq, received_ms FROM watermark"));
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, result.Next());
    if (!chunk) return Internal("the database has no watermark; it was not made by this program");
    scope.end_seq = chunk.data<int64_t>(0)[0];
    scope.received_ms = chunk.data<int64_t>(1)[0];
  }
  scope.as_of_ms = plan.as_of_ms;
  if (!plan.population.active_units) {
    FULCRUM_ASSIGN_OR_RETURN(const std::vector<int32_t> experiment,
                             CodesOf(connection, "experiments", {plan.population.experiment}));
    scope.experiment = experiment[0];
  }
  const absl::StatusOr<int64_t> kind = connection.QueryInt(
      "SELECT code FROM unit_kinds WHERE kind = $1", {std::string_view(plan.population.unit_kind)});
  if (kind.ok()) {
    scope.kind = static_cast<int32_t>(*kind);
  } else if (!absl::IsNotFound(kind.status())) {
    return kind.status();
  }
  FULCRUM_ASSIGN_OR_RETURN(const duckdb::Result columns,
                           connection.Query("SELECT * FROM event_rows LIMIT 0"));
  for (int c = 0; c < columns.columns(); ++c) scope.event_columns.emplace(columns.column_name(c));
  return scope;
}

// A plan's fold and how far it has read.
struct PlanState {
  PlanState(const Plan& the_plan, Fold the_fold) : plan(the_plan), fold(std::move(the_fold)) {}
  int64_t bytes() const {
    return fold.bytes() + static_cast<int64_t>(numbers.capacity() * sizeof(uint32_t));
  }

  Plan plan;  // Without what a run may change: as-of and memory limit.
  Fold fold;
  UnitNumbers numbers;
  HealthCounts health;
  double scanned = 0;
  int64_t end_seq = 0;  // Rows before it are in.
  // Ids are given in order of first sight: from here on they are in none of those rows.
  int64_t fresh_from = kOpen;
  bool complete = false;
};

namespace {

Plan KeyOf(Plan plan) {
  plan.as_of_ms = kOpen;
  plan.memory_limit_bytes = 0;
  return plan;
}

// By what units were shown in another experiment, which what arrives later may change of any unit:
// such a plan begins anew each time.
bool SlicesByAnother(const Plan& plan) {
  for (const SliceSpec& slice : plan.slices) {
    for (const std::string& attribute : slice.attributes) {
      if (!OtherExperiment(attribute).empty()) return true;
    }
  }
  return false;
}

absl::StatusOr<std::unique_ptr<PlanState>> MakeState(const Plan& plan, int threads) {
  FULCRUM_ASSIGN_OR_RETURN(Fold fold, Fold::Compile(plan, threads));
  return std::make_unique<PlanState>(KeyOf(plan), std::move(fold));
}

// One run: from the start, or from where a kept state stands.
class Run {
 public:
  Run(duckdb::Connection& connection, const Plan& plan, const Scope& scope,
      const RunOptions& options, PlanState* state)
      : connection_(connection),
        plan_(plan),
        scope_(scope),
        past_(scope.Between(0, state->end_seq)),
        news_(scope.Between(state->end_seq, scope.end_seq)),
        options_(options),
        goes_on_(state->end_seq > 0),
        state_(state),
        fold_(state->fold) {}

  absl::StatusOr<PlanResult> Do() {
    if (goes_on_) fold_.Reopen();
    FULCRUM_RETURN_IF_ERROR(AddExposures());
    FULCRUM_RETURN_IF_ERROR(AddEnrolments());
    FULCRUM_ASSIGN_OR_RETURN(const int64_t received_ms, LastReceived(connection_, scope_));
    FULCRUM_RETURN_IF_ERROR(fold_.CloseCohort(
        plan_.as_of_ms == kOpen ? received_ms : plan_.as_of_ms, SpillDirectory()));
    if (fold_.wants_restart()) {
      FULCRUM_RETURN_IF_ERROR(Scan(past_, EventScan::kRestart, 0, kNoUnit));
    }
    fold_.EndRestart();
    FULCRUM_RETURN_IF_ERROR(memory_.spills ? AddEventsInPasses() : AddEvents(0, kNoUnit));
    FULCRUM_ASSIGN_OR_RETURN(PlanResult result, fold_.Finish());
    FULCRUM_RETURN_IF_ERROR(AddHealth(connection_, plan_, news_, &state_->health));
    FULCRUM_RETURN_IF_ERROR(TellHealth(connection_, plan_, state_->health, &result.health));
    if (plan_.population.active_units) {
      result.health.first_exposure_ms = activity_.first_exposure_ms;
      result.health.last_exposure_ms = activity_.last_exposure_ms;
    }
    result.health.events_scanned = state_->scanned;
    result.health.last_received_ms = received_ms;
    state_->end_seq = scope_.end_seq;
    state_->complete = scope_.complete() && !memory_.spills && !plan_.population.active_units &&
                       !SlicesByAnother(plan_);
    return result;
  }

 private:
  absl::Status AddExposures() {
    std::vector<uint32_t> fresh;
    if (scope_.kind >= 0 && (scope_.experiment >= 0 || plan_.population.active_units)) {
      FULCRUM_ASSIGN_OR_RETURN(const int64_t rows, CountUnits());
      FULCRUM_ASSIGN_OR_RETURN(memory_, PlanMemory(fold_, rows, plan_.memory_limit_bytes));
      if (goes_on_ && memory_.spills) return NoLongerFits();
      // Room to go on without moving everything.
      if (!goes_on_) fold_.ReserveUnits(static_cast<size_t>(rows + rows / 8));
      FULCRUM_RETURN_IF_ERROR(
          plan_.population.active_units
              ? ScanActiveUnits(connection_, plan_, scope_, &fold_, &state_->numbers, &activity_)
              : ScanExposures(connection_, plan_, news_, state_->fresh_from, &fold_,
                              &state_->numbers, &fresh));
      state_->fresh_from = static_cast<int64_t>(state_->numbers.size());
    }
    FULCRUM_ASSIGN_OR_RETURN(routes_, FindRoutes(connection_, scope_, state_->numbers));
    if (goes_on_) {
      FULCRUM_ASSIGN_OR_RETURN(const std::vector<uint32_t> linked,
                               NewlyLinked(connection_, news_, state_->numbers));
      fold_.Restart(linked);
    }
    fold_.CloseExposures();
    const bool links = routes_.size() != 1 || !routes_[0].first.empty();
    if (goes_on_ && !links) fold_.HaveNoPast(fresh);
    return absl::OkStatus();
  }

  // At most so many.
  absl::StatusOr<int64_t> CountUnits() {
    if (plan_.population.active_units) {
      return connection_.QueryInt("SELECT count(*) FROM units WHERE kind = $1", {scope_.kind});
    }
    FULCRUM_ASSIGN_OR_RETURN(
        const int64_t rows,
        connection_.QueryInt("SELECT count(*) FROM first_exposures" + news_.Where() +
                             " AND experiment = " + std::to_string(scope_.experiment) +
                             " AND kind = " + std::to_string(scope_.kind)));
    return rows + static_cast<int64_t>(fold_.units());
  }

  absl::Status AddEnrolments() {
    if (!fold_.wants_enrolments()) return absl::OkStatus();
    if (goes_on_) {
      FULCRUM_RETURN_IF_ERROR(ScanEnrolments(connection_, past_, routes_, true, &fold_));
    }
    return ScanEnrolments(connection_, news_, routes_, false, &fold_);
  }

  std::string SpillDirectory() const {
    if (!memory_.spills) return "";
    if (!options_.spill_directory.empty()) return options_.spill_directory;
    return std::filesystem::temp_directory_path().string();
  }

  absl::Status AddEventsInPasses() {
    const auto units = static_cast<uint32_t>(fold_.units());
    double scanned = 0;
    for (int64_t first = 0; first < units; first += memory_.pass_units) {
      const auto end = static_cast<uint32_t>(std::min<int64_t>(units, first + memory_.pass_units));
      state_->scanned = 0;  // Of one pass: all read the same rows.
      fold_.BeginPass(static_cast<uint32_t>(first), end);
      FULCRUM_RETURN_IF_ERROR(AddEvents(static_cast<uint32_t>(first), end));
      fold_.EndPass(static_cast<uint32_t>(first), end);
      scanned = std::max(scanned, state_->scanned);
    }
    state_->scanned = scanned;
    return absl::OkStatus();
  }

  absl::Status AddEvents(uint32_t first_unit, uint32_t end_unit) {
    FULCRUM_RETURN_IF_ERROR(Scan(news_, EventScan::kAll, first_unit, end_unit));
    if (!fold_.wants_replay()) return absl::OkStatus();
    fold_.BeginReplay();
    FULCRUM_RETURN_IF_ERROR(Scan(scope_, EventScan::kReplay, first_unit, end_unit));
    fold_.EndReplay();
    return absl::OkStatus();
  }

  absl::Status Scan(const Scope& scope, EventScan::Of of, uint32_t first_unit, uint32_t end_unit) {
    EventScan scan;
    scan.of = of;
    scan.first_unit = first_unit;
    scan.end_unit = std::min(end_unit, static_cast<uint32_t>(fold_.units()));
    scan.threads = options_.threads;
    scan.round_bytes = memory_.round_bytes;
    return ScanEvents(connection_, scope, routes_, scan, &fold_, &state_->scanned);
  }

  duckdb::Connection& connection_;
  const Plan& plan_;
  const Scope& scope_;
  const Scope past_;
  const Scope news_;
  const RunOptions& options_;
  const bool goes_on_;
  PlanState* const state_;
  Fold& fold_;
  std::vector<Route> routes_;
  MemoryPlan memory_;
  Health activity_;  // Population::active_units: when the first and last was.
};

}  // namespace

absl::StatusOr<PlanResult> RunPlan(duckdb::Database& database, const Plan& plan,
                                   const RunOptions& options) {
  FULCRUM_ASSIGN_OR_RETURN(const std::unique_ptr<PlanState> state,
                           MakeState(plan, options.threads));
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Connection connection, database.Connect());
  FULCRUM_ASSIGN_OR_RETURN(const Scope scope, MakeScope(connection, plan));
  return Run(connection, plan, scope, options, state.get()).Do();
}

PlanRunner::PlanRunner(const RunnerOptions& options) : options_(options) {}
PlanRunner::~PlanRunner() = default;

absl::StatusOr<PlanResult> PlanRunner::Run(duckdb::Database& database, const Plan& plan) {
  FULCRUM_ASSIGN_OR_RETURN(duckdb::Connection connection, database.Connect());
  FULCRUM_ASSIGN_OR_RETURN(Scope scope, MakeScope(connection, plan));
  FULCRUM_RETURN_IF_ERROR(Trim(connection, &scope));
  std::unique_ptr<PlanState> state = Take(plan);
  const bool usable = state != nullptr && scope.complete() && state->end_seq <= scope.end_seq;

  std::unique_ptr<PlanState> newer;
  if (!usable) {
    newer = std::move(state);
    FULCRUM_ASSIGN_OR_RETURN(state, MakeState(plan, options_.threads));
  }
  if (options_.kept_bytes > 0) state->fold.KeepResults();
  {
    MutexLock lock(&mutex_);
    ++stats_.runs;
    if (usable) ++stats_.continued;
  }
  const RunOptions run = {options_.threads, options_.spill_directory};
  absl::StatusOr<PlanResult> result = store::Run(connection, plan, scope, run, state.get()).Do();
  if (absl::IsOutOfRange(result.status())) {
    FULCRUM_ASSIGN_OR_RETURN(state, MakeState(plan, options_.threads));
    result = store::Run(connection, plan, scope, run, state.get()).Do();
  }
  // A state that stands further on serves the next run of now, which is the more likely one.
  if (newer != nullptr && newer->end_seq > scope.end_seq) state = std::move(newer);
  if (result.ok() && state->complete) Keep(std::move(state));
  return result;
}

std::unique_ptr<PlanState> PlanRunner::Take(const Plan& plan) {
  const Plan key = KeyOf(plan);
  MutexLock lock(&mutex_);
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if (!((*it)->plan == key)) continue;
    std::unique_ptr<PlanState> state = std::move(*it);
    kept_.erase(it);
    return state;
  }
  return nullptr;
}

void PlanRunner::Keep(std::unique_ptr<PlanState> state) {
  MutexLock lock(&mutex_);
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if (!((*it)->plan == state->plan)) continue;  // Run at the same time.
    if ((*it)->end_seq > state->end_seq) return;
    kept_.erase(it);
    break;
  }
  kept_.push_front(std::move(state));
  int64_t bytes = 0;
  for (auto it = kept_.begin(); it != kept_.end();) {
    bytes += (*it)->bytes();
    if (bytes <= options_.kept_bytes) {
      ++it;
      continue;
    }
    bytes -= (*it)->bytes();
    it = kept_.erase(it);
  }
  stats_.kept_bytes = bytes;
}

PlanRunner::Stats PlanRunner::stats() const {
  MutexLock lock(&mutex_);
  return stats_;
}

}  // namespace fulcrum::store
