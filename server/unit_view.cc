// SPDX-License-Identifier: Apache-2.0
//
// GET /v1/units/{unit}: what a unit saw, when and in which state of the experiment; and what it is
// given now, with every rule that was looked at.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "base/time.h"
#include "core/decide.h"
#include "server/app_state.h"
#include "server/context_json.h"
#include "server/ofrep.h"
#include "server/reply.h"

namespace fulcrum::server {
namespace {

void PrintSightings(const std::vector<store::UnitSighting>& seen, std::string* out) {
  *out += "[";
  for (const store::UnitSighting& sighting : seen) {
    if (out->back() == '}') *out += ",";
    *out += "{";
    AppendField("experiment", sighting.experiment, out);
    AppendField("variant", sighting.variant, out);
    AppendField("first", FormatRfc3339(sighting.first_ms), out);
    AppendField("last", FormatRfc3339(sighting.last_ms), out);
    AppendField("exposures", sighting.exposures, out);
    AppendField("phase", static_cast<int64_t>(sighting.phase), out);
    if (sighting.propensity > 0) {
      AppendName("propensity", out);
      AppendDouble(sighting.propensity, out);
    }
    if (!sighting.snapshot.empty()) AppendField("snapshot", sighting.snapshot, out);
    AppendName("attributes", out);
    *out += "{";
    for (const auto& [key, value] : sighting.attributes) {
      AppendName(key, out);
      *out += value;
    }
    *out += "}}";
  }
  *out += "]";
}

// Of every experiment that draws by what the context identifies.
void PrintDecisions(const Published& published, const core::Context& context, std::string* out) {
  const core::Snapshot& snapshot = *published.snapshot;
  *out += "[";
  for (int32_t i = 0; i < snapshot.experiment_count(); ++i) {
    const core::ExperimentHandle handle{i};
    const core::ExperimentData& data = snapshot.experiment(handle);
    core::UnitBuffer buffer;
    if (core::UnitIdOf(snapshot, handle, context, &buffer).empty()) continue;
    core::Trace trace;
    const core::Decision decision = core::Explain(snapshot, handle, context, &trace);
    if (out->back() == '}') *out += ",\n";
    *out += "{";
    AppendField("experiment", data.key, out);
    if (decision.has_variant()) {
      AppendField("variant", data.variants[static_cast<size_t>(decision.variant)].key, out);
    }
    AppendField("reason", core::ReasonName(decision.reason), out);
    if (decision.phase >= 0) AppendField("phase", static_cast<int64_t>(decision.phase), out);
    if (decision.propensity_ppm > 0) {
      AppendName("propensity", out);
      AppendDouble(decision.propensity(), out);
    }
    for (const core::Prior& prior : context.priors) {
      if (prior.experiment != data.key) continue;
      AppendName("prior", out);
      *out += "{";
      AppendField("variant", prior.variant, out);
      AppendField("phase", static_cast<int64_t>(prior.phase), out);
      *out += "}";
    }
    AppendName("rules", out);
    AppendRules(trace, out);
    *out += "}";
  }
  *out += "]";
}

bool Bad(std::string details, Response* response) {
  ReplyError(400, "INVALID_ARGUMENT", details, response);
  return false;
}

struct UnitQuery {
  std::string kind;
  int64_t at_ms = 0;
  std::vector<std::pair<std::string, std::string>> attributes;
};

// ?kind=&at=, and attributes of the unit by their names.
bool ReadQuery(const Published& published, const Request& request, int64_t now_ms, UnitQuery* out,
               Response* response) {
  out->kind = published.default_unit_kind();
  out->at_ms = now_ms;
  std::vector<std::pair<std::string, std::string>> query;
  if (!ParseQuery(request.query, &query)) {
    ReplyError(400, "PARSE_ERROR", "The query has a broken %-escape.", response);
    return false;
  }
  for (auto& [name, value] : query) {
    const bool declared = published.attributes.contains(ToAbsl(name));
    if (name == "kind" && !declared) {
      if (published.UnitKind(value) < 0) {
        return Bad("There is no unit kind '" + value + "' in the project.", response);
      }
      out->kind = value;
    } else if (name == "at" && !declared) {
      std::optional<int64_t> at_ms = ParseRfc3339(value);
      if (!at_ms) at_ms = ParseInt(value);
      if (!at_ms) {
        return Bad("'at' must be RFC 3339 with an offset or Unix milliseconds.", response);
      }
      out->at_ms = *at_ms;
    } else {
      out->attributes.emplace_back(std::move(name), std::move(value));
    }
  }
  return true;
}

}  // namespace

void ShowUnit(AppState& state, std::string_view unit, const Request& request, int64_t now_ms,
              Response* response) {
  const std::shared_ptr<const Published> published = state.published();
  UnitQuery query;
  if (!ReadQuery(*published, request, now_ms, &query, response)) return;
  query.attributes.emplace_back("unit", unit);
  ContextBuffer buffer;
  ContextError error;
  if (!ParseQueryContext(*published, query.kind, query.at_ms, query.attributes, &buffer, &error)) {
    return ReplyError(400, "INVALID_ARGUMENT", error.details, response);
  }
  const absl::StatusOr<std::vector<store::UnitSighting>> seen =
      state.options.store->Unit(query.kind, unit);
  if (!seen.ok()) return ReplyStatus(seen.status(), response);
  PriorBuffer priors;
  state.sticky.FindPriors(*published, buffer.context, &priors);
  buffer.context.priors = priors.priors;

  std::string& out = response->body;
  out = "{\"unit\":{";
  AppendField("kind", query.kind, &out);
  AppendField("id", unit, &out);
  out += "},\"exposures\":";
  PrintSightings(*seen, &out);
  AppendField("at", FormatRfc3339(query.at_ms), &out);
  AppendField("snapshot", published->snapshot->version(), &out);
  AppendName("decisions", &out);
  PrintDecisions(*published, buffer.context, &out);
  out += "}\n";
}

}  // namespace fulcrum::server
