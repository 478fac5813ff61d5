// SPDX-License-Identifier: Apache-2.0
//
// docs/sql.md is true: its queries run, its columns are those of the views.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/embedded_store.h"
#include "store/store_test_util.h"

namespace fulcrum::store {
namespace {

constexpr char kPath[] = "docs/sql.md";  // Tests run in the root of the checkout.

struct Docs {
  std::vector<std::string> queries;
  std::map<std::string, std::map<std::string, std::string>> views;  // View -> column -> type.
};

Docs ReadDocs() {
  Docs docs;
  std::ifstream file(kPath);
  std::string view;
  std::string query;
  bool in_query = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) view = line.substr(3);
    if (line == "```" && in_query) {
      docs.queries.push_back(query);
      in_query = false;
    }
    if (in_query) query += line + "\n";
    if (line == "```sql") {
      in_query = true;
      query.clear();
    }
    if (!line.starts_with("| `")) continue;
    const size_t end = line.find('`', 3);
    const size_t type = line.find("| ", end) + 2;
    docs.views[view][line.substr(3, end - 3)] = line.substr(type, line.find(" |", type) - type);
  }
  return docs;
}

std::unique_ptr<EmbeddedStore> SampleStore(const std::string& directory) {
  auto store = EmbeddedStore::Open({.directory = directory});
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  BatchBuilder batch;
  AddExposure(&batch, "checkout", "a", "u1", kTestStartMs);
  AddEvent(&batch, "pay", "u1", kTestStartMs + 1000, "", 20);
  EXPECT_TRUE(AppendBatch(store->get(), batch).ok());
  EXPECT_TRUE((*store)->Flush().ok());
  return std::move(*store);
}

TEST(SqlDocs, EveryQueryRuns) {
  TempDir dir;
  const auto store = SampleStore(dir.path());
  const Docs docs = ReadDocs();
  ASSERT_GE(docs.queries.size(), 5u) << "is the test run in the root of the checkout?";
  auto session = store->Connect();
  for (const std::string& query : docs.queries) {
    const auto result = session->connection.Query(query);
    EXPECT_TRUE(result.ok()) << query << result.status().ToString();
  }
}

TEST(SqlDocs, EveryColumnIsAsSaid) {
  TempDir dir;
  const auto store = SampleStore(dir.path());
  const Docs docs = ReadDocs();
  ASSERT_EQ(docs.views.size(), 6u);
  auto session = store->Connect();
  for (const auto& [view, columns] : docs.views) {
    auto result = session->connection.Query(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $1", {view});
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    std::set<std::string> seen;
    while (true) {
      auto chunk = result->Next();
      ASSERT_TRUE(chunk.ok());
      if (!*chunk) break;
      for (int64_t row = 0; row < chunk->size(); ++row) {
        const std::string name(chunk->text(0, row));
        if (name.starts_with("unit_") && view == "events") continue;
        ASSERT_TRUE(columns.contains(name)) << view << "." << name << " is not in " << kPath;
        EXPECT_EQ(columns.at(name), chunk->text(1, row)) << view << "." << name;
        seen.insert(name);
      }
    }
    for (const auto& [name, type] : columns) {
      EXPECT_TRUE(seen.contains(name) || name.find('<') != std::string::npos)
          << kPath << " describes " << view << "." << name << ", which is not there";
    }
  }
}

}  // namespace
}  // namespace fulcrum::store
