// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/remote.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "sdk/cpp/json_text.h"

namespace fulcrum::sdk {
namespace {

constexpr size_t kIdleConnections = 16;
constexpr char kPath[] = "/ofrep/v1/evaluate/flags";

// OFREP's context. An attribute that JSON cannot carry is left out, so that the rest is decided.
std::string BodyOf(const Context& context) {
  std::string body = "{\"context\":{";
  const auto add = [&body](std::string_view key, const Value& value) {
    std::string text;
    if (!IsUtf8(key) || !AppendValue(value, &text)) return;
    if (body.back() != '{') body += ',';
    AppendJsonString(key, &body);
    body.append(":").append(text);
  };
  if (!context.targeting_key.empty()) add("targetingKey", context.targeting_key);
  for (const Unit& unit : context.units) add(unit.kind, unit.id);
  for (const Attribute& attribute : context.attributes) add(attribute.key, attribute.value);
  return body + "}}";
}

std::string Encoded(std::string_view key) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (is_plain) {
      out += c;
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string Text(const nlohmann::json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Error ErrorOf(std::string_view code) {
  if (code.empty()) return Error::kNone;
  if (code == "FLAG_NOT_FOUND") return Error::kUnknownExperiment;
  if (code == "TARGETING_KEY_MISSING") return Error::kNoUnit;
  if (code == "INVALID_CONTEXT" || code == "PARSE_ERROR") return Error::kInvalidContext;
  return Error::kNotReady;
}

}  // namespace

// One flag of an OFREP answer.
struct Remote::Flag {
  std::string key, variant, reason, unit_id, snapshot, value;
  Error error = Error::kNone;
  int phase = -1;
  double propensity = 0;
  bool is_exposure = false;

  static Flag From(const nlohmann::json& json) {
    Flag flag;
    flag.key = Text(json, "key");
    flag.error = ErrorOf(Text(json, "errorCode"));
    flag.variant = Text(json, "variant");
    flag.reason = Text(json, "reason");
    if (const auto value = json.find("value"); value != json.end()) flag.value = value->dump();
    const auto at = json.find("metadata");
    if (at == json.end() || !at->is_object()) return flag;
    const nlohmann::json& metadata = *at;
    if (std::string detail = Text(metadata, "detail"); !detail.empty()) flag.reason = detail;
    flag.snapshot = Text(metadata, "snapshot");
    flag.unit_id = Text(metadata, "unit_id");
    const auto is = [&metadata](const char* key) {
      const auto found = metadata.find(key);
      return found == metadata.end() ? nlohmann::json() : *found;
    };
    if (is("phase").is_number_integer()) flag.phase = is("phase").get<int>();
    if (is("propensity").is_number()) flag.propensity = is("propensity").get<double>();
    flag.is_exposure = is("exposure").is_boolean() && is("exposure").get<bool>();
    return flag;
  }
};

struct Remote::Bulk {
  std::unordered_map<std::string, Flag> flags;
};

namespace {

template <typename Owner, typename Flag>
Answer AnswerOf(const std::shared_ptr<const Owner>& owner, const Flag& flag,
                const Context& context) {
  Answer answer;
  Evaluation& evaluation = answer.evaluation;
  evaluation.keep = owner;
  evaluation.error = flag.error;
  evaluation.experiment = flag.key;
  evaluation.variant = flag.variant;
  evaluation.reason = flag.reason;
  evaluation.snapshot = flag.snapshot;
  evaluation.phase = flag.phase;
  evaluation.propensity = flag.propensity;
  evaluation.unit_id = flag.unit_id.empty() ? context.targeting_key : flag.unit_id;
  // Without the unit's id there is nothing to log the exposure under.
  evaluation.is_exposure = flag.is_exposure && !evaluation.unit_id.empty();
  if (flag.error == Error::kNone) answer.value = flag.value;
  return answer;
}

}  // namespace

Remote::Remote(const ClientOptions& options, Transport* transport, const Clock* clock)
    : options_(options), transport_(transport), clock_(clock) {}

std::unique_ptr<Connection> Remote::Take() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return transport_->Connect();
}

void Remote::Give(std::unique_ptr<Connection> connection) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.size() < kIdleConnections) idle_.push_back(std::move(connection));
}

void Remote::AbandonConnections() {
  for (auto& connection : idle_) static_cast<void>(connection.release());
  idle_.clear();
}

HttpResponse Remote::Post(std::string path, std::string body, std::string etag) {
  HttpRequest request;
  request.method = "POST";
  request.path = std::move(path);
  request.body = std::move(body);
  request.if_none_match = std::move(etag);
  request.timeout = options_.request_timeout;
  std::unique_ptr<Connection> connection = Take();
  HttpResponse response = connection->Send(request);
  Give(std::move(connection));
  return response;
}

std::shared_ptr<const Remote::Bulk> Remote::Cached(const std::string& key, bool* is_fresh) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = index_.find(key);
  if (at == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at->second);
  *is_fresh = clock_->SteadyMs() - at->second->at_ms < options_.remote_cache_ttl.count();
  return at->second->bulk;
}

Answer Remote::Evaluate(std::string_view experiment, const Context& context, std::string* problem) {
  std::string body = BodyOf(context);
  bool is_fresh = false;
  const std::shared_ptr<const Bulk> bulk = Cached(body, &is_fresh);
  const auto from_bulk = [&](Answer* answer) {
    if (bulk == nullptr) return false;
    const auto at = bulk->flags.find(std::string(experiment));
    if (at == bulk->flags.end()) return false;
    *answer = AnswerOf(bulk, at->second, context);
    return true;
  };
  Answer answer;
  if (is_fresh && from_bulk(&answer)) return answer;
  const HttpResponse response = Post(std::string(kPath) + "/" + Encoded(experiment), body, "");
  const nlohmann::json json = nlohmann::json::parse(response.body, nullptr, false);
  const bool is_answer = json.is_object() && (response.status == 200 || response.status == 400 ||
                                              response.status == 404);
  if (!is_answer) {
    *problem =
        "Evaluations by " + options_.url + " fail: " +
        (response.status == 0 ? response.error : "status " + std::to_string(response.status)) +
        "; getters give what is cached or the program's own default.";
    if (from_bulk(&answer)) return answer;
    answer.evaluation.error = Error::kNotReady;
    return answer;
  }
  const auto flag = std::make_shared<const Flag>(Flag::From(json));
  return AnswerOf(flag, *flag, context);
}

bool Remote::Prefetch(const Context& context, std::string* problem) {
  std::string body = BodyOf(context);
  std::string etag;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto at = index_.find(body); at != index_.end()) etag = at->second->etag;
  }
  const HttpResponse response = Post(kPath, body, etag);
  std::shared_ptr<Bulk> bulk;
  if (response.status == 200) {
    const nlohmann::json json = nlohmann::json::parse(response.body, nullptr, false);
    if (json.is_object() && json.contains("flags") && json["flags"].is_array()) {
      bulk = std::make_shared<Bulk>();
      for (const nlohmann::json& one : json["flags"]) {
        if (!one.is_object()) continue;
        Flag flag = Flag::From(one);
        std::string key = flag.key;
        bulk->flags.emplace(std::move(key), std::move(flag));
      }
    }
  }
  if (bulk == nullptr && response.status != 304) {
    *problem =
        "All experiments cannot be evaluated by " + options_.url + ": " +
        (response.status == 0 ? response.error : "status " + std::to_string(response.status)) + ".";
    return false;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  auto at = index_.find(body);
  if (at == index_.end()) {
    if (bulk == nullptr) return false;  // 304 for what was pushed out meanwhile
    entries_.push_front({body, nullptr, "", 0});
    at = index_.emplace(std::move(body), entries_.begin()).first;
  }
  Entry& entry = *at->second;
  if (bulk != nullptr) {
    entry.bulk = std::move(bulk);
    entry.etag = response.etag;
  }
  entry.at_ms = clock_->SteadyMs();
  entries_.splice(entries_.begin(), entries_, at->second);
  while (entries_.size() > options_.remote_cache) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  return true;
}

}  // namespace fulcrum::sdk
