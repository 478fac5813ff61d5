// SPDX-License-Identifier: Apache-2.0
//
// What must be refused, where, and in which words; and that nothing else is said about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "experiments/bad_experiment_test_data.h"
#include "experiments/bad_project_test_data.h"
#include "experiments/load.h"
#include "experiments/sample_test_data.h"

namespace fulcrum::experiments {
namespace {

using ::testing::HasSubstr;

std::string Edit(const std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return to;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "the sample has no `" << from << "`";
  if (at == std::string::npos) return text;
  return std::string(text).replace(at, from.size(), to);
}

LoadResult LoadEdited(const BadCase& bad) {
  if (bad.file == std::string_view(kAnalyzeFile)) {
    return LoadAnalyzeText(kAnalyzeFile, Edit(kSampleAnalyze, bad.from, bad.to));
  }
  auto files = SampleFiles();
  files[bad.file] = Edit(files[bad.file], bad.from, bad.to);
  return LoadFromFiles(files);
}

void Check(const std::vector<BadCase>& cases) {
  for (const BadCase& bad : cases) {
    SCOPED_TRACE(std::string(bad.file) + ": `" + bad.from + "` -> `" + bad.to + "`");
    const LoadResult loaded = LoadEdited(bad);
    int errors = 0;
    const Diagnostic* first = nullptr;
    std::string all;
    for (const Diagnostic& d : loaded.diagnostics) {
      if (d.severity != Severity::kError) continue;
      ++errors;
      all += Format(d) + "\n";
      if (first == nullptr && d.file == bad.file) first = &d;
    }
    EXPECT_EQ(errors, bad.errors) << all;
    ASSERT_NE(first, nullptr) << all;
    EXPECT_EQ(first->line, bad.line) << all;
    EXPECT_EQ(first->column, bad.column) << all;
    EXPECT_EQ(first->message.substr(0, std::string_view(bad.message).size()), bad.message);
  }
}

TEST(BadInputTest, ExperimentsAreRefusedAtTheirPlace) { Check(kBadExperiments); }

TEST(BadInputTest, ProjectsAndMetricsAreRefusedAtTheirPlace) { Check(kBadProjects); }

TEST(BadInputTest, EverythingIsReportedInOneRun) {
  auto files = SampleFiles();
  files["project.yaml"] = Edit(files["project.yaml"], "Asia/Shanghai", "Asia/Nowhere");
  files["metrics.yaml"] = Edit(files["metrics.yaml"], "event: refund", "event: purchase");
  files["experiments/one-page-checkout.yaml"] = Edit(
      Edit(Edit(kSampleExperiment, "[pay_rate]", "[pay_rat]"), "range: [0, 50]", "range: [50, 0]"),
      "{segment: testers}", "{segment: nobody}");
  files["experiments/other.yaml"] =
      Edit(Edit(kSampleOther, "weight: 2", "weight: -2"), "2026-01-01T00:00:00Z", "2026-01-01");
  files["experiments/third.yaml"] = "experiment: third: x\n";
  const LoadResult loaded = LoadFromFiles(files);
  EXPECT_FALSE(loaded.ok());
  std::vector<std::string> found;
  for (const Diagnostic& d : loaded.diagnostics) {
    found.push_back(d.file + ":" + std::to_string(d.line) + ":" + std::to_string(d.column));
  }
  EXPECT_THAT(found, ::testing::ElementsAre(
                         "experiments/one-page-checkout.yaml:9:32",
                         "experiments/one-page-checkout.yaml:14:22",
                         "experiments/one-page-checkout.yaml:24:11", "experiments/other.yaml:6:16",
                         "experiments/other.yaml:7:19", "experiments/third.yaml:1:18",
                         "metrics.yaml:5:12", "project.yaml:4:11"));
}

TEST(BadInputTest, NamesSharedAcrossFilesAreRefused) {
  auto files = SampleFiles();
  files["experiments/zebra.yaml"] = kSampleOther;
  const LoadResult loaded = LoadFromFiles(files);
  ASSERT_EQ(loaded.diagnostics.size(), 2u);
  EXPECT_EQ(Format(loaded.diagnostics[0]),
            "experiments/zebra.yaml:1:13: error: experiment `other` is already defined in "
            "experiments/other.yaml: give this one another key");
  EXPECT_THAT(loaded.diagnostics[1].message,
              HasSubstr("salt `other-2026` is already used by experiment `other`"));
}

TEST(BadInputTest, CyclesAcrossFilesAreRefusedOnce) {
  auto files = SampleFiles();
  files["experiments/other.yaml"] += "audience: {segment: circular}\n";
  files["project.yaml"] = Edit(
      files["project.yaml"], "segments:\n",
      "segments:\n  circular: {when: {not: {prerequisite: {experiment: one-page-checkout}}}}\n");
  const LoadResult loaded = LoadFromFiles(files);
  ASSERT_EQ(loaded.diagnostics.size(), 1u);
  EXPECT_THAT(loaded.diagnostics[0].message,
              HasSubstr("cyclic prerequisite: `one-page-checkout` -> `other` -> segment "
                        "`circular` -> `one-page-checkout`"));
}

// A stopped experiment, or one that ended before, has left its buckets to others.
TEST(BadInputTest, LayersMayBeReusedAfterwards) {
  auto files = SampleFiles();
  files["experiments/next.yaml"] = R"(experiment: next
status: running
salt: next-2026
layer: {name: checkout, range: [25, 75]}
variants:
  a: {control: true}
  b: {}
schedule: {start: 2026-03-30T00:00:00+08:00}
primary: [pay_rate]
)";
  EXPECT_TRUE(LoadFromFiles(files).ok());
  files["experiments/next.yaml"] = Edit(files["experiments/next.yaml"], "2026-03-30", "2026-03-29");
  EXPECT_FALSE(LoadFromFiles(files).ok());
  files["experiments/next.yaml"] =
      Edit(files["experiments/next.yaml"], "status: running", "status: stopped");
  EXPECT_TRUE(LoadFromFiles(files).ok());
}

TEST(BadInputTest, LooseReadingIsNotAccepted) {
  // A byte-order mark and Windows line ends are harmless and allowed; positions stay right.
  auto files = SampleFiles();
  std::string text = "\xEF\xBB\xBF";
  for (const char c : std::string(kSampleOther)) {
    if (c == '\n') text += '\r';
    text += c;
  }
  files["experiments/other.yaml"] = text;
  EXPECT_TRUE(LoadFromFiles(files).ok());
  files["experiments/other.yaml"] = Edit(text, "experiment: other", "experimen: other");
  const LoadResult loaded = LoadFromFiles(files);
  ASSERT_FALSE(loaded.diagnostics.empty());
  EXPECT_EQ(loaded.diagnostics[0].line, 1);
  EXPECT_EQ(loaded.diagnostics[0].column, 1);
}

TEST(BadInputTest, ColumnsCountCharactersAndNotBytes) {
  const LoadResult loaded = LoadAnalyzeText("a.yaml", "{title: \"标题\", experimen: x}");
  bool found = false;
  for (const Diagnostic& d : loaded.diagnostics) {
    if (d.message.rfind("unknown key `experimen`", 0) != 0) continue;
    found = true;
    EXPECT_EQ(d.column, 15);
  }
  EXPECT_TRUE(found);
}

TEST(BadInputTest, TheNumberOfReportsIsBounded) {
  auto files = SampleFiles();
  std::string duplicates = kSampleOther, unknown = kSampleOther;
  for (int i = 0; i < 5000; ++i) {
    duplicates += "owner: us\n";
    unknown += "key" + std::to_string(i) + ": 1\n";
  }
  files["experiments/other.yaml"] = duplicates;
  EXPECT_EQ(LoadFromFiles(files).diagnostics.size(), 102u);
  files["experiments/other.yaml"] = unknown;
  EXPECT_EQ(LoadFromFiles(files).diagnostics.size(), 101u);
  for (int i = 0; i < 20; ++i) files["experiments/x" + std::to_string(i) + ".yaml"] = unknown;
  const LoadResult loaded = LoadFromFiles(files);
  EXPECT_EQ(loaded.diagnostics.size(), kMaxDiagnostics + 1);
  EXPECT_THAT(loaded.diagnostics.back().message, HasSubstr("more: fix these first"));
}

// Random edits of bytes and lines: a diagnostic or a definition, never a crash or an exception.
TEST(BadInputTest, MutationsNeverCrash) {
  std::mt19937 random(20260302);
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  const std::string pool = "{}[]:,-&*!|>'\"#%@`? \n\t~01.e+\xC3\xFF\\";
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    auto files = SampleFiles();
    auto file = std::next(files.begin(), static_cast<std::ptrdiff_t>(below(files.size())));
    std::string& text = file->second;
    const size_t edits = 1 + below(4);
    for (size_t i = 0; i < edits; ++i) {
      const size_t at = below(text.size());
      switch (below(5)) {
        case 0:
          text[at] = pool[below(pool.size())];
          break;
        case 1:
          text.insert(at, 1, pool[below(pool.size())]);
          break;
        case 2:
          text.erase(at, 1 + below(12));
          break;
        case 3:
          text.insert(at, text.substr(below(text.size()), below(60)));
          break;
        default:
          text.resize(at);
      }
    }
    const LoadResult loaded = LoadFromFiles(files);
    refused += loaded.ok() ? 0 : 1;
    for (const Diagnostic& d : loaded.diagnostics) EXPECT_FALSE(d.message.empty());
    LoadAnalyzeText("x.yaml", text);
  }
  // Most mutations break something, and comments and titles may be mutated freely.
  EXPECT_GT(refused, 300);
  EXPECT_LT(refused, 600);
}

}  // namespace
}  // namespace fulcrum::experiments
