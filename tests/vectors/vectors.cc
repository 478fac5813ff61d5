// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/vectors.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/wire.h"

namespace fulcrum::vectors {
namespace {

using Json = nlohmann::ordered_json;

std::string ToHex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string FromHex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return out;
}

// Whole numbers are decimal texts: a JSON number holds 53 bits in some languages.
Json ValueJson(const OwnedValue& value) {
  const std::string type(core::AttributeTypeName(value.type));
  switch (value.type) {
    case core::AttributeType::kBool:
      return {{"type", type}, {"value", value.integer != 0}};
    case core::AttributeType::kFloat:
      return {{"type", type}, {"value", value.real}};
    case core::AttributeType::kInt:
    case core::AttributeType::kTimeMs:
      return {{"type", type}, {"value", std::to_string(value.integer)}};
    case core::AttributeType::kString:
    case core::AttributeType::kVersion:
      break;
  }
  return {{"type", type}, {"value", value.text}};
}

OwnedValue ValueFrom(const Json& json) {
  for (int i = 0; i < core::kAttributeTypeCount; ++i) {
    OwnedValue value;
    value.type = static_cast<core::AttributeType>(i);
    if (json.at("type") != core::AttributeTypeName(value.type)) continue;
    const Json& held = json.at("value");
    if (value.type == core::AttributeType::kBool) {
      value.integer = held.get<bool>() ? 1 : 0;
    } else if (value.type == core::AttributeType::kFloat) {
      value.real = held.get<double>();
    } else if (value.type == core::AttributeType::kInt ||
               value.type == core::AttributeType::kTimeMs) {
      value.integer = std::stoll(held.get<std::string>());
    } else {
      value.text = held.get<std::string>();
    }
    return value;
  }
  throw std::runtime_error("unknown type " + json.at("type").dump());
}

Json ContextJson(const OwnedContext& context) {
  Json json = {{"targeting_key", context.targeting_key},
               {"now_ms", std::to_string(context.now_ms)}};
  for (const auto& unit : context.units) {
    json["units"].push_back({{"kind", unit.kind}, {"id", unit.id}});
  }
  for (const auto& attribute : context.attributes) {
    Json one = {{"key", attribute.key}};
    one.update(ValueJson(attribute.value));
    json["attributes"].push_back(one);
  }
  for (const auto& prior : context.priors) {
    json["priors"].push_back(
        {{"experiment", prior.experiment}, {"variant", prior.variant}, {"phase", prior.phase}});
  }
  return json;
}

OwnedContext ContextFrom(const Json& json) {
  OwnedContext context;
  context.targeting_key = json.at("targeting_key");
  context.now_ms = std::stoll(json.at("now_ms").get<std::string>());
  for (const Json& unit : json.value("units", Json::array())) {
    context.units.push_back({unit.at("kind"), unit.at("id")});
  }
  for (const Json& attribute : json.value("attributes", Json::array())) {
    context.attributes.push_back({attribute.at("key"), ValueFrom(attribute)});
  }
  for (const Json& prior : json.value("priors", Json::array())) {
    context.priors.push_back({prior.at("experiment"), prior.at("variant"), prior.at("phase")});
  }
  return context;
}

Json CaseJson(const Case& one) {
  Json expect = {{"variant", one.variant.empty() ? Json(nullptr) : Json(one.variant)},
                 {"variant_index", one.decision.variant},
                 {"reason", core::ReasonName(one.decision.reason)},
                 {"phase", one.decision.phase},
                 {"propensity_ppm", one.decision.propensity_ppm},
                 {"detail", one.decision.detail},
                 {"block", one.decision.block},
                 {"is_enrolled", one.decision.is_enrolled()}};
  return {{"name", one.name},
          {"experiment", one.experiment},
          {"context", ContextJson(one.context)},
          {"expect", expect},
          {"explain", one.explain}};
}

Case CaseFrom(const Json& json) {
  Case one;
  one.name = json.at("name");
  one.experiment = json.at("experiment");
  one.context = ContextFrom(json.at("context"));
  const Json& expect = json.at("expect");
  if (!expect.at("variant").is_null()) one.variant = expect.at("variant");
  one.decision.variant = expect.at("variant_index");
  for (int i = 0; i < core::kReasonCount; ++i) {
    const auto reason = static_cast<core::Reason>(i);
    if (expect.at("reason") == core::ReasonName(reason)) one.decision.reason = reason;
  }
  one.decision.phase = expect.at("phase");
  one.decision.propensity_ppm = expect.at("propensity_ppm");
  one.decision.detail = expect.at("detail");
  one.decision.block = expect.at("block");
  one.explain = json.at("explain");
  return one;
}

}  // namespace

core::Value OwnedValue::View() const {
  switch (type) {
    case core::AttributeType::kBool:
      return core::Value::Bool(integer != 0);
    case core::AttributeType::kInt:
      return core::Value::Int(integer);
    case core::AttributeType::kFloat:
      return core::Value::Float(real);
    case core::AttributeType::kString:
      return core::Value::String(text);
    case core::AttributeType::kVersion:
      return core::Value::Version(text);
    case core::AttributeType::kTimeMs:
      break;
  }
  return core::Value::TimeMs(integer);
}

ContextViews::ContextViews(const OwnedContext& owned) {
  for (const auto& unit : owned.units) units.push_back({unit.kind, unit.id});
  for (const auto& attribute : owned.attributes) {
    attributes.push_back({attribute.key, attribute.value.View()});
  }
  for (const auto& prior : owned.priors) {
    priors.push_back({prior.experiment, prior.variant, prior.phase});
  }
  context = {owned.targeting_key, units, attributes, owned.now_ms, priors};
}

std::string Lines(const core::Trace& trace) {
  std::string lines;
  for (const core::TraceStep& step : trace.steps) {
    lines += step.experiment + "\t" + step.rule + (step.passed ? "\tpassed\t" : "\tnot\t");
    lines += step.detail + "\n";
  }
  return lines;
}

bool Fill(File* file, std::string* error) {
  core::BuildError why;
  const auto snapshot = core::Snapshot::Make(file->snapshot, &why);
  if (snapshot == nullptr) {
    *error = why.message;
    return false;
  }
  for (Case& one : file->cases) {
    const ContextViews views(one.context);
    const core::ExperimentHandle handle = snapshot->Find(one.experiment);
    one.decision = core::Decide(*snapshot, handle, views.context);
    if (one.decision.has_variant()) {
      const auto& variants = snapshot->experiment(handle).variants;
      one.variant = variants[static_cast<size_t>(one.decision.variant)].key;
    }
    core::Trace trace;
    core::Explain(*snapshot, handle, views.context, &trace);
    one.explain = Lines(trace);
  }
  return true;
}

std::string ToJson(const File& file) {
  Json json = {{"format", kFormat},
               {"behaviour", file.behaviour},
               {"snapshot_hex", ToHex(core::Encode(file.snapshot))}};
  for (const Case& one : file.cases) json["cases"].push_back(CaseJson(one));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

File FromJson(const std::string& text) {
  const Json json = Json::parse(text);
  if (json.at("format") != kFormat) throw std::runtime_error("vectors of another format");
  File file;
  file.behaviour = json.at("behaviour");
  core::BuildError error;
  auto snapshot = core::Decode(FromHex(json.at("snapshot_hex")), &error);
  if (!snapshot.has_value()) throw std::runtime_error(error.message);
  file.snapshot = *std::move(snapshot);
  for (const Json& one : json.at("cases")) file.cases.push_back(CaseFrom(one));
  return file;
}

}  // namespace fulcrum::vectors
