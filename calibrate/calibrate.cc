// SPDX-License-Identifier: Apache-2.0
#include "calibrate/calibrate.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "calibrate/study.h"
#include "stats/distributions.h"

namespace fulcrum::calibrate {
namespace {

constexpr int64_t kBlock = 25;   // Replications a thread takes at a time.
constexpr double kMiss = 0.001;  // Chance that a right row is judged outside.

// FNV-1a: a study's draws depend on its name, not on its place in the list.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

struct Selected {
  Study study;
  std::vector<bool> rows;
};

bool Plants(const Study& study, Plant plant) {
  return plant != Plant::kNone && study.plant == plant;
}

absl::StatusOr<std::vector<Selected>> Select(const Options& options) {
  std::vector<Selected> out;
  std::vector<std::string> known;
  std::vector<bool> used(options.only.size(), false);
  for (Study& study : AllStudies()) {
    std::vector<bool> rows;
    known.push_back(study.key);
    bool any = false;
    for (const StudyRow& row : study.rows) {
      const std::string key = study.key + "." + row.key;
      known.push_back(key);
      bool take = options.only.empty();
      for (size_t i = 0; i < options.only.size(); ++i) {
        if (options.only[i] != study.key && options.only[i] != key) continue;
        take = used[i] = true;
      }
      rows.push_back(take);
      any = any || take;
    }
    if (any) out.push_back({std::move(study), std::move(rows)});
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    const std::string near = DidYouMean(options.only[i], known);
    return InvalidArgument(absl::StrCat("there is no study or row '", options.only[i], "'",
                                        near.empty() ? "" : "; did you mean '", near,
                                        near.empty() ? "; --list names them all." : "'?"));
  }
  return out;
}

// Counts of all replications of one study. Integers only, so the order of threads cannot matter.
Tally RunStudy(const Study& study, const Options& options, int threads, double done_before,
               double share) {
  const Replicate replicate =
      study.prepare(Plants(study, options.plant) ? options.plant : Plant::kNone);
  const uint64_t key = sim::MixTwo(options.seed, HashOf(study.key));
  Tally total(study.rows.size());
  std::mutex mutex;
  std::atomic<int64_t> next{0};
  int64_t finished = 0;
  const auto work = [&] {
    Tally mine(study.rows.size());
    for (;;) {
      const int64_t from = next.fetch_add(kBlock);
      if (from >= options.replications) break;
      const int64_t to = std::min(from + kBlock, options.replications);
      for (int64_t r = from; r < to; ++r) {
        Random random(sim::MixTwo(key, static_cast<uint64_t>(r)));
        replicate(random, mine);
      }
      const std::scoped_lock lock(mutex);
      finished += to - from;
      if (options.progress) {
        options.progress(done_before + share * static_cast<double>(finished) /
                                           static_cast<double>(options.replications));
      }
    }
    const std::scoped_lock lock(mutex);
    total.Merge(mine);
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  return total;
}

Row MakeRow(const Study& study, const StudyRow& from) {
  Row row;
  row.key = study.key + "." + from.key;
  row.group = study.group;
  row.what = from.what;
  row.claim = from.claim;
  row.expected = from.expected;
  row.verdict = from.beyond ? Verdict::kBeyond : Verdict::kWithin;
  return row;
}

}  // namespace

bool Table::Within() const {
  return std::none_of(rows.begin(), rows.end(),
                      [](const Row& row) { return row.verdict == Verdict::kOutside; });
}

void Judge(Row* row) {
  const auto k = static_cast<double>(row->hits);
  const auto n = static_cast<double>(row->trials);
  const double each = row->claim == Claim::kExactly ? kMiss / 2 : kMiss;
  row->lo = 0;
  row->hi = 1;
  // A lower bound refutes "at most", an upper one "at least"; both refute "exactly".
  if (row->claim != Claim::kAtLeast && row->hits > 0) {
    row->lo = stats::BetaQuantile(each, k, n - k + 1);
  }
  if (row->claim != Claim::kAtMost && row->hits < row->trials) {
    row->hi = stats::BetaQuantile(1 - each, k + 1, n - k);
  }
  if (row->verdict == Verdict::kBeyond) return;
  // A row that never applied proves nothing.
  const bool within = row->trials > 0 && row->lo <= row->expected && row->expected <= row->hi;
  row->verdict = within ? Verdict::kWithin : Verdict::kOutside;
}

std::vector<Study> AllStudies() {
  std::vector<Study> out;
  AddErrorStudies(&out);
  AddCoverageStudies(&out);
  AddFamilyStudies(&out);
  AddPowerStudies(&out);
  AddSequentialStudies(&out);
  AddHealthStudies(&out);
  AddDecisionStudies(&out);
  AddEstimateStudies(&out);
  AddDesignStudies(&out);
  return out;
}

std::vector<Row> ListRows() {
  std::vector<Row> out;
  for (const Study& study : AllStudies()) {
    for (const StudyRow& row : study.rows) out.push_back(MakeRow(study, row));
  }
  return out;
}

absl::StatusOr<Table> Calibrate(const Options& options) {
  if (options.replications < 1 || options.replications > 10'000'000) {
    return InvalidArgument("replications must be between 1 and 10,000,000.");
  }
  if (options.threads < 0 || options.threads > 1024) {
    return InvalidArgument("threads must be between 1 and 1024, or 0 for all the machine has.");
  }
  FULCRUM_ASSIGN_OR_RETURN(const std::vector<Selected> selected, Select(options));
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const int threads = options.threads > 0 ? options.threads : static_cast<int>(cores);
  Table table;
  table.seed = options.seed;
  table.replications = options.replications;
  const double share = 1 / static_cast<double>(selected.size());
  double done = 0;
  for (const Selected& s : selected) {
    const Tally tally = RunStudy(s.study, options, threads, done, share);
    done += share;
    for (size_t i = 0; i < s.study.rows.size(); ++i) {
      if (!s.rows[i]) continue;
      Row row = MakeRow(s.study, s.study.rows[i]);
      row.hits = tally.hits(i);
      row.trials = tally.trials(i);
      row.planted = Plants(s.study, options.plant) && s.study.rows[i].key == s.study.planted_row;
      Judge(&row);
      table.rows.push_back(std::move(row));
    }
  }
  if (options.progress) options.progress(1);
  return table;
}

}  // namespace fulcrum::calibrate
