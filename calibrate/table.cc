// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/text.h"
#include "calibrate/calibrate.h"

namespace fulcrum::calibrate {
namespace {

std::string Percent(double rate) { return absl::StrFormat("%.2f%%", 100 * rate); }

std::string ClaimOf(const Row& row) {
  switch (row.claim) {
    case Claim::kAtMost:
      return "at most " + Percent(row.expected);
    case Claim::kAtLeast:
      return "at least " + Percent(row.expected);
    case Claim::kExactly:
      break;
  }
  return Percent(row.expected);
}

std::string BoundsOf(const Row& row) {
  switch (row.claim) {
    case Claim::kAtMost:
      return "over " + Percent(row.lo);
    case Claim::kAtLeast:
      return "under " + Percent(row.hi);
    case Claim::kExactly:
      break;
  }
  return absl::StrCat(Percent(row.lo), " to ", Percent(row.hi));
}

std::string VerdictOf(const Row& row) {
  const char* planted = row.planted ? ", planted" : "";
  switch (row.verdict) {
    case Verdict::kWithin:
      return absl::StrCat("within", planted);
    case Verdict::kOutside:
      return absl::StrCat("OUTSIDE", planted);
    case Verdict::kBeyond:
      break;
  }
  return "not judged";
}

std::string Closing(const Table& table) {
  const auto outside = std::count_if(table.rows.begin(), table.rows.end(), [](const Row& row) {
    return row.verdict == Verdict::kOutside;
  });
  const auto judged = std::count_if(table.rows.begin(), table.rows.end(),
                                    [](const Row& row) { return row.verdict != Verdict::kBeyond; });
  return absl::StrCat(outside == 0 ? "Every judged row" : absl::StrCat(outside, " of ", judged),
                      outside == 0 ? absl::StrCat(" (", judged, ") is within its bounds")
                                   : " judged rows are OUTSIDE their bounds",
                      "; seed ", table.seed, ", ", table.replications, " replications a row.\n");
}

}  // namespace

std::string ToText(const Table& table) {
  std::string out;
  std::string group;
  size_t width = 0;
  for (const Row& row : table.rows) width = std::max(width, row.key.size());
  for (const Row& row : table.rows) {
    if (row.group != group) {
      group = row.group;
      absl::StrAppend(&out, out.empty() ? "" : "\n", group, "\n");
      absl::StrAppendFormat(&out, "  %-*s  %16s  %8s  %20s  %-10s  %s\n", static_cast<int>(width),
                            "row", "claims", "seen", "99.9% bounds", "verdict", "what");
    }
    absl::StrAppendFormat(&out, "  %-*s  %16s  %8s  %20s  %-10s  %s\n", static_cast<int>(width),
                          row.key, ClaimOf(row), Percent(row.Rate()), BoundsOf(row), VerdictOf(row),
                          row.what);
  }
  return absl::StrCat(out, "\n", Closing(table));
}

std::string ToMarkdown(const Table& table) {
  std::string out;
  std::string group;
  for (const Row& row : table.rows) {
    if (row.group != group) {
      group = row.group;
      absl::StrAppend(&out, out.empty() ? "" : "\n", "### ", group, "\n\n");
      absl::StrAppend(&out, "| row | what | claims | seen | 99.9% bounds | runs | verdict |\n",
                      "|---|---|--:|--:|--:|--:|---|\n");
    }
    absl::StrAppend(&out, "| `", row.key, "` | ", row.what, " | ", ClaimOf(row), " | ",
                    Percent(row.Rate()), " | ", BoundsOf(row), " | ", row.trials, " | ",
                    VerdictOf(row), " |\n");
  }
  return absl::StrCat(out, "\n", Closing(table));
}

std::string ToJson(const Table& table) {
  std::string out =
      absl::StrCat("{\"seed\": ", table.seed, ", \"replications\": ", table.replications,
                   ", \"within\": ", table.Within() ? "true" : "false", ",\n \"rows\": [");
  const char* separator = "\n";
  for (const Row& row : table.rows) {
    const char* claim = row.claim == Claim::kAtMost    ? "at_most"
                        : row.claim == Claim::kAtLeast ? "at_least"
                                                       : "exactly";
    const char* verdict = row.verdict == Verdict::kWithin    ? "within"
                          : row.verdict == Verdict::kOutside ? "outside"
                                                             : "not_judged";
    absl::StrAppend(&out, separator, "  {\"row\": ", JsonString(row.key),
                    ", \"group\": ", JsonString(row.group), ", \"what\": ", JsonString(row.what),
                    ",\n   \"claim\": \"", claim, "\", \"expected\": ", FormatDouble(row.expected),
                    ", \"hits\": ", row.hits, ", \"trials\": ", row.trials,
                    ", \"rate\": ", FormatDouble(row.Rate()));
    absl::StrAppend(&out, ", \"lo\": ", FormatDouble(row.lo), ", \"hi\": ", FormatDouble(row.hi),
                    ", \"verdict\": \"", verdict, "\"", row.planted ? ", \"planted\": true" : "",
                    "}");
    separator = ",\n";
  }
  return absl::StrCat(out, "\n]}\n");
}

}  // namespace fulcrum::calibrate
