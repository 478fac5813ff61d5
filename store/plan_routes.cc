// SPDX-License-Identifier: Apache-2.0
//
// Which units an event's ids lead to, links included: arrays by dense id.
#include <algorithm>

#include "base/status.h"
#include "store/plan_scan.h"
#include "store/schema.h"

namespace fulcrum::store {

absl::StatusOr<std::vector<Route>> FindRoutes(duckdb::Connection& connection, const Scope& scope,
                                              const UnitNumbers& numbers) {
  std::vector<Route> routes;
  if (scope.kind < 0) return routes;
  struct Link {
    int32_t known;
    uint32_t unit;
  };
  absl::flat_hash_map<int32_t, std::vector<Link>> by_kind;
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result links,
      connection.Stream("SELECT DISTINCT known_kind, known, anonymous FROM link_rows" +
                        scope.Where() + " AND anonymous_kind = " + std::to_string(scope.kind)));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, links.Next());
    if (!chunk) break;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const auto anonymous = static_cast<size_t>(chunk.data<int32_t>(2)[row]);
      if (anonymous >= numbers.size() || numbers[anonymous] == kNoUnit) continue;
      by_kind[chunk.data<int32_t>(0)[row]].push_back(
          {chunk.data<int32_t>(1)[row], numbers[anonymous]});
    }
  }
  by_kind[scope.kind];
  for (auto& [kind, list] : by_kind) {
    Route route;
    route.column = UnitColumn(kind);
    if (scope.event_columns.count(route.column) == 0) continue;  // No event ever had one.
    if (kind == scope.kind) route.own = &numbers;
    std::sort(list.begin(), list.end(), [](const Link& a, const Link& b) {
      return a.known != b.known ? a.known < b.known : a.unit < b.unit;
    });
    if (!list.empty()) route.first.resize(static_cast<size_t>(list.back().known) + 2, 0);
    for (const Link& link : list) {
      ++route.first[static_cast<size_t>(link.known) + 1];
      route.units.push_back(link.unit);
    }
    for (size_t i = 1; i < route.first.size(); ++i) route.first[i] += route.first[i - 1];
    routes.push_back(std::move(route));
  }
  return routes;
}

absl::StatusOr<std::vector<uint32_t>> NewlyLinked(duckdb::Connection& connection,
                                                  const Scope& scope, const UnitNumbers& numbers) {
  std::vector<uint32_t> units;
  if (scope.kind < 0) return units;
  FULCRUM_ASSIGN_OR_RETURN(
      duckdb::Result links,
      connection.Stream("SELECT DISTINCT anonymous FROM link_rows" + scope.Where() +
                        " AND anonymous_kind = " + std::to_string(scope.kind)));
  while (true) {
    FULCRUM_ASSIGN_OR_RETURN(const duckdb::Chunk chunk, links.Next());
    if (!chunk) return units;
    for (int64_t row = 0; row < chunk.size(); ++row) {
      const auto id = static_cast<size_t>(chunk.data<int32_t>(0)[row]);
      if (id < numbers.size() && numbers[id] != kNoUnit) units.push_back(numbers[id]);
    }
  }
}

}  // namespace fulcrum::store
