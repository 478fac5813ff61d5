// SPDX-License-Identifier: Apache-2.0
#include "store/embedded_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "base/status.h"
#include "store/store_test_util.h"

namespace fulcrum::store {
namespace {

std::unique_ptr<EmbeddedStore> MustOpen(const EmbeddedOptions& options) {
  absl::StatusOr<std::unique_ptr<EmbeddedStore>> store = EmbeddedStore::Open(options);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? std::move(*store) : nullptr;
}

absl::Status OpenError(const std::string& directory) {
  return EmbeddedStore::Open({.directory = directory}).status();
}

// One row a line, cells divided by '|', NULL as "-".
std::string Rows(EmbeddedStore* store, const std::string& sql) {
  const absl::Status flushed = store->Flush();
  if (!flushed.ok()) return flushed.ToString();
  auto session = store->Connect();
  if (!session.ok()) return session.status().ToString();
  auto result = session->connection.Query("SELECT COLUMNS(*)::VARCHAR FROM (" + sql + ") AS t");
  if (!result.ok()) return result.status().ToString();
  std::string rows;
  while (true) {
    auto chunk = result->Next();
    if (!chunk.ok()) return chunk.status().ToString();
    if (!*chunk) return rows;
    for (int64_t row = 0; row < chunk->size(); ++row) {
      for (int column = 0; column < chunk->columns(); ++column) {
        rows += column > 0 ? "|" : "";
        rows += chunk->is_null(column, row) ? "-" : std::string(chunk->text(column, row));
      }
      rows += "\n";
    }
  }
}

TEST(EmbeddedStore, LoadsEveryKindOfItemAndShowsItInTheViews) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  BatchBuilder batch;
  const PropertyView attributes[] = {
      {.key = "channel", .type = PropertyType::kString, .text = "paid"},
      {.key = "new", .type = PropertyType::kBool, .boolean = true}};
  batch.Add(ExposureView{.exposure_id = "x1",
                         .experiment = "checkout",
                         .variant = "one_page",
                         .unit = {"device", "d1"},
                         .ts_ms = kTestStartMs,
                         .snapshot = "s1",
                         .phase = 2,
                         .propensity = 0.5,
                         .attributes = attributes});
  const UnitRef ids[] = {{"device", "d1"}, {"user", "u1"}};
  const PropertyView properties[] = {{.key = "price", .type = PropertyType::kNumber, .number = 9.5},
                                     {.key = "mixed", .type = PropertyType::kNumber, .number = 2}};
  batch.Add(EventView{.event_id = "e1",
                      .name = "paid",
                      .ts_ms = kTestStartMs + 1000,
                      .ids = ids,
                      .order_id = "o1",
                      .value = 12.25,
                      .currency = "EUR",
                      .properties = properties});
  const PropertyView mixed[] = {{.key = "mixed", .type = PropertyType::kString, .text = "two"}};
  batch.Add(
      EventView{.name = "browse", .ts_ms = kTestStartMs - 1, .ids = {ids, 1}, .properties = mixed});
  batch.Add(LinkView{.anonymous = ids[0], .known = ids[1], .ts_ms = kTestStartMs + 5});
  batch.Add(ClientCountsView{.experiment = "checkout",
                             .variant = "one_page",
                             .assigned = 9,
                             .shown = 8,
                             .sent = 7,
                             .dropped = 1});
  ASSERT_TRUE(AppendBatch(store.get(), batch, "b1", kTestStartMs + 60000).ok());

  EXPECT_EQ(Rows(store.get(),
                 "SELECT ts, received, experiment, variant, unit_kind, unit, phase, "
                 "propensity, snapshot, attr_channel, attr_new FROM exposures"),
            "2025-06-15 15:06:40|2025-06-15 15:07:40|checkout|one_page|device|d1|2|0.5|s1|paid|"
            "true\n");
  EXPECT_EQ(Rows(store.get(),
                 "SELECT name, value, currency, unit_device, unit_user, unit_order, "
                 "prop_price, prop_mixed FROM events ORDER BY seq"),
            "paid|12.25|EUR|d1|u1|o1|9.5|2.0\nbrowse|-|-|d1|-|-|-|two\n");
  EXPECT_EQ(Rows(store.get(), "SELECT anonymous_kind, anonymous, known_kind, known FROM links"),
            "device|d1|user|u1\n");
  EXPECT_EQ(Rows(store.get(),
                 "SELECT experiment, variant, assigned, shown, sent, dropped FROM "
                 "client_counts"),
            "checkout|one_page|9|8|7|1\n");
  // Only what came at or after the first exposure is an outcome.
  EXPECT_EQ(Rows(store.get(),
                 "SELECT experiment, variant, unit, event, events, value, "
                 "variants_seen FROM unit_outcomes"),
            "checkout|one_page|d1|paid|1|12.25|1\n");
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.rows_events, 2);
  EXPECT_EQ(stats.rows_exposures, 1);
  EXPECT_EQ(stats.backlog_batches, 0);
  EXPECT_EQ(stats.backlog_bytes, 0);
}

TEST(EmbeddedStore, CountsARepeatedIdOnce) {
  TempDir dir;
  const EmbeddedOptions options{.directory = dir.path()};
  for (int round = 0; round < 3; ++round) {  // Across batches and across restarts.
    const auto store = MustOpen(options);
    for (int i = 0; i < 2; ++i) {
      BatchBuilder batch;
      AddEvent(&batch, "paid", "u1", kTestStartMs, "same");
      AddEvent(&batch, "paid", "u1", kTestStartMs, "");  // Without an id each one counts.
      AddExposure(&batch, "e", "a", "u1", kTestStartMs, "same");
      ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
    }
    ASSERT_TRUE(store->Flush().ok());
  }
  const auto store = MustOpen(options);
  EXPECT_EQ(Rows(store.get(), "SELECT count(*) FROM event_rows"), "7\n");
  EXPECT_EQ(Rows(store.get(), "SELECT count(*) FROM exposure_rows"), "1\n");
  EXPECT_EQ(Rows(store.get(), "SELECT scope, count(*) FROM duplicates GROUP BY 1 ORDER BY 1"),
            "0|5\n1|5\n");
}

// For every instant T, first_exposures received by T give the same firsts as all exposures do.
TEST(EmbeddedStore, FirstExposuresAreExactAsOfEveryInstant) {
  std::mt19937 random(7);
  for (const int64_t memory : {int64_t{1} << 20, int64_t{2000}}) {  // Ample, and forgetting.
    TempDir dir;
    const auto store =
        MustOpen({.directory = dir.path(), .loader_memory_bytes = memory, .threads = 1});
    for (int b = 0; b < 40; ++b) {
      BatchBuilder batch;
      for (int i = 0; i < 20; ++i) {
        AddExposure(&batch, random() % 2 ? "e1" : "e2", random() % 4 ? "a" : "b",
                    "u" + std::to_string(random() % 60),
                    kTestStartMs + static_cast<int64_t>(random() % 50));
      }
      // The clock is set back once.
      const int64_t received = kTestStartMs + 100 + (b < 30 ? b : b - 15);
      ASSERT_TRUE(AppendBatch(store.get(), batch, "", received).ok());
      if (b % 3 == 0) {
        ASSERT_TRUE(store->Flush().ok());
      }
    }
    const std::string firsts =
        "SELECT t.as_of, experiment, unit, min((ts_ms, seq)) AS first, "
        "arg_min(variant, (ts_ms, seq)) AS variant FROM $TABLE r, "
        "(SELECT DISTINCT received_ms AS as_of FROM exposure_rows) t "
        "WHERE r.received_ms <= t.as_of GROUP BY ALL";
    const std::string arms =
        "SELECT t.as_of, experiment, unit, variant, min(ts_ms) FROM $TABLE r, "
        "(SELECT DISTINCT received_ms AS as_of FROM exposure_rows) t "
        "WHERE r.received_ms <= t.as_of GROUP BY ALL";
    for (const std::string& query : {firsts, arms}) {
      std::string all = query;
      std::string kept = query;
      all.replace(all.find("$TABLE"), 6, "exposure_rows");
      kept.replace(kept.find("$TABLE"), 6, "first_exposures");
      EXPECT_EQ(Rows(store.get(), "(" + all + ") EXCEPT (" + kept + ")"), "");
      EXPECT_EQ(Rows(store.get(), "(" + kept + ") EXCEPT (" + all + ")"), "");
    }
    if (memory > 100000) {
      EXPECT_EQ(Rows(store.get(), "SELECT count(*) < 700 FROM first_exposures"), "true\n");
    }
  }
}

// With room for next to nothing, codes stay dense and unique: forgotten texts are looked up.
TEST(EmbeddedStore, CodesSurviveForgettingAndRestarts) {
  TempDir dir;
  const EmbeddedOptions options{.directory = dir.path(), .loader_memory_bytes = 4000};
  std::mt19937 random(11);
  for (int round = 0; round < 3; ++round) {
    const auto store = MustOpen(options);
    for (int b = 0; b < 20; ++b) {
      BatchBuilder batch;
      for (int i = 0; i < 30; ++i) {
        const std::string city = "city" + std::to_string(random() % 200);
        const std::string user = "u" + std::to_string(random() % 300);
        const UnitRef ids[] = {{"user", user}};
        const PropertyView properties[] = {
            {.key = "city", .type = PropertyType::kString, .text = city},
            {.key = "user", .type = PropertyType::kString, .text = user}};
        batch.Add(
            EventView{.name = "n", .ts_ms = kTestStartMs, .ids = ids, .properties = properties});
      }
      ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
      ASSERT_TRUE(store->Flush().ok());
    }
  }
  const auto store = MustOpen(options);
  EXPECT_EQ(Rows(store.get(), "SELECT count(*) FROM events WHERE unit_user = prop_user"), "1800\n");
  EXPECT_EQ(Rows(store.get(),
                 "SELECT count(*) = count(DISTINCT text), "
                 "count(*) = max(id) + 1 FROM units"),
            "true|true\n");
  EXPECT_EQ(Rows(store.get(),
                 "SELECT count(*) = count(DISTINCT text), "
                 "count(*) = max(id) + 1 FROM strings"),
            "true|true\n");
}

TEST(EmbeddedStore, KeepsPropertiesBeyondTheColumns) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  BatchBuilder batch;
  std::vector<std::string> keys;
  for (int i = 0; i < 130; ++i) keys.push_back("k" + std::to_string(i));
  std::vector<PropertyView> properties;
  for (const std::string& key : keys) {
    properties.push_back({.key = key, .type = PropertyType::kString, .text = "v\""});
  }
  const UnitRef ids[] = {{"user", "u"}};
  batch.Add(EventView{.name = "n", .ts_ms = kTestStartMs, .ids = ids, .properties = properties});
  ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  EXPECT_EQ(Rows(store.get(), "SELECT prop_k0, prop_k127, extra FROM events"),
            "v\"|v\"|{\"k128\":\"v\\\"\",\"k129\":\"v\\\"\"}\n");

  // A report that needs such a key must not count it as absent.
  AddExposure(&batch, "checkout", "control", "u", kTestStartMs);
  ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  Plan plan;
  plan.population = {.experiment = "checkout", .unit_kind = "user", .arms = {{"control"}}};
  plan.columns = {{.name = "c", .terms = {{.events = {"n"}, .property = "k5"}}}};
  plan.groups = {{.columns = {0}}};
  EXPECT_TRUE(store->Run(plan).ok());
  plan.columns[0].terms[0].property = "never sent";
  EXPECT_TRUE(store->Run(plan).ok());
  plan.columns[0].terms[0].property = "k129";
  const absl::Status refused = store->Run(plan).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(refused).find("\"k129\" came after 128 others"), std::string::npos) << refused;
}

TEST(EmbeddedStore, OddNamesDoNotBreakTheViews) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  using std::string_view_literals::operator""sv;
  BatchBuilder batch;
  std::vector<UnitRef> ids;
  std::vector<PropertyView> properties;
  for (const std::string_view name : {"a\0b"sv, "\""sv, "A"sv, "a"sv, ""sv, "a; DROP"sv, "é"sv}) {
    ids.push_back({name, "u"});
    properties.push_back({.key = name, .type = PropertyType::kNumber, .number = 1});
  }
  batch.Add(EventView{.name = "n", .ts_ms = kTestStartMs, .ids = ids, .properties = properties});
  batch.Add(ExposureView{.experiment = "e",
                         .variant = "v",
                         .unit = ids[0],
                         .ts_ms = kTestStartMs,
                         .attributes = properties});
  ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  EXPECT_EQ(Rows(store.get(), "SELECT \"unit_a_b\", \"prop_a_2\", \"prop_\" FROM events"),
            "u|1.0|1.0\n");
  EXPECT_EQ(Rows(store.get(), "SELECT \"attr_\"\"\" FROM exposures"), "1.0\n");
}

TEST(EmbeddedStore, SetsADamagedBatchAsideAndGoesOn) {
  TempDir dir;
  const EmbeddedOptions options{.directory = dir.path()};
  {
    const auto store = MustOpen(options);
    BatchBuilder good;
    AddEvent(&good, "paid", "u1", kTestStartMs);
    BatchBuilder bad_text;
    AddEvent(&bad_text, "paid", "\xff\xfe", kTestStartMs);
    BatchBuilder bad_value;
    AddEvent(&bad_value, "paid", "u2", kTestStartMs, "", std::nan(""));
    ASSERT_TRUE(AppendBatch(store.get(), good).ok());
    ASSERT_TRUE(store->Append({.payload = "\x01garbage", .items = 3}).ok());
    ASSERT_TRUE(AppendBatch(store.get(), bad_text).ok());
    ASSERT_TRUE(AppendBatch(store.get(), bad_value).ok());
    ASSERT_TRUE(AppendBatch(store.get(), good).ok());
    ASSERT_TRUE(store->Flush().ok());
    EXPECT_EQ(store->stats().set_aside_batches, 3);
    EXPECT_EQ(store->stats().backlog_bytes, 0);
    EXPECT_EQ(Rows(store.get(), "SELECT count(*) FROM event_rows"), "2\n");
    EXPECT_EQ(Rows(store.get(), "SELECT sequence, items, reason FROM set_aside ORDER BY 1"),
              "2|3|item 0 has an unknown tag\n"
              "3|1|it holds a text that is not valid UTF-8\n"
              "4|1|the value of an event is not a finite number\n");
  }
  const auto store = MustOpen(options);
  EXPECT_EQ(store->stats().set_aside_batches, 3);
}

TEST(EmbeddedStore, AppendsWhileColumnsAreAddedAndReportsRun) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  std::atomic<bool> done = false;
  std::atomic<int> bad = 0;
  std::thread reader([&] {
    while (!done) {
      const std::string counts = Rows(store.get(), "SELECT count(*) % 10 FROM events");
      if (counts != "0\n") ++bad;  // A batch is seen whole or not at all.
    }
  });
  for (int b = 0; b < 60; ++b) {
    BatchBuilder batch;
    const std::string key = "key" + std::to_string(b);
    for (int i = 0; i < 10; ++i) {
      const UnitRef ids[] = {{"user", "u"}};
      const PropertyView properties[] = {{.key = key, .type = PropertyType::kNumber, .number = 1}};
      batch.Add(
          EventView{.name = "n", .ts_ms = kTestStartMs, .ids = ids, .properties = properties});
    }
    ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  }
  const absl::Status flushed = store->Flush();
  done = true;
  reader.join();
  EXPECT_TRUE(flushed.ok()) << flushed.ToString();
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(Rows(store.get(), "SELECT count(*), sum(prop_key59) FROM events"), "600|10.0\n");
}

TEST(EmbeddedStore, TellsTheFirstExposureOfAUnitWithItsAttributes) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  const auto show = [&](int64_t ts_ms, int32_t phase, double propensity, std::string_view channel,
                        double age) {
    const PropertyView attributes[] = {
        {.key = "channel", .type = PropertyType::kString, .text = channel},
        {.key = "age", .type = PropertyType::kNumber, .number = age},
        {.key = "member", .type = PropertyType::kBool, .boolean = true}};
    BatchBuilder batch;
    batch.Add(ExposureView{.experiment = "e",
                           .variant = "a",
                           .unit = {"user", "u1"},
                           .ts_ms = ts_ms,
                           .snapshot = "s" + std::to_string(phase),
                           .phase = phase,
                           .propensity = propensity,
                           .attributes = attributes});
    ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  };
  show(5000, 2, 0.25, "late \"one\"", 31.5);
  show(2000, 1, 0.5, "said \"hi\"", 30);  // The earlier one arrives later.
  BatchBuilder bare;
  AddExposure(&bare, "f", "b", "u1", 9000);
  ASSERT_TRUE(AppendBatch(store.get(), bare).ok());
  const auto seen = store->Unit("user", "u1");
  ASSERT_TRUE(seen.ok()) << seen.status().ToString();
  ASSERT_EQ(seen->size(), 2u);
  const UnitSighting& first = (*seen)[0];
  EXPECT_EQ(first.exposures, 2);
  EXPECT_EQ(first.phase, 1);
  EXPECT_EQ(first.propensity, 0.5);
  EXPECT_EQ(first.snapshot, "s1");
  EXPECT_EQ(first.attributes,
            (std::map<std::string, std::string>{
                {"age", "30.0"}, {"channel", R"("said \"hi\"")"}, {"member", "true"}}));
  EXPECT_EQ((*seen)[1].propensity, 0);
  EXPECT_TRUE((*seen)[1].snapshot.empty());
  EXPECT_TRUE((*seen)[1].attributes.empty());
}

TEST(EmbeddedStore, FindsWhatAUnitSaw) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  BatchBuilder batch;
  AddExposure(&batch, "e1", "a", "u1", 2000);
  AddExposure(&batch, "e1", "a", "u1", 5000);
  AddExposure(&batch, "e2", "b", "u1", 1000);
  AddExposure(&batch, "e2", "b", "u2", 1);
  ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  const auto seen = store->Unit("user", "u1");
  ASSERT_TRUE(seen.ok()) << seen.status().ToString();
  ASSERT_EQ(seen->size(), 2u);
  EXPECT_EQ((*seen)[0].experiment, "e2");
  EXPECT_EQ((*seen)[1].first_ms, 2000);
  EXPECT_EQ((*seen)[1].last_ms, 5000);
  EXPECT_EQ((*seen)[1].exposures, 2);
  EXPECT_TRUE(store->Unit("user", "nobody")->empty());
  EXPECT_TRUE(store->Unit("planet", "u1")->empty());
}

TEST(EmbeddedStore, KeepsResultsOncePerInstant) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  ASSERT_TRUE(store->PutResults({{"e", "m", "a", "lift", 1.5, 1000}}).ok());
  ASSERT_TRUE(
      store->PutResults({{"e", "m", "a", "lift", 2.5, 1000}, {"e", "m", "a", "lift", 3, 2000}})
          .ok());
  EXPECT_EQ(Rows(store.get(), "SELECT value, as_of FROM results ORDER BY as_of"),
            "2.5|1970-01-01 00:00:01\n3.0|1970-01-01 00:00:02\n");
}

TEST(EmbeddedStore, ExportsWhatItHolds) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  BatchBuilder batch;
  for (int i = 0; i < 1000; ++i) {
    AddEvent(&batch, "paid", "u'" + std::to_string(i), kTestStartMs + i);
    AddExposure(&batch, "e", "a", "u'" + std::to_string(i), kTestStartMs);
  }
  ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
  for (const std::string format : {"parquet", "csv"}) {
    const std::string out = dir / ("it's " + format);
    const absl::Status status = store->Export(out, format);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(Rows(store.get(), "(SELECT * FROM events) EXCEPT (SELECT * FROM " +
                                    duckdb::QuoteText(out + "/events." + format) + ")"),
              "");
    EXPECT_EQ(Rows(store.get(),
                   "SELECT count(*) FROM " + duckdb::QuoteText(out + "/exposures." + format)),
              "1000\n");
    EXPECT_EQ(store->Export(out, format).code(), absl::StatusCode::kAlreadyExists);
  }
  EXPECT_EQ(store->Export(dir / "x", "xlsx").code(), absl::StatusCode::kInvalidArgument);
}

// --- Opening -------------------------------------------------------------------------------------

TEST(OpenStore, AMissingDirectoryIsNamed) {
  const absl::Status status = OpenError("/nowhere/at/all");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.ToString().find("/nowhere/at/all"), std::string::npos);
}

TEST(OpenStore, ASecondProcessIsRefusedWithTheIdOfTheFirst) {
  TempDir dir;
  const auto store = MustOpen({.directory = dir.path()});
  const absl::Status status = OpenError(dir.path());  // flock() is per open file, so this counts.
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.ToString().find(std::to_string(getpid())), std::string::npos);
}

TEST(OpenStore, AnUnwritableDirectoryIsRefused) {
  TempDir dir;
  ASSERT_EQ(chmod(dir.path().c_str(), 0555), 0);
  // Root may write everywhere, so a child gives that up.
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    _exit(OpenError(dir.path()).code() == absl::StatusCode::kPermissionDenied ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

class OpenDamaged : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto store = MustOpen({.directory = dir_.path()});
    BatchBuilder batch;
    AddEvent(&batch, "paid", "u1", kTestStartMs);
    ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
    ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
    ASSERT_TRUE(store->Flush().ok());
    // Until the inbox has let the loaded batches go.
    for (int i = 0; i < 300; ++i) {
      auto inbox = sqlite::Connection::Open(dir_ / "inbox.sqlite", SQLITE_OPEN_READWRITE);
      if (*inbox->QueryInt("SELECT count(*) FROM inbox") == 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void Overwrite(const std::string& name, int64_t offset, const std::string& bytes) {
    std::fstream file(dir_ / name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file << bytes;
  }
  std::string Bytes(const std::string& name) {
    std::ifstream file(dir_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  TempDir dir_;
};

TEST_F(OpenDamaged, ADamagedDuckDbFileIsLeftAlone) {
  Overwrite("fulcrum.duckdb", 0, std::string(8192, 'g'));
  const std::string before = Bytes("fulcrum.duckdb");
  const absl::Status status = OpenError(dir_.path());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status.ToString();
  EXPECT_NE(status.ToString().find("fulcrum.duckdb"), std::string::npos);
  EXPECT_EQ(Bytes("fulcrum.duckdb"), before);
}

TEST_F(OpenDamaged, ADamagedInboxIsLeftAlone) {
  Overwrite("inbox.sqlite", 0, std::string(200, 'g'));
  const std::string before = Bytes("inbox.sqlite");
  const absl::Status status = OpenError(dir_.path());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status.ToString();
  EXPECT_EQ(Bytes("inbox.sqlite"), before);
}

TEST_F(OpenDamaged, AMissingDuckDbFileIsNotMadeAnew) {
  std::filesystem::remove(dir_ / "fulcrum.duckdb");
  const absl::Status status = OpenError(dir_.path());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status.ToString();
}

TEST_F(OpenDamaged, AMissingInboxIsNotMadeAnew) {
  std::filesystem::remove(dir_ / "inbox.sqlite");
  const absl::Status status = OpenError(dir_.path());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status.ToString();
  EXPECT_FALSE(std::filesystem::exists(dir_ / "inbox.sqlite"));
}

TEST_F(OpenDamaged, FilesOfTwoStoresDoNotMix) {
  TempDir other;
  { MustOpen({.directory = other.path()}); }
  std::filesystem::copy_file(dir_ / "fulcrum.duckdb", other / "fulcrum.duckdb",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(OpenError(other.path()).code(), absl::StatusCode::kDataLoss);
}

TEST_F(OpenDamaged, AnOlderDuckDbFileIsRefused) {
  const std::string old = Bytes("fulcrum.duckdb");
  {
    const auto store = MustOpen({.directory = dir_.path()});
    BatchBuilder batch;
    AddEvent(&batch, "paid", "u1", kTestStartMs);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(AppendBatch(store.get(), batch).ok());
      ASSERT_TRUE(store->Flush().ok());
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  std::ofstream(dir_ / "fulcrum.duckdb", std::ios::binary) << old;
  const absl::Status status = OpenError(dir_.path());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status.ToString();
}

TEST_F(OpenDamaged, ADuckDbFileOfSomethingElseIsRefused) {
  TempDir other;
  {
    auto database = duckdb::Database::Open(other / "shop.duckdb");
    auto connection = database->Connect();
    ASSERT_TRUE(connection->Execute("CREATE TABLE orders(id INTEGER)").ok());
  }
  const absl::Status status =
      EmbeddedStore::Open({.directory = dir_.path(), .duckdb_path = other / "shop.duckdb"})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status.ToString();
}

}  // namespace
}  // namespace fulcrum::store
