// SPDX-License-Identifier: Apache-2.0
//
// The writer's prepared statements; only inbox*.cc use them.
#pragma once

#include "store/inbox.h"

namespace fulcrum::store {

struct Inbox::Statements {
  sqlite::Statement find_batch;
  sqlite::Statement insert_batch;
  sqlite::Statement insert_batch_id;
  sqlite::Statement set_last_sequence;
  sqlite::Statement keep_received;
  sqlite::Statement remove_loaded;
  sqlite::Statement forget_batch_ids;
  sqlite::Statement copy_aside;
  sqlite::Statement remove_one;
  sqlite::Statement insert_control;
  sqlite::Statement insert_weight;
  sqlite::Statement insert_sticky;
  sqlite::Statement latest_definition;
  sqlite::Statement insert_definition;
};

}  // namespace fulcrum::store
