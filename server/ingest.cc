// SPDX-License-Identifier: Apache-2.0
#include "server/ingest.h"

#include <string>
#include <utility>
#include <vector>

#include "server/batch_session.h"
#include "server/json_in.h"
#include "server/json_split.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

std::string_view ListName(ItemKind kind) {
  return kind == ItemKind::kExposure ? "exposures" : kind == ItemKind::kEvent ? "events" : "links";
}

// The field that tells a single item from an envelope.
std::string_view TellingField(ItemKind kind) {
  return kind == ItemKind::kExposure ? "experiment"
         : kind == ItemKind::kEvent  ? "name"
                                     : "anonymous";
}

class NativeBatch {
 public:
  NativeBatch(ItemKind kind, const IngestContext& context, const Request& request,
              Response* response)
      : kind_(kind), context_(context), request_(request), response_(response), session_(context) {}

  void Run();

 private:
  void AddItem(int64_t index, JsonElement element);
  void AddText(int64_t index, std::string_view text);
  void AddClient(int64_t index, JsonElement element);
  // Each reads one form of the body; false with the reply made where it cannot be read at all.
  bool ReadLines();
  bool ReadArray(JsonArray array);
  bool ReadEnvelope(JsonElement root, JsonObject object);
  bool ReadPieces(const std::string& problem);
  bool ReadEnvelopePieces(const std::string& problem);
  bool Malformed(const std::string& problem);
  bool TooMany(size_t n);

  const ItemKind kind_;
  const IngestContext& context_;
  const Request& request_;
  Response* response_;
  BatchSession session_;
  std::string batch_id_;
};

void NativeBatch::AddItem(int64_t index, JsonElement element) {
  ItemError error;
  BatchItems& items = session_.items();
  const ItemOutcome outcome = kind_ == ItemKind::kExposure ? items.Exposure(element, &error)
                              : kind_ == ItemKind::kEvent  ? items.Event(element, &error)
                                                           : items.Link(element, &error);
  session_.Note(kind_, index, outcome, error);
}

void NativeBatch::AddText(int64_t index, std::string_view text) {
  std::string problem;
  if (const std::optional<JsonElement> element = ParseJson(text, &problem)) {
    AddItem(index, *element);
  } else {
    session_.Reject(kind_, index, problem);
  }
}

void NativeBatch::AddClient(int64_t index, JsonElement element) {
  ItemError error;
  const ItemOutcome outcome = session_.items().ClientCounts(element, &error);
  session_.NoteClient(index, outcome, error);
}

bool NativeBatch::Malformed(const std::string& problem) {
  ReplyError(400, "PARSE_ERROR", "The body cannot be read: " + problem + ".", response_);
  return false;
}

bool NativeBatch::TooMany(size_t n) {
  if (n <= static_cast<size_t>(context_.limits.max_batch_items)) return false;
  ReplyTooManyItems(context_.limits, response_);
  return true;
}

bool NativeBatch::ReadLines() {
  const std::vector<std::string_view> lines = SplitLines(request_.body);
  if (TooMany(lines.size())) return false;
  for (size_t i = 0; i < lines.size(); ++i) AddText(static_cast<int64_t>(i), lines[i]);
  return true;
}

bool NativeBatch::ReadArray(JsonArray array) {
  if (TooMany(array.size())) return false;
  int64_t index = 0;
  for (const JsonElement element : array) AddItem(index++, element);
  return true;
}

bool NativeBatch::ReadEnvelope(JsonElement root, JsonObject object) {
  JsonElement found;
  const std::string_view list = ListName(kind_);
  if (object.at_key(TellingField(kind_)).get(found) == simdjson::SUCCESS) {
    AddItem(0, root);
    return true;
  }
  bool has_list = false;
  for (const auto [key, value] : object) {
    if (key == list) {
      JsonArray array;
      if (value.get_array().get(array) != simdjson::SUCCESS) {
        return Malformed("'" + std::string(list) + "' must be an array");
      }
      has_list = true;
      if (!ReadArray(array)) return false;
    } else if (key == "batch_id") {
      const std::optional<std::string_view> text = AsText(value);
      if (!text && !value.is_null()) return Malformed("'batch_id' must be text");
      if (text) batch_id_ = *text;
    } else if (key == "client") {
      JsonArray array;
      if (value.get_array().get(array) != simdjson::SUCCESS) {
        return Malformed("'client' must be an array of counts per experiment and variant");
      }
      int64_t index = 0;
      for (const JsonElement element : array) AddClient(index++, element);
    } else {
      return Malformed("'" + std::string(key) + "' is not a field of a batch; it has batch_id, " +
                       std::string(list) + " and client");
    }
  }
  return has_list || Malformed("there is no '" + std::string(list) + "'");
}

// The whole does not parse: take it apart, so that only what is damaged is lost.
bool NativeBatch::ReadPieces(const std::string& problem) {
  const std::string_view text = Trim(request_.body);
  if (text.empty()) return Malformed(problem);
  if (text.front() == '[') {
    std::vector<std::string_view> items;
    if (!SplitArray(text, &items)) return Malformed(problem);
    if (TooMany(items.size())) return false;
    for (size_t i = 0; i < items.size(); ++i) AddText(static_cast<int64_t>(i), items[i]);
    return true;
  }
  if (text.front() != '{') return Malformed(problem);
  // Several objects one after the other are lines, whatever the content type says.
  return text.find('\n') != std::string_view::npos && SplitLines(text).front().back() == '}'
             ? ReadLines()
             : ReadEnvelopePieces(problem);
}

bool NativeBatch::ReadEnvelopePieces(const std::string& problem) {
  std::vector<std::pair<std::string_view, std::string_view>> members;
  if (!SplitObject(request_.body, &members)) return Malformed(problem);
  bool has_list = false;
  for (const auto& [key, value] : members) {
    if (key == ListName(kind_)) {
      std::vector<std::string_view> items;
      if (!SplitArray(value, &items)) return Malformed(problem);
      if (TooMany(items.size())) return false;
      for (size_t i = 0; i < items.size(); ++i) AddText(static_cast<int64_t>(i), items[i]);
      has_list = true;
    } else if (key == "batch_id" || key == "client") {
      std::string why;
      const std::optional<JsonElement> element = ParseJson(value, &why);
      if (!element) return Malformed("'" + std::string(key) + "': " + why);
      JsonArray counts;
      if (const std::optional<std::string_view> id = AsText(*element); id && key == "batch_id") {
        batch_id_ = *id;
      } else if (key == "client" && element->get_array().get(counts) == simdjson::SUCCESS) {
        int64_t index = 0;
        for (const JsonElement count : counts) AddClient(index++, count);
      } else {
        return Malformed("'" + std::string(key) + "' has the wrong type");
      }
    } else if (key == TellingField(kind_)) {
      AddText(0, request_.body);  // A single item, and damaged: it says why.
      return true;
    } else {
      return Malformed(problem);
    }
  }
  return has_list || Malformed(problem);
}

void NativeBatch::Run() {
  const std::string_view type = request_.Find("content-type");
  bool read = false;
  if (type.starts_with("application/x-ndjson") || type.starts_with("application/jsonl") ||
      type.starts_with("application/ndjson")) {
    read = ReadLines();
  } else {
    std::string problem;
    const std::optional<JsonElement> root = ParseJson(request_.body, &problem);
    JsonArray array;
    JsonObject object;
    if (!root) {
      read = ReadPieces(problem);
    } else if (root->get_array().get(array) == simdjson::SUCCESS) {
      read = ReadArray(array);
    } else if (root->get_object().get(object) == simdjson::SUCCESS) {
      read = ReadEnvelope(*root, object);
    } else {
      Malformed("it must be an object or an array, not " + std::string(TypeName(*root)));
    }
  }
  if (!read) return;
  std::string batch_id;
  if (!ResolveBatchId(request_, batch_id_, &batch_id, response_)) return;
  session_.Finish(batch_id, request_.body, response_);
}

}  // namespace

void IngestNative(ItemKind kind, const IngestContext& context, const Request& request,
                  Response* response) {
  NativeBatch(kind, context, request, response).Run();
}

}  // namespace fulcrum::server
