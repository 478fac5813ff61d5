// SPDX-License-Identifier: Apache-2.0
#include "server/batch_session.h"

#include <algorithm>

#include "base/status.h"
#include "base/text.h"
#include "core/hash.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

constexpr size_t kMaxBatchIdBytes = 200;
constexpr size_t kMaxErrorsTold = 1000;

BatchItems& ThreadItems() {
  thread_local BatchItems items;
  return items;
}

void AppendRejections(std::string_view name, const auto& rejections, std::string* out) {
  AppendName(name, out);
  out->push_back('[');
  size_t told = 0;
  for (const auto& rejection : rejections) {
    if (told++ == kMaxErrorsTold) break;
    if (told > 1) out->push_back(',');
    out->push_back('{');
    AppendField("index", rejection.index, out);
    AppendField("error", rejection.error, out);
    out->push_back('}');
  }
  out->push_back(']');
}

}  // namespace

BatchSession::BatchSession(const IngestContext& context)
    : context_(context), items_(ThreadItems()) {
  items_.Begin(context.published, context.limits, context.now_ms);
}

void BatchSession::Note(ItemKind kind, int64_t index, ItemOutcome outcome, const ItemError& error) {
  ++tallies_[static_cast<size_t>(kind)].by_outcome[static_cast<size_t>(outcome)];
  if (outcome == ItemOutcome::kRejected) rejected_.push_back({index, error.text});
}

void BatchSession::Reject(ItemKind kind, int64_t index, std::string_view why) {
  Note(kind, index, ItemOutcome::kRejected, ItemError{std::string(why)});
}

void BatchSession::NoteClient(int64_t index, ItemOutcome outcome, const ItemError& error) {
  constexpr auto kKind = static_cast<size_t>(ItemKind::kClientCounts);
  ++tallies_[kKind].by_outcome[static_cast<size_t>(outcome)];
  if (outcome == ItemOutcome::kRejected) client_rejected_.push_back({index, error.text});
}

int64_t BatchSession::Total(ItemOutcome outcome) const {
  int64_t total = 0;
  for (int kind = 0; kind < kItemKindCount; ++kind) {
    if (static_cast<ItemKind>(kind) == ItemKind::kClientCounts) continue;
    total += tallies_[kind].by_outcome[static_cast<size_t>(outcome)];
  }
  return total;
}

void BatchSession::Print(int64_t accepted, int64_t duplicates, Response* response) const {
  std::string& out = response->body;
  out = "{";
  AppendField("accepted", accepted, &out);
  AppendField("duplicates", duplicates, &out);
  AppendRejections("rejected", rejected_, &out);
  const auto told = std::min<int64_t>(static_cast<int64_t>(rejected_.size()), kMaxErrorsTold);
  if (const int64_t total = static_cast<int64_t>(rejected_.size()); told < total) {
    AppendField("rejected_not_listed", total - told, &out);
  }
  if (!client_rejected_.empty()) AppendRejections("client_rejected", client_rejected_, &out);
  if (ignored_ > 0) AppendField("ignored", ignored_, &out);
  if (response->status >= 400) {
    AppendField("errorCode", "INVALID_ITEMS", &out);
    AppendField("errorDetails", "No item of the batch can be kept; 'rejected' says why.", &out);
    AppendName("metadata", &out);
    out += "{}";
  }
  out += "}";
}

void BatchSession::Finish(std::string_view batch_id, std::string_view body, Response* response) {
  int64_t accepted = Total(ItemOutcome::kAccepted);
  int64_t duplicates = Total(ItemOutcome::kDuplicate);
  const store::BatchBuilder& batch = items_.batch();
  if (batch.size() > 0) {
    store::AppendRequest append;
    append.batch_id = batch_id;
    append.body_hash = core::Xxh3(body);
    append.payload = batch.payload();
    append.items = batch.size();
    append.received_ms = context_.now_ms;
    const absl::StatusOr<store::AppendResult> appended = context_.store.Append(append);
    if (!appended.ok()) return ReplyStatus(appended.status(), response);
    if (appended->replayed) {
      duplicates += accepted;
      accepted = 0;
    }
  } else if (!rejected_.empty() || !client_rejected_.empty()) {
    response->status = 400;
  }
  for (int kind = 0; kind < kItemKindCount; ++kind) {
    for (int outcome = 0; outcome < kItemOutcomeCount; ++outcome) {
      const int64_t n = tallies_[kind].by_outcome[outcome];
      // A replayed batch was counted when it came first.
      const bool replayed =
          accepted == 0 && static_cast<ItemOutcome>(outcome) == ItemOutcome::kAccepted;
      if (n == 0) continue;
      context_.metrics.CountItems(
          static_cast<ItemKind>(kind),
          replayed ? ItemOutcome::kDuplicate : static_cast<ItemOutcome>(outcome), n);
    }
  }
  Print(accepted, duplicates, response);
}

bool ResolveBatchId(const Request& request, std::string_view in_body, std::string* batch_id,
                    Response* response) {
  const std::string_view in_header = request.Find("idempotency-key");
  if (!in_body.empty() && !in_header.empty() && in_body != in_header) {
    ReplyError(400, "INVALID_ARGUMENT",
               "The body's batch_id and the Idempotency-Key header differ; send one of them.",
               response);
    return false;
  }
  const std::string_view id = in_body.empty() ? in_header : in_body;
  const bool printable = std::all_of(id.begin(), id.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (id.size() > kMaxBatchIdBytes || !printable || !IsValidUtf8(id)) {
    ReplyError(400, "INVALID_ARGUMENT",
               "The batch id must be printable UTF-8 of at most 200 bytes; a UUID is best.",
               response);
    return false;
  }
  batch_id->assign(id);
  return true;
}

void ReplyTooManyItems(const Limits& limits, Response* response) {
  ReplyError(413, "TOO_LARGE",
             "The batch has more than " + std::to_string(limits.max_batch_items) +
                 " items; send it in parts.",
             response);
}

}  // namespace fulcrum::server
