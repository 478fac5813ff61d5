// SPDX-License-Identifier: Apache-2.0
//
// A group of batches on its way from the inbox into the analytical tables: decoded, coded, sorted
// into tables, written in one transaction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/code_book.h"
#include "store/inbox.h"
#include "store/property_columns.h"
#include "store/recent.h"
#include "store/staged_table.h"

namespace fulcrum::store {

struct LoadCounts {
  int64_t exposures = 0;
  int64_t events = 0;
};

// Not thread-safe: the loader's. After any failure, Load() again before the next group: everything
// remembered is then read back from what is durable.
class LoadGroup {
 public:
  // `memory_bytes` bounds what is remembered between groups.
  explicit LoadGroup(int64_t memory_bytes);

  absl::Status Load(duckdb::Connection* connection);

  // When not all codes fit in memory: looks up what the batches will need.
  absl::Status Prepare(const std::vector<InboxBatch>& batches, duckdb::Connection* connection);

  // False with *error: the batch is damaged, and the group is spoilt.
  bool Add(const InboxBatch& batch, std::string* error);

  // Everything added, inside the caller's transaction, with the watermark, which must be `from` and
  // becomes `to`. *columns_added: the views must be made again.
  absl::Status Write(duckdb::Connection* connection, int64_t from, int64_t to, bool* columns_added);
  void Committed();

  const LoadCounts& counts() const { return counts_; }

 private:
  void AddExposure(const ExposureView& exposure);
  void AddEvent(const EventView& event);
  void AddLink(const LinkView& link);
  void AddCounts(const ClientCountsView& counts);
  void PutProperties(std::span<const PropertyView> properties, PropertyColumns* columns,
                     StagedTable* table, int extra_column);
  void PutUnit(std::string_view kind, std::string_view id);
  int32_t Code(Space space, std::string_view text);
  int UnitColumnOf(int32_t kind);
  bool IsRepeat(int scope, std::string_view id);
  void Spoil(std::string reason);
  std::vector<StagedTable*> Tables();
  void MakeTables();

  CodeBook codes_;
  FirstExposures firsts_;
  RecentIds ids_;

  std::unique_ptr<StagedTable> events_, exposures_, first_exposures_, duplicates_, links_,
      counts_rows_, seen_ids_;
  std::unique_ptr<PropertyColumns> event_properties_, exposure_properties_;
  std::vector<int> unit_columns_;  // By unit kind; -1 = none yet.
  std::vector<std::string> alterations_;

  int64_t next_seq_ = 1;
  int64_t max_received_ms_ = 0;
  int64_t received_ms_ = 0;  // Of the batch being added.
  std::string spoilt_;       // Why, or "".
  LoadCounts counts_;
};

}  // namespace fulcrum::store
