// SPDX-License-Identifier: Apache-2.0
#include "store/import.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "store/embedded_store.h"
#include "store/import_rows.h"
#include "store/store_test_util.h"

namespace fulcrum::store {
namespace {

std::unique_ptr<EmbeddedStore> MustOpen(const std::string& directory) {
  absl::StatusOr<std::unique_ptr<EmbeddedStore>> store =
      EmbeddedStore::Open({.directory = directory});
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? std::move(*store) : nullptr;
}

int64_t Count(EmbeddedStore* store, const std::string& sql) {
  auto session = store->Connect();
  if (!session.ok()) return -1;
  const auto count = session->connection.QueryInt(sql);
  EXPECT_TRUE(count.ok()) << count.status().ToString();
  return count.value_or(-1);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Everything that was stored, exported and imported again is the same, but for seq.
TEST(Import, ReadsBackWhatWasExported) {
  std::mt19937 random(4);
  TempDir dir;
  std::filesystem::create_directory(dir / "one");
  const auto one = MustOpen(dir / "one");
  for (int b = 0; b < 4; ++b) {
    BatchBuilder batch;
    for (int i = 0; i < 50; ++i) {
      const std::string user = "u\"," + std::to_string(random() % 20);
      const UnitRef ids[] = {{"user", user}, {"device", "d'" + user}};
      const std::string city = "city\n" + std::to_string(random() % 3);
      const std::string zip = "0" + std::to_string(random() % 1000);
      const PropertyView properties[] = {
          {.key = "city", .type = PropertyType::kString, .text = city},
          {.key = "zip", .type = PropertyType::kString, .text = zip},
          {.key = "price", .type = PropertyType::kNumber, .number = 1.0 / (1 + random() % 7)},
          {.key = "gift", .type = PropertyType::kBool, .boolean = random() % 2 == 0}};
      batch.Add(ExposureView{.experiment = "e",
                             .variant = "v",
                             .unit = ids[0],
                             .ts_ms = kTestStartMs + static_cast<int64_t>(random() % 100000),
                             .snapshot = "s",
                             .phase = static_cast<int32_t>(random() % 3),
                             .propensity = 0.5,
                             .attributes = properties});
      batch.Add(EventView{.name = "paid",
                          .ts_ms = kTestStartMs + static_cast<int64_t>(random() % 100000),
                          .ids = {ids, 1 + random() % 2},
                          .order_id = i % 2 ? "o1" : "",
                          .value = 0.1 * (random() % 100),
                          .currency = "EUR",
                          .properties = {properties, random() % 5}});
      batch.Add(LinkView{.anonymous = ids[1], .known = ids[0], .ts_ms = kTestStartMs + i});
    }
    ASSERT_TRUE(AppendBatch(one.get(), batch, "", kTestStartMs + b).ok());
  }
  for (const std::string format : {"parquet", "csv"}) {
    const std::string out = dir / format;
    const absl::Status exported = one->Export(out, format);
    ASSERT_TRUE(exported.ok()) << exported.ToString();
    const std::string directory = dir / (format + "_store");
    std::filesystem::create_directory(directory);
    const auto two = MustOpen(directory);
    for (const auto& [kind, name] :
         {std::pair{ImportKind::kExposures, "exposures"}, std::pair{ImportKind::kEvents, "events"},
          std::pair{ImportKind::kLinks, "links"}}) {
      const auto result =
          ImportFile(two.get(), {.kind = kind, .path = out + "/" + name + "." + format});
      ASSERT_TRUE(result.ok()) << result.status().ToString();
      EXPECT_EQ(result->accepted, 200);
      EXPECT_EQ(result->rejected, 0);
    }
    const std::string again = dir / (format + "_again");
    ASSERT_TRUE(two->Export(again, format).ok());
    for (const std::string view : {"exposures", "events", "links"}) {
      // Column by name: their order is that of first sight.
      std::string columns = view == "exposures" ? "attr_city, attr_zip, attr_price, attr_gift, "
                                                  "experiment, variant, unit, unit_kind, phase, "
                                                  "propensity, snapshot, ts, received"
                            : view == "events"  ? "name, value, currency, unit_user, unit_device, "
                                                  "unit_order, prop_city, prop_zip, prop_price, "
                                                  "prop_gift, ts, received"
                                                : "anonymous_kind, anonymous, known_kind, known, "
                                                  "ts, received";
      const std::string first =
          "SELECT " + columns + " FROM " + duckdb::QuoteText(out + "/" + view + "." + format);
      const std::string second =
          "SELECT " + columns + " FROM " + duckdb::QuoteText(again + "/" + view + "." + format);
      EXPECT_EQ(Count(two.get(), "SELECT count(*) FROM (" + first + " EXCEPT ALL " + second + ")"),
                0);
      EXPECT_EQ(Count(two.get(), "SELECT count(*) FROM (" + second + " EXCEPT ALL " + first + ")"),
                0);
    }
  }
}

TEST(Import, RejectsRowsWithTheReasonAndKeepsTheirNeighbours) {
  TempDir dir;
  const auto store = MustOpen(dir.path());
  const std::string path = dir / "events.csv";
  std::ofstream(path) << "name,ts,unit,value,channel\n"
                         "paid,2025-06-15T10:00:00Z,u1,5,web\n"
                         "paid,yesterday,u1,5,web\n"
                         "paid,1750000000000,,5,web\n"
                         "paid,2025-06-15 10:00:00,u2,much,web\n"
                         ",1750000000000,u2,1,web\n"
                         "paid,2025-06-15,u3,nan,web\n"
                         "paid,1900-01-01,u3,1,web\n"
                         "paid,1750000000000,u4,,\n";
  const ImportRequest request{
      .path = path, .rejected_path = dir / "rejected.csv", .received_ms = kTestStartMs};
  const auto result = ImportFile(store.get(), request);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->rows, 8);
  EXPECT_EQ(result->accepted, 2);
  EXPECT_EQ(result->rejected, 6);
  EXPECT_EQ(ReadFile(dir / "rejected.csv"),
            "row,reason,data\n"
            "2,\"ts \"\"yesterday\"\" is not a time between 2000 and 2200\","
            "\"paid,yesterday,u1,5,web\"\n"
            "3,\"it has no unit\",\"paid,1750000000000,,5,web\"\n"
            "4,\"value \"\"much\"\" is not a number\",\"paid,2025-06-15 10:00:00,u2,much,web\"\n"
            "5,\"name is empty\",\",1750000000000,u2,1,web\"\n"
            "6,\"value \"\"nan\"\" is not a number\",\"paid,2025-06-15,u3,nan,web\"\n"
            "7,\"ts \"\"1900-01-01\"\" is not a time between 2000 and 2200\","
            "\"paid,1900-01-01,u3,1,web\"\n");
  EXPECT_EQ(Count(store.get(), "SELECT count(*) FROM events WHERE prop_channel = 'web'"), 1);

  const auto again = ImportFile(store.get(), request);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->replayed, 2);
  EXPECT_EQ(Count(store.get(), "SELECT count(*) FROM events"), 2);
}

TEST(Import, NamesAMissingColumnAndAMissingFile) {
  TempDir dir;
  const auto store = MustOpen(dir.path());
  std::ofstream(dir / "x.csv") << "experiment,varant,unit,ts\ne,v,u,1750000000000\n";
  const auto missing =
      ImportFile(store.get(), {.kind = ImportKind::kExposures, .path = dir / "x.csv"}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(missing.ToString().find("did you mean \"varant\""), std::string::npos)
      << missing.ToString();
  EXPECT_EQ(ImportFile(store.get(), {.path = dir / "none.csv"}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(Import, ReadsTimesInEveryForm) {
  const int64_t ms = 1'749'981'600'000;
  EXPECT_EQ(ParseImportTime("1749981600000"), ms);
  EXPECT_EQ(ParseImportTime("2025-06-15T10:00:00Z"), ms);
  EXPECT_EQ(ParseImportTime("2025-06-15T12:00:00+02:00"), ms);
  EXPECT_EQ(ParseImportTime("2025-06-15 10:00:00"), ms);
  EXPECT_EQ(ParseImportTime("2025-06-15 10:00:00.250"), ms + 250);
  EXPECT_EQ(ParseImportTime("2025-06-15"), ms - 10 * 3600 * 1000);
  for (const char* bad : {"", "10:00", "2025-13-01", "1749981600", "x", "2025-06-15 "}) {
    EXPECT_EQ(ParseImportTime(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace fulcrum::store
