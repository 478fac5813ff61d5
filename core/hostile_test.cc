// SPDX-License-Identifier: Apache-2.0
// Whatever a context holds, a decision is an answer with a reason: never a crash, and never a
// control that nobody drew.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/test_world.h"

namespace fulcrum::core::test {
namespace {

// Experiments that read a string, a number, a version, a time and a city as their unit.
SnapshotData Readers() {
  SnapshotData data = Project();
  const auto reader = [&](const char* key, ConditionOp op, int32_t attribute, Operand operand) {
    ExperimentData experiment = Experiment(key);
    experiment.audience = Compare(&data, op, attribute, {std::move(operand)});
    data.experiments.push_back(std::move(experiment));
  };
  reader("text", ConditionOp::kContains, kCountry, Operand::String("DE"));
  reader("number", ConditionOp::kGe, kAge, Operand::Int(18));
  reader("version", ConditionOp::kGe, kAppVersion, Operand::Version("2.3"));
  reader("time", ConditionOp::kLt, kSignedUp, Operand::TimeMs(kNow));
  ExperimentData city = Experiment("city");
  city.cluster_attribute = kCity;
  data.experiments.push_back(std::move(city));
  data.experiments.push_back(Experiment("plain"));
  return data;
}

// The reason of an answer without a variant; an answer with one must be a drawn one.
Reason Answer(const Snapshot& snapshot, std::string_view key, const Context& context) {
  const Decision d = Ask(snapshot, key, context);
  EXPECT_EQ(d.has_variant(), d.reason == Reason::kAssigned) << key << ReasonName(d.reason);
  return d.reason;
}

TEST(Hostile, AnAttributeOfTheWrongTypeIsAMismatchAndNoControl) {
  const auto snapshot = Make(Readers());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  struct Row {
    const char* experiment;
    const char* attribute;
    Value value;
  };
  const Row rows[] = {
      {"text", "country", Value::Bool(true)},
      {"text", "country", Value::Int(5)},
      {"text", "country", Value::Float(nan)},
      {"number", "age", Value::String("forty")},
      {"number", "age", Value::Float(nan)},
      {"number", "age", Value::Float(inf)},
      {"number", "age", Value::Float(18.5)},
      {"number", "age", Value::Bool(true)},
      {"version", "app_version", Value::Int(3)},
      {"version", "app_version", Value::String("v?")},
      {"version", "app_version", Value::String("")},
      {"time", "signed_up", Value::Bool(false)},
      {"city", "city", Value::Bool(true)},
      {"city", "city", Value::Float(1.5)},
  };
  for (const Row& row : rows) {
    const Attribute attribute{row.attribute, row.value};
    Context context = User("u1");
    context.attributes = {&attribute, 1};
    EXPECT_EQ(Answer(*snapshot, row.experiment, context), Reason::kTypeMismatch)
        << row.experiment << " " << row.attribute;
    // Who does not read it does not care.
    EXPECT_EQ(Answer(*snapshot, "plain", context), Reason::kAssigned);
  }
}

TEST(Hostile, AHugeAttributeIsReadLikeAnyOther) {
  const auto snapshot = Make(Readers());
  std::string huge(8 << 20, 'x');
  const auto with = [&](const char* key, Value value, const char* experiment) {
    const Attribute attribute{key, value};
    Context context = User("u1");
    context.attributes = {&attribute, 1};
    return Answer(*snapshot, experiment, context);
  };
  EXPECT_EQ(with("country", Value::String(huge), "text"), Reason::kAudienceMismatch);
  EXPECT_EQ(with("app_version", Value::Version(huge), "version"), Reason::kTypeMismatch);
  EXPECT_EQ(with("city", Value::String(huge), "city"), Reason::kAssigned);
  huge += "DE";
  EXPECT_EQ(with("country", Value::String(huge), "text"), Reason::kAssigned);
  // Ten thousand attributes, the last of which counts as much as the first.
  std::vector<std::string> keys;
  std::vector<Attribute> many;
  for (int i = 0; i < 10'000; ++i) keys.push_back("noise" + std::to_string(i));
  for (const std::string& key : keys) many.push_back({key, Value::Int(1)});
  many.push_back({"age", Value::Int(30)});
  Context context = User("u1");
  context.attributes = many;
  EXPECT_EQ(Answer(*snapshot, "number", context), Reason::kAssigned);
}

TEST(Hostile, IdsOfAnyBytesAreIdsAndAnEmptyOneIsNone) {
  const auto snapshot = Make(Readers());
  EXPECT_EQ(Answer(*snapshot, "plain", User("")), Reason::kNoUnit);
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every.push_back(static_cast<char>(byte));
  for (const std::string& id :
       {std::string(1, '\0'), std::string(2, '\0'), every, std::string(4 << 20, '\xff'),
        std::string("\n"), std::string(" "), std::string("\xc3\x28"), std::string("null")}) {
    EXPECT_EQ(Answer(*snapshot, "plain", User(id)), Reason::kAssigned);
    UnitBuffer buffer;
    EXPECT_EQ(UnitIdOf(*snapshot, snapshot->Find("plain"), User(id), &buffer), id);
  }
  // Every byte counts, also those that end a text elsewhere.
  int differ = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string id = "u" + std::to_string(i);
    differ += Ask(*snapshot, "plain", User(id)).variant !=
              Ask(*snapshot, "plain", User(id + std::string(1, '\0'))).variant;
  }
  EXPECT_NEAR(differ, 200, 50);
}

TEST(Hostile, PriorsThatMeanNothingAreNone) {
  SnapshotData data = Project();
  data.experiments = {Experiment("x")};
  data.experiments[0].is_sticky = true;
  const auto snapshot = Make(std::move(data));
  const Decision drawn = Ask(*snapshot, "x", User("u1"));
  const std::string junk(1 << 20, '\xff');
  for (const Prior& prior :
       {Prior{"x", "gone", 0}, Prior{"x", "", 0}, Prior{"y", "control", 0}, Prior{"", "control", 0},
        Prior{"x", junk, -5}, Prior{junk, "control", 0}, Prior{"x", "Control", 1'000'000}}) {
    Context context = User("u1");
    context.priors = {&prior, 1};
    EXPECT_EQ(Ask(*snapshot, "x", context), drawn);
  }
  // A phase there never was is not believed; the variant is.
  for (const int32_t phase : {-7, 1, std::numeric_limits<int32_t>::max()}) {
    const Prior prior{"x", "treatment", phase};
    Context context = User("u1");
    context.priors = {&prior, 1};
    const Decision kept = Ask(*snapshot, "x", context);
    EXPECT_EQ(kept.reason, Reason::kSticky);
    EXPECT_EQ(kept.phase, 0);
    EXPECT_EQ(kept.propensity_ppm, 500'000u);
  }
}

// Each kind of unit draws by its own id and by nothing else.
TEST(Units, UserDeviceSessionAndOrderEachDrawByTheirOwnId) {
  SnapshotData data = Project();
  data.unit_kinds = {"user", "device", "session", "order"};
  for (int32_t kind = 0; kind < 4; ++kind) {
    ExperimentData experiment = Experiment("by_" + data.unit_kinds[static_cast<size_t>(kind)]);
    experiment.unit_kind = kind;
    data.experiments.push_back(std::move(experiment));
  }
  const auto snapshot = Make(std::move(data));
  constexpr int kUnits = 2'000;
  int treated[4] = {0, 0, 0, 0};
  for (int i = 0; i < kUnits; ++i) {
    const std::string n = std::to_string(i);
    const std::string ids[] = {"u" + n, "d" + n, "s" + n, "o" + n};
    const UnitId all[] = {
        {"user", ids[0]}, {"device", ids[1]}, {"session", ids[2]}, {"order", ids[3]}};
    const UnitId others[] = {{"user", "a"}, {"device", "b"}, {"session", "c"}, {"order", "d"}};
    for (int32_t kind = 0; kind < 4; ++kind) {
      const auto at = static_cast<size_t>(kind);
      Context context = User("");
      context.units = all;
      const Decision d = Decide(*snapshot, {kind}, context);
      EXPECT_EQ(d.reason, Reason::kAssigned);
      UnitId mixed[] = {others[0], others[1], others[2], others[3]};
      mixed[at] = all[at];
      context.units = mixed;
      EXPECT_EQ(Decide(*snapshot, {kind}, context), d);
      mixed[at].id = "";
      EXPECT_EQ(Decide(*snapshot, {kind}, context).reason, Reason::kNoUnit);
      treated[at] += d.variant;
    }
  }
  for (const int count : treated) EXPECT_NEAR(count, kUnits / 2, 5 * std::sqrt(kUnits / 4.0));
}

// Blocks of time and regions are drawn independently: of 200 regions by 200 blocks half are
// treated, in every region, in every block, and in two neighbouring blocks alike.
TEST(Switchback, BlocksAndRegionsAreDrawnIndependently) {
  SnapshotData data = Project();
  ExperimentData experiment = Experiment("x");
  experiment.start_ms = kNow;
  experiment.switchback = {kHourMs, 0, kCity};
  data.experiments = {experiment};
  const auto snapshot = Make(std::move(data));
  constexpr int kSide = 200;
  std::vector<std::vector<int>> treated(kSide, std::vector<int>(kSide));
  for (int region = 0; region < kSide; ++region) {
    const std::string name = "city-" + std::to_string(region);
    const Attribute city{"city", Value::String(name)};
    for (int block = 0; block < kSide; ++block) {
      Context context = User("", kNow + block * kHourMs);
      context.attributes = {&city, 1};
      treated[static_cast<size_t>(region)][static_cast<size_t>(block)] =
          Decide(*snapshot, {0}, context).variant;
    }
  }
  // Chi-square of counts against halves; its mean is kSide and its standard deviation 20.
  const auto against_halves = [](const std::vector<double>& counts, double of) {
    double chi_square = 0;
    for (const double count : counts) chi_square += (count - of / 2) * (count - of / 2) / (of / 4);
    return chi_square;
  };
  std::vector<double> by_region(kSide, 0), by_block(kSide, 0), changes(kSide, 0);
  for (size_t r = 0; r < kSide; ++r) {
    for (size_t b = 0; b < kSide; ++b) {
      by_region[r] += treated[r][b];
      by_block[b] += treated[r][b];
      if (b > 0) changes[r] += treated[r][b] != treated[r][b - 1];
    }
  }
  EXPECT_NEAR(against_halves(by_region, kSide), kSide, 100);
  EXPECT_NEAR(against_halves(by_block, kSide), kSide, 100);
  EXPECT_NEAR(against_halves(changes, kSide - 1), kSide, 100);
}

}  // namespace
}  // namespace fulcrum::core::test
