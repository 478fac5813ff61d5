// SPDX-License-Identifier: Apache-2.0
#include "store/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "store/store.h"

namespace fulcrum::store {
namespace {

using ::testing::HasSubstr;

// A directory that goes away with the test.
class FileSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() /
                 (std::string("fulcrum-") + test->name() + "-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  // Runs SQL of the test's own in a fresh database, to make files.
  void Sql(const std::string& path, const std::string& sql) {
    absl::StatusOr<duckdb::Database> database = duckdb::Database::Open(path);
    ASSERT_TRUE(database.ok()) << Message(database.status());
    absl::StatusOr<duckdb::Connection> connection = database->Connect();
    ASSERT_TRUE(connection.ok());
    const absl::Status status = connection->Execute(sql);
    ASSERT_TRUE(status.ok()) << Message(status);
  }

  std::filesystem::path directory_;
};

Column Plain(const std::string& source_column) {
  Column column;
  column.name = source_column;
  column.source_column = source_column;
  return column;
}

Plan UnitPlan(const std::vector<std::string>& columns) {
  Plan plan;
  plan.population.arms = {{"control", 1}, {"treatment", 1}};
  Group group;
  for (const std::string& column : columns) {
    group.columns.push_back(static_cast<int>(plan.columns.size()));
    plan.columns.push_back(Plain(column));
  }
  plan.groups = {group};
  return plan;
}

const Cell* Find(const PlanResult& result, int arm, int slice = -1, const std::string& value = "") {
  for (const Cell& cell : result.cells) {
    if (cell.arm == arm && cell.slice == slice && cell.slice_value == value) return &cell;
  }
  return nullptr;
}

constexpr char kSmall[] =
    "id,arm,paid,spend,channel\n"
    "1,control,true,10,web\n"
    "2,control,false,0,web\n"
    "3,treatment,1,4.5,app\n"
    "4,treatment,0,,app\n"
    "5,treatment,0,lots,web\n"
    "6,treatment,1,nan,web\n"
    "7,,1,1,web\n"
    "8,green,1,1,web\n"
    "9,treatment,1\n"
    "10,treatment,1,5.5,\n";

TEST_F(FileSourceTest, BadRowsAreCountedWithTheirReason) {
  FileSource source;
  source.path = Write("data.csv", kSmall);
  source.arm_column = "arm";
  source.unit_column = "id";
  Plan plan = UnitPlan({"paid", "spend"});
  plan.slices = {{"channel", {"channel"}, 20}};
  const absl::StatusOr<PlanResult> result = RunOnFile(source, plan);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  const Health& health = result->health;
  EXPECT_EQ(health.rejected_rows, 5);
  const std::map<std::string, double> reasons = {{"spend: missing", 1},
                                                 {"spend: not a number", 1},
                                                 {"spend: not a finite number", 1},
                                                 {"arm: missing", 1},
                                                 {"line: missing columns", 1}};
  EXPECT_EQ(health.rejected_reasons, reasons);
  EXPECT_EQ(health.unknown_variant_exposures, 1);
  EXPECT_EQ(health.unknown_variants.at("green"), 1);
  EXPECT_EQ(health.arms[0].units, 2);
  EXPECT_EQ(health.arms[1].units, 2);
  ASSERT_NE(Find(*result, 1), nullptr);
  EXPECT_EQ(Find(*result, 0)->gram.mean(0), 0.5);
  EXPECT_EQ(Find(*result, 1)->gram.mean(1), 5.0);
  EXPECT_EQ(Find(*result, 1, 0, "app")->gram.n(), 1);
  EXPECT_EQ(Find(*result, 1, 0, "(none)")->gram.n(), 1);
  EXPECT_EQ(Find(*result, 0, 0, "app"), nullptr);
}

TEST_F(FileSourceTest, ErrorsNameWhatIsThere) {
  FileSource source;
  source.path = Write("data.csv", kSmall);
  source.arm_column = "arm";
  const auto message = [&](const Plan& plan) {
    return std::string(Message(RunOnFile(source, plan).status()));
  };
  EXPECT_THAT(message(UnitPlan({"spent"})), HasSubstr("id, arm, paid, spend, channel"));
  EXPECT_THAT(message(UnitPlan({"spent"})), HasSubstr("did you mean \"spend\""));
  source.arms = {{"control", "contrl"}};
  EXPECT_THAT(message(UnitPlan({"spend"})), HasSubstr("\"contrl\""));
  source.arms.clear();
  source.path = Path("nowhere.csv");
  EXPECT_THAT(message(UnitPlan({"spend"})), HasSubstr("does not exist"));
  source.path = Write("data.xyz", kSmall);
  EXPECT_THAT(message(UnitPlan({"spend"})), HasSubstr("csv, parquet or duckdb"));
}

TEST_F(FileSourceTest, AUnitInTwoRowsIsRefused) {
  FileSource source;
  source.path = Write("data.csv", "id,arm,x\n1,control,1\n2,control,1\n2,treatment,1\n");
  source.arm_column = "arm";
  source.unit_column = "id";
  EXPECT_THAT(std::string(Message(RunOnFile(source, UnitPlan({"x"})).status())),
              HasSubstr("unit \"2\" is in several rows"));
}

TEST_F(FileSourceTest, ParquetAndDuckDbGiveWhatCsvGives) {
  FileSource source;
  source.path =
      Write("data.csv", "arm,x,ok\ncontrol,1.5,true\ntreatment,2,false\ncontrol,4,true\n");
  source.arm_column = "arm";
  Plan plan = UnitPlan({"x", "ok"});
  const absl::StatusOr<PlanResult> csv = RunOnFile(source, plan);
  ASSERT_TRUE(csv.ok()) << Message(csv.status());
  Sql(Path("data.duckdb"), "CREATE TABLE \"my \"\"table\" AS FROM '" + source.path +
                               "'; COPY \"my \"\"table\" TO '" + Path("data.parquet") + "'");
  for (const char* name : {"data.duckdb", "data.parquet"}) {
    source.path = Path(name);
    const absl::StatusOr<PlanResult> other = RunOnFile(source, plan);
    ASSERT_TRUE(other.ok()) << name << ": " << Message(other.status());
    for (const int arm : {0, 1}) {
      EXPECT_EQ(Find(*other, arm)->gram.n(), Find(*csv, arm)->gram.n());
      EXPECT_EQ(Find(*other, arm)->gram.means(), Find(*csv, arm)->gram.means());
      EXPECT_EQ(Find(*other, arm)->gram.packed_lower(), Find(*csv, arm)->gram.packed_lower());
    }
  }
}

TEST_F(FileSourceTest, CapsCovariatesAndClusters) {
  FileSource source;
  source.path = Write("data.csv",
                      "arm,house,spend,before\n"
                      "control,h1,100,1\ncontrol,h1,2,\ncontrol,h2,0,3\n"
                      "treatment,h1,4,2\ntreatment,,6,\n");
  source.arm_column = "arm";
  Plan plan = UnitPlan({"spend", "before"});
  plan.columns[0].cap = CapRule{std::nullopt, 0.5, false};  // Of 2, 4, 6, 100: 5.
  plan.columns[1].kind = ColumnKind::kPre;
  Column has = Plain("before");
  has.name = "has_before";
  has.kind = ColumnKind::kHasPre;
  plan.columns.push_back(has);
  plan.groups[0].columns = {0, 1, 2};
  const absl::StatusOr<PlanResult> result = RunOnFile(source, plan);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->cap_values[0], 5);
  EXPECT_DOUBLE_EQ(Find(*result, 0)->gram.mean(0), (5 + 2 + 0) / 3.0);
  EXPECT_DOUBLE_EQ(Find(*result, 0)->gram.mean(2), 2.0 / 3);
  EXPECT_DOUBLE_EQ(Find(*result, 0)->gram.mean(1), 4.0 / 3);

  plan.population.cluster_attribute = "house";
  const absl::StatusOr<PlanResult> clustered = RunOnFile(source, plan);
  ASSERT_TRUE(clustered.ok()) << Message(clustered.status());
  const stats::Gram& gram = Find(*clustered, 0)->gram;
  ASSERT_EQ(gram.width(), 4u);  // The last column: units in the cluster.
  EXPECT_EQ(gram.n(), 2);
  EXPECT_DOUBLE_EQ(gram.mean(0) * 2, 7);
  EXPECT_DOUBLE_EQ(gram.mean(3) * 2, 3);
  EXPECT_EQ(Find(*clustered, 1)->gram.n(), 2);
}

TEST_F(FileSourceTest, TheTailOfASliceIsOther) {
  std::string csv = "arm,x,word\n";
  for (int i = 0; i < 30; ++i) {
    csv += "control," + std::to_string(i) + ",w" + std::to_string(i % 7 * (i % 2)) + "\n";
  }
  FileSource source;
  source.path = Write("data.csv", csv);
  source.arm_column = "arm";
  Plan plan = UnitPlan({"x"});
  plan.slices = {{"word", {"word"}, 2}};
  const absl::StatusOr<PlanResult> result = RunOnFile(source, plan);
  ASSERT_TRUE(result.ok());
  int64_t n = 0;
  double sum = 0;
  int cells = 0;
  for (const Cell& cell : result->cells) {
    if (cell.slice != 0) continue;
    ++cells;
    n += cell.gram.n();
    sum += cell.gram.mean(0) * static_cast<double>(cell.gram.n());
  }
  EXPECT_EQ(cells, 3);
  EXPECT_NE(Find(*result, 0, 0, "w0"), nullptr);
  EXPECT_NE(Find(*result, 0, 0, "other"), nullptr);
  EXPECT_EQ(n, 30);
  EXPECT_NEAR(sum, 435, 1e-9);
}

// The real file against a plain reading of it.
TEST(HillstromTest, MatchesAPlainReading) {
  const std::string path = "../shared/data/hillstrom.csv";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "the e-mail data is not beside this checkout";
  const std::vector<std::string> arms = {"No E-Mail", "Mens E-Mail", "Womens E-Mail"};
  double n[3] = {}, visits[3] = {}, spend[3] = {}, spend2[3] = {}, history[3] = {}, cross[3] = {};
  double web_visits[3] = {};
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    ASSERT_EQ(fields.size(), 12u);
    const size_t arm =
        static_cast<size_t>(std::find(arms.begin(), arms.end(), fields[8]) - arms.begin());
    ASSERT_LT(arm, 3u);
    const double s = std::stod(fields[11]);
    const double h = std::stod(fields[2]);
    n[arm] += 1;
    visits[arm] += std::stod(fields[9]);
    spend[arm] += s;
    spend2[arm] += s * s;
    history[arm] += h;
    cross[arm] += s * h;
    if (fields[7] == "Web") web_visits[arm] += std::stod(fields[9]);
  }
  Plan plan = UnitPlan({"visit", "spend", "history"});
  plan.columns[2].kind = ColumnKind::kPre;
  plan.population.arms = {{"none", 1}, {"mens", 1}, {"womens", 1}};
  plan.slices = {{"channel", {"channel"}, 20}};
  FileSource source;
  source.path = path;
  source.arm_column = "segment";
  source.arms = {{"No E-Mail", "none"}, {"Mens E-Mail", "mens"}, {"Womens E-Mail", "womens"}};
  const absl::StatusOr<PlanResult> result = RunOnFile(source, plan);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->health.rejected_rows, 0);
  for (int arm = 0; arm < 3; ++arm) {
    const stats::Gram& gram = Find(*result, arm)->gram;
    EXPECT_EQ(static_cast<double>(gram.n()), n[arm]);
    EXPECT_EQ(result->health.arms[static_cast<size_t>(arm)].units, n[arm]);
    EXPECT_NEAR(gram.mean(0), visits[arm] / n[arm], 1e-12);
    EXPECT_NEAR(gram.mean(1), spend[arm] / n[arm], 1e-9);
    EXPECT_NEAR(gram.centred(1, 1) / (spend2[arm] - spend[arm] * spend[arm] / n[arm]), 1, 1e-9);
    EXPECT_NEAR(gram.centred(2, 1) / (cross[arm] - spend[arm] * history[arm] / n[arm]), 1, 1e-8);
    const stats::Gram& web = Find(*result, arm, 0, "Web")->gram;
    EXPECT_NEAR(web.mean(0) * static_cast<double>(web.n()), web_visits[arm], 1e-6);
  }
  EXPECT_EQ(n[0] + n[1] + n[2], 64000);
}

}  // namespace
}  // namespace fulcrum::store
