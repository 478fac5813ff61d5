// SPDX-License-Identifier: Apache-2.0
#include "experiments/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "base/status.h"
#include "base/time.h"
#include "core/decide.h"
#include "experiments/compile.h"
#include "experiments/load.h"
#include "experiments/sample_test_data.h"
#include "experiments/widen.h"

namespace fulcrum::experiments {
namespace {

using ::testing::HasSubstr;

constexpr char kBase[] = R"(experiment: e
salt: e-2026
unit: user
layer: {name: checkout, range: [0, 60]}
audience: {channel: [search, organic], age: {gte: 18}}
variants:
  a: {weight: 1, control: true, value: 1}
  b: {weight: 1, value: 2}
schedule: {start: 2026-03-01T00:00:00Z, end: 2026-05-01T00:00:00Z}
ramp: [{after: 0d, percent: 20}, {after: 7d, percent: 50}]
primary: [pay_rate]
)";

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

Definitions Make(const std::string& experiment, const std::string& project = kSampleProject) {
  const LoadResult loaded =
      LoadFromFiles({{"project.yaml", project}, {"experiments/e.yaml", experiment}});
  for (const Diagnostic& d : loaded.diagnostics) ADD_FAILURE() << Format(d);
  return loaded.definitions;
}

DiffReport Compare(const Definitions& before, const Definitions& after,
                   std::optional<int64_t> now_ms = std::nullopt) {
  const auto report = Diff(before, after, now_ms);
  EXPECT_TRUE(report.ok()) << Message(report.status());
  return report.ok() ? *report : DiffReport{};
}

DiffReport CompareEdit(const std::string& from, const std::string& to,
                       const std::string& base = kBase) {
  return Compare(Make(base), Make(Replace(base, from, to)));
}

struct Row {
  const char* from;
  const char* to;
  const char* what;
  EditClass edit_class;
};

void ExpectClasses(const std::vector<Row>& rows, const std::string& base) {
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.from) + " -> " + row.to);
    const DiffReport report = CompareEdit(row.from, row.to, base);
    ASSERT_FALSE(report.edits.empty());
    bool found = false;
    for (const Edit& edit : report.edits) {
      if (edit.what != row.what) continue;
      found = true;
      EXPECT_STREQ(EditClassName(edit.edit_class), EditClassName(row.edit_class)) << edit.reason;
      EXPECT_FALSE(edit.reason.empty());
      EXPECT_GT(edit.pos.line, 0);
    }
    EXPECT_TRUE(found) << report.edits[0].what;
    // Stopping takes everyone's variant, which is what it is for.
    if (row.edit_class == EditClass::kSafe && std::string_view(row.what) != "status") {
      for (const Move& move : report.moves) EXPECT_EQ(move.from, "") << move.to;
    }
  }
}

TEST(DiffTest, NothingChangedIsNoEdit) {
  const DiffReport report = Compare(Make(kBase), Make(std::string("# a comment\n") + kBase));
  EXPECT_TRUE(report.edits.empty());
  EXPECT_TRUE(report.moves.empty());
  // Another unit of weight is the same share.
  EXPECT_TRUE(CompareEdit("weight: 1, control: true, value: 1}\n  b: {weight: 1",
                          "weight: 50, control: true, value: 1}\n  b: {weight: 50")
                  .edits.empty());
}

TEST(DiffTest, EditsOfARunningExperimentAreClassed) {
  using enum EditClass;
  ExpectClasses(
      {
          {"salt: e-2026", "salt: e-2027", "salt", kUnsafe},
          {"salt: e-2026", "salt: e-2026\nhash: growthbook-v2", "hash", kUnsafe},
          {"range: [0, 60]", "range: [0, 80]", "layer.range", kSafe},
          {"range: [0, 60]", "ranges: [[0, 30], [30, 70]]", "layer.range", kSafe},
          {"range: [0, 60]", "range: [0, 50]", "layer.range", kUnsafe},
          {"layer: {name: checkout, range: [0, 60]}\n", "", "layer", kNeedsNewPhase},
          {"percent: 50", "percent: 100", "ramp", kSafe},
          {"percent: 50", "percent: 30", "ramp", kUnsafe},
          {"after: 7d", "after: 3d", "ramp", kSafe},
          {"after: 7d", "after: 9d", "ramp", kUnsafe},
          {"ramp: [{after: 0d, percent: 20}, {after: 7d, percent: 50}]\n", "", "ramp", kSafe},
          {"[search, organic]", "[search, organic, media]", "audience", kSafe},
          {"[search, organic]", "[search]", "audience", kUnsafe},
          {"gte: 18", "gte: 16", "audience", kSafe},
          {"gte: 18", "gte: 21", "audience", kUnsafe},
          {", age: {gte: 18}", "", "audience", kSafe},
          {"age: {gte: 18}", "age: {gte: 18}, registered: true", "audience", kUnsafe},
          {"weight: 1, value: 2", "weight: 3, value: 2", "variants.b.weight", kUnsafe},
          {"value: 2", "value: 3", "variants.b.value", kNeedsNewPhase},
          {"  b: {weight: 1, value: 2}", "  b: {weight: 1, value: 2}\n  c: {weight: 1, value: 3}",
           "variants.c", kUnsafe},
          {"  b: {weight: 1, value: 2}", "  b: {weight: 1, value: 2}\n  c: {weight: 0, value: 3}",
           "variants.c", kSafe},
          {"  b: {weight: 1, value: 2}", "  c: {weight: 1, value: 2}", "variants.b", kUnsafe},
          {"  a: {weight: 1, control: true, value: 1}\n  b: {weight: 1, value: 2}",
           "  b: {weight: 1, value: 2}\n  a: {weight: 1, control: true, value: 1}", "variants",
           kUnsafe},
          {"2026-03-01", "2026-03-05", "schedule.start", kUnsafe},
          {"2026-05-01", "2026-06-01", "schedule.end", kSafe},
          {"primary: [pay_rate]", "primary: [revenue]", "primary", kSafe},
          {"primary:", "status: stopped\nprimary:", "status", kSafe},
          {"primary:", "status: draft\nprimary:", "status", kUnsafe},
          {"primary:", "sticky: true\nprimary:", "sticky", kSafe},
          {"primary:", "overrides: [{units: [t], variant: b}]\nprimary:", "overrides", kSafe},
      },
      kBase);
}

TEST(DiffTest, ARenameIsARemovalAndANewExperiment) {
  const DiffReport report = CompareEdit("experiment: e\n", "experiment: renamed\n");
  ASSERT_EQ(report.edits.size(), 2u);
  EXPECT_EQ(report.edits[0].experiment, "e");
  EXPECT_EQ(report.edits[0].edit_class, EditClass::kUnsafe);
  EXPECT_THAT(report.edits[0].reason, HasSubstr("keep the key"));
  EXPECT_EQ(report.edits[1].experiment, "renamed");
  EXPECT_EQ(report.edits[1].edit_class, EditClass::kSafe);
}

TEST(DiffTest, StickyUnitsKeepTheirVariant) {
  using enum EditClass;
  const std::string sticky = std::string(kBase) + "sticky: true\n";
  ExpectClasses(
      {{"weight: 1, value: 2", "weight: 3, value: 2", "variants.b.weight", kNeedsNewPhase},
       {"gte: 18", "gte: 21", "audience", kNeedsNewPhase},
       {"percent: 50", "percent: 30", "ramp", kNeedsNewPhase},
       {"sticky: true", "sticky: false", "sticky", kUnsafe},
       {"  b: {weight: 1, value: 2}\n", "  c: {weight: 1, value: 2}\n", "variants.b", kUnsafe}},
      sticky);
  for (const Move& move : CompareEdit("weight: 1, value: 2", "weight: 3, value: 2", sticky).moves) {
    EXPECT_EQ(move.from, "");
  }
}

TEST(DiffTest, DraftsMayBeEdited) {
  const std::string draft = std::string(kBase) + "status: draft\n";
  const DiffReport report = CompareEdit("salt: e-2026", "salt: other", draft);
  ASSERT_EQ(report.edits.size(), 1u);
  EXPECT_EQ(report.edits[0].edit_class, EditClass::kSafe);
  EXPECT_TRUE(report.moves.empty());
  EXPECT_FALSE(report.unsafe());
}

// What has not begun, has ended or was stopped assigns nobody that an edit could move.
TEST(DiffTest, OnlyWhatRunsCanBeEditedUnsafely) {
  const Definitions before = Make(kBase);
  const Definitions after = Make(Replace(kBase, "e-2026", "other"));
  const auto unsafe_at = [&](const char* when, const core::Controls* controls = nullptr) {
    const auto report = Diff(before, after, ParseRfc3339(when), controls);
    EXPECT_TRUE(report.ok());
    EXPECT_EQ(report->moves.empty(), !report->unsafe());
    EXPECT_EQ(report->running.empty(), !report->unsafe());
    return report->unsafe();
  };
  EXPECT_FALSE(unsafe_at("2026-02-28T23:59:59Z"));
  EXPECT_TRUE(unsafe_at("2026-03-01T00:00:00Z"));
  EXPECT_TRUE(unsafe_at("2026-04-30T23:59:59Z"));
  EXPECT_FALSE(unsafe_at("2026-05-01T00:00:00Z"));
  core::ControlRecord stop;
  stop.seq = 1;
  stop.ts_ms = *ParseRfc3339("2026-04-01T00:00:00Z");
  stop.experiment = "e";
  const core::Controls controls = core::Apply({&stop, 1});
  EXPECT_TRUE(unsafe_at("2026-03-31T00:00:00Z", &controls));
  EXPECT_FALSE(unsafe_at("2026-04-01T00:00:00Z", &controls));
  EXPECT_FALSE(Diff(before, after, std::nullopt, &controls)->unsafe());
}

TEST(DiffTest, UnsafeEditsAreErrorsAtTheirPlaceWithTheShareThatMoves) {
  const Definitions before = Make(kBase);
  const Definitions after = Make(Replace(kBase, "e-2026", "other"));
  const std::vector<Diagnostic> errors = UnsafeEdits(Compare(before, after));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(Format(errors[0]),
              HasSubstr("experiments/e.yaml:2:7: error: unsafe while 'e' runs: salt: e-2026 -> "
                        "other: every unit is drawn anew"));
  // Of the 60% of the layer and 50% of traffic that have a variant (2% are held out), half change
  // it and half of the others are no longer in traffic: 0.98 * 0.6 * 0.5 * (1 - 0.5 * 0.5).
  EXPECT_THAT(errors[0].message, HasSubstr("22.05% of units change variant or leave"));
  EXPECT_TRUE(UnsafeEdits(Compare(before, before)).empty());
}

TEST(DiffTest, PhasesBegunCarryTheWeightsBefore) {
  const std::string sticky = Replace(kBase, "ramp:", "sticky: true\nramp:");
  const Definitions before = Make(sticky);
  const Definitions after = Make(Replace(sticky, "a: {weight: 1", "a: {weight: 3"));
  const auto begun = PhasesBegun(before, Compare(before, after));
  ASSERT_EQ(begun.size(), 1u);
  EXPECT_EQ(begun[0].kind, core::ControlKind::kEdit);
  EXPECT_EQ(begun[0].experiment, "e");
  EXPECT_THAT(begun[0].reason, HasSubstr("variants.a.weight (needs a new phase)"));
  EXPECT_EQ(begun[0].weights, (std::vector<core::ArmWeight>{{"a", 500'000, 0}, {"b", 500'000, 0}}));
  EXPECT_TRUE(PhasesBegun(before, Compare(before, before)).empty());
  const Definitions titled = Make(Replace(sticky, "experiment: e", "experiment: e\ntitle: E"));
  EXPECT_TRUE(PhasesBegun(before, Compare(before, titled)).empty());
}

TEST(DiffTest, SharedDrawsOfTheProjectAreEdits) {
  const std::string project = kSampleProject;
  const auto edited = [&](const std::string& from, const std::string& to) {
    return Compare(Make(kBase), Make(kBase, Replace(project, from, to)));
  };
  EXPECT_TRUE(edited("salt: checkout-2026", "salt: checkout-2027").unsafe());
  EXPECT_TRUE(edited("percent: 2", "percent: 3").unsafe());
  EXPECT_TRUE(edited("age: {type: int}", "age: {type: float}").unsafe());
  EXPECT_FALSE(edited("city: {type: string}", "city: {type: int}").unsafe());
  const DiffReport metric = edited("event: pay, window: 7d, lens", "event: pay, window: 8d, lens");
  ASSERT_EQ(metric.edits.size(), 1u);
  EXPECT_EQ(metric.edits[0].what, "metrics.pay_rate");
  EXPECT_EQ(metric.edits[0].edit_class, EditClass::kSafe);
}

TEST(DiffTest, SharesAreExact) {
  // 98% not held out, 60% of the layer, 50% traffic; a had [0, 1/2), b gets [1/4, 1).
  const DiffReport weights = CompareEdit("weight: 1, value: 2", "weight: 3, value: 2");
  ASSERT_EQ(weights.moves.size(), 1u);
  EXPECT_EQ(weights.moves[0].from, "a");
  EXPECT_EQ(weights.moves[0].to, "b");
  EXPECT_NEAR(weights.moves[0].share, 0.98 * 0.6 * 0.5 * 0.25, 1e-12);
  const DiffReport range = CompareEdit("range: [0, 60]", "range: [30, 90]");
  ASSERT_EQ(range.moves.size(), 4u);
  for (const Move& move : range.moves) EXPECT_NEAR(move.share, 0.98 * 0.3 * 0.5 * 0.5, 1e-12);
  const DiffReport wider = CompareEdit("percent: 50", "percent: 80");
  ASSERT_EQ(wider.moves.size(), 2u);
  EXPECT_EQ(wider.moves[0].from, "");
  EXPECT_NEAR(wider.moves[0].share, 0.98 * 0.6 * 0.3 * 0.5, 1e-12);
}

// The formulas against the evaluator itself, on random pairs of definitions.
TEST(DiffTest, SharesAreWhatTheEvaluatorDoes) {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<const char*> options) {
    return std::string(*(options.begin() + random() % options.size()));
  };
  constexpr int kUnits = 30'000;
  constexpr int64_t kNowMs = 1774000000000;  // 2026-03-20: in the second step of every ramp.
  for (int round = 0; round < 20; ++round) {
    const auto make = [&] {
      std::string text = "experiment: e\nvariants:\n";
      text += "  a: {control: true, weight: " + pick({"1", "2", "3"}) + "}\n";
      text += "  b: {weight: " + pick({"1", "2"}) + "}\n";
      if (random() % 3 == 0) text += "  c: {weight: 1}\n";
      text += "salt: " + pick({"s1", "s1", "s1", "s2"}) + "\n";
      text += "hash: " + pick({"xxh3", "xxh3", "growthbook-v2"}) + "\n";
      text += pick({"", "layer: {name: checkout, range: [0, 60]}\n",
                    "layer: {name: checkout, ranges: [[20, 50], [70, 100]]}\n"});
      text += "schedule: {start: 2026-03-01T00:00:00Z, end: 2026-05-01T00:00:00Z}\n";
      text += "ramp: [{after: 0d, percent: 5}, {after: 7d, percent: " + pick({"20", "50", "100"}) +
              "}]\n";
      text += "primary: [pay_rate]\n";
      return Make(text, Replace(kSampleProject, "percent: 2", "percent: " + pick({"2", "10"})));
    };
    const Definitions before = make(), after = make();
    const DiffReport report = Compare(before, after, kNowMs);
    core::BuildError error;
    const auto old_snapshot = core::Snapshot::Make(*Compile(before, {}), &error);
    const auto new_snapshot = core::Snapshot::Make(*Compile(after, {}), &error);
    ASSERT_TRUE(old_snapshot && new_snapshot) << error.message;
    std::map<std::pair<std::string, std::string>, double> seen;
    for (int i = 0; i < kUnits; ++i) {
      const std::string id = "u" + std::to_string(i);
      core::Context context;
      context.targeting_key = id;
      context.now_ms = kNowMs;
      const auto variant = [&](const core::Snapshot& snapshot) {
        const auto handle = snapshot.Find("e");
        const core::Decision decision = core::Decide(snapshot, handle, context);
        return decision.has_variant()
                   ? snapshot.experiment(handle).variants[static_cast<size_t>(decision.variant)].key
                   : std::string();
      };
      seen[{variant(*old_snapshot), variant(*new_snapshot)}] += 1.0 / kUnits;
    }
    std::map<std::pair<std::string, std::string>, double> told;
    for (const Move& move : report.moves) told[{move.from, move.to}] = move.share;
    for (const auto& [pair, share] : seen) {
      if (pair.first == pair.second) continue;
      const double expected = told[pair];
      // Five standard errors, over some 200 comparisons.
      EXPECT_NEAR(share, expected, 5 * std::sqrt(expected * (1 - expected) / kUnits) + 1e-9)
          << "round " << round << ": `" << pair.first << "` to `" << pair.second << "`";
    }
    for (const auto& [pair, share] : told) {
      EXPECT_TRUE(share < 20.0 / kUnits || seen.count(pair) > 0)
          << "round " << round << ": `" << pair.first << "` to `" << pair.second << "`";
    }
  }
}

// Implies() must never claim what some context refutes: a search for counterexamples.
TEST(WidenTest, NeverClaimsWhatTheEvaluatorRefutes) {
  std::mt19937 random(11);
  const std::vector<std::string> leaves = {"registered: true",
                                           "registered: {ne: true}",
                                           "age: {gte: 18}",
                                           "age: {gte: 30}",
                                           "age: {lt: 30}",
                                           "age: {lt: 18}",
                                           "age: 18",
                                           "age: [18, 30]",
                                           "age: {not_in: [18, 30]}",
                                           "age: {present: true}",
                                           "age: {absent: true}",
                                           "channel: [search, media]",
                                           "channel: search",
                                           "channel: {ne: search}",
                                           "channel: {not_in: [search, media]}",
                                           "app_version: {gte: 2.0}",
                                           "app_version: {gte: 2.10.0}",
                                           "app_version: {lt: 2.1}",
                                           "percentage: 30",
                                           "percentage: 60",
                                           "city: {prefix: [a, b]}",
                                           "city: {prefix: a}",
                                           "segment: new_users"};
  const auto tree = [&](auto&& self, int depth) -> std::string {
    const auto leaf = [&] { return "{" + leaves[random() % leaves.size()] + "}"; };
    if (depth == 0) return leaf();
    switch (random() % 5) {
      case 0:
        return "{all: [" + self(self, depth - 1) + ", " + self(self, depth - 1) + "]}";
      case 1:
        return "{any: [" + self(self, depth - 1) + ", " + self(self, depth - 1) + "]}";
      case 2:
        return "{not: " + self(self, depth - 1) + "}";
      default:
        return leaf();
    }
  };
  int claims = 0;
  for (int round = 0; round < 500; ++round) {
    std::string text = "experiment: e\nsalt: s\nvariants: {a: {}}\nprimary: [pay_rate]\naudience: ";
    const std::string narrow = tree(tree, 2), wide = tree(tree, 2);
    const LoadResult a = LoadFromFiles(
        {{"project.yaml", kSampleProject}, {"experiments/e.yaml", text + narrow + "\n"}});
    const LoadResult b = LoadFromFiles(
        {{"project.yaml", kSampleProject}, {"experiments/e.yaml", text + wide + "\n"}});
    ASSERT_TRUE(a.ok() && b.ok()) << narrow << " " << wide;
    const Definitions &da = a.definitions, &db = b.definitions;
    if (!Implies(ResolvedAudience(da.project, da.experiments[0].audience),
                 ResolvedAudience(db.project, db.experiments[0].audience))) {
      continue;
    }
    ++claims;
    core::BuildError error;
    const auto sa = core::Snapshot::Make(*Compile(da, {}), &error);
    const auto sb = core::Snapshot::Make(*Compile(db, {}), &error);
    ASSERT_TRUE(sa && sb) << error.message;
    for (int i = 0; i < 300; ++i) {
      const std::string id = "u" + std::to_string(i);
      const char* channels[] = {"search", "media", "organic"};
      const char* versions[] = {"1.9", "2.0", "2.0.5", "2.1", "2.10", "3"};
      const char* cities[] = {"ab", "bc", "cd"};
      const int64_t ages[] = {17, 18, 19, 29, 30, 31};
      std::vector<core::Attribute> attributes;
      if (random() % 4) attributes.push_back({"registered", core::Value::Bool(random() % 2)});
      if (random() % 4) attributes.push_back({"age", core::Value::Int(ages[random() % 6])});
      if (random() % 4)
        attributes.push_back({"channel", core::Value::String(channels[random() % 3])});
      if (random() % 4) attributes.push_back({"city", core::Value::String(cities[random() % 3])});
      if (random() % 4) {
        attributes.push_back({"app_version", core::Value::Version(versions[random() % 6])});
      }
      core::Context context;
      context.targeting_key = id;
      context.attributes = attributes;
      context.now_ms = 1774000000000;
      const bool in_narrow = core::Decide(*sa, sa->Find("e"), context).has_variant();
      const bool in_wide = core::Decide(*sb, sb->Find("e"), context).has_variant();
      EXPECT_TRUE(!in_narrow || in_wide) << narrow << " within " << wide << ", unit " << id;
    }
  }
  EXPECT_GT(claims, 12);
}

}  // namespace
}  // namespace fulcrum::experiments
