// SPDX-License-Identifier: Apache-2.0
#include "report/json.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "report/fields.h"
#include "report/names.h"

namespace fulcrum::report {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// --- Writing -----------------------------------------------------------------------------------

struct Writer;
template <class T>
Json Write(const T& value);

struct Writer {
  Json out = Json::object();
  template <class T>
  void operator()(const char* name, const T& value, const char*) {
    out[name] = Write(value);
  }
};

Json WriteDouble(double value) {
  if (std::isnan(value)) return nullptr;  // Cannot happen; null is the honest form if it does.
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

template <class T>
Json Write(const T& value) {
  if constexpr (IsOptional<T>::value) {
    return value ? Write(*value) : Json(nullptr);
  } else if constexpr (IsVector<T>::value) {
    Json list = Json::array();
    for (const auto& item : value) list.push_back(Write(item));
    return list;
  } else if constexpr (std::is_enum_v<T>) {
    return std::string(Name(value));
  } else if constexpr (std::is_same_v<T, double>) {
    return WriteDouble(value);
  } else if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string>) {
    Writer writer;
    VisitFields(writer, value);
    return std::move(writer.out);
  } else {
    return value;
  }
}

// --- Reading -----------------------------------------------------------------------------------

// Collects the first problem; what was read after it does not matter.
struct Problem {
  std::string text;
  void Set(const std::string& path, std::string_view what) {
    if (text.empty()) text = "report JSON: " + path + ": " + std::string(what);
  }
};

template <class T>
void Read(const Json& json, const std::string& path, T& value, Problem& problem);

struct Reader {
  const Json& object;
  const std::string& path;
  Problem& problem;
  size_t known = 0;
  template <class T>
  void operator()(const char* name, T& value, const char*) {
    const auto found = object.find(name);
    if (found == object.end()) {
      problem.Set(path + "." + name, "the field is missing");
      return;
    }
    ++known;
    Read(*found, path + "." + name, value, problem);
  }
};

void ReadDouble(const Json& json, const std::string& path, double& value, Problem& problem) {
  if (json.is_number()) {
    value = json.get<double>();
  } else if (json == "Infinity" || json == "-Infinity") {
    const double infinity = std::numeric_limits<double>::infinity();
    value = json == "Infinity" ? infinity : -infinity;
  } else {
    problem.Set(path, "expected a number or \"Infinity\"");
  }
}

template <class E>
void ReadEnum(const Json& json, const std::string& path, E& value, Problem& problem) {
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    for (size_t i = 0; i < kEnumNames<E>.size(); ++i) {
      if (text == kEnumNames<E>[i]) {
        value = static_cast<E>(i);
        return;
      }
    }
  }
  problem.Set(path, "not one of the known names");
}

template <class T>
void Read(const Json& json, const std::string& path, T& value, Problem& problem) {
  if constexpr (IsOptional<T>::value) {
    value.reset();
    if (!json.is_null()) Read(json, path, value.emplace(), problem);
  } else if constexpr (IsVector<T>::value) {
    if (!json.is_array()) return problem.Set(path, "expected a list");
    value.clear();
    for (size_t i = 0; i < json.size(); ++i) {
      Read(json[i], path + "[" + std::to_string(i) + "]", value.emplace_back(), problem);
    }
  } else if constexpr (std::is_enum_v<T>) {
    ReadEnum(json, path, value, problem);
  } else if constexpr (std::is_same_v<T, double>) {
    ReadDouble(json, path, value, problem);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return problem.Set(path, "expected true or false");
    value = json.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    if (!json.is_number_integer()) return problem.Set(path, "expected an integer");
    value = json.get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return problem.Set(path, "expected a text");
    value = json.get<std::string>();
  } else {
    if (!json.is_object()) return problem.Set(path, "expected an object");
    Reader reader{json, path, problem};
    VisitFields(reader, value);
    if (reader.known != json.size()) problem.Set(path, "has a field that is not known");
  }
}

// --- The schema --------------------------------------------------------------------------------

template <class T>
Json Schema();

struct SchemaWriter {
  Json properties = Json::object();
  Json required = Json::array();
  template <class T>
  void operator()(const char* name, T&, const char* meaning) {
    Json schema = Schema<std::remove_const_t<T>>();
    schema["description"] = meaning;
    properties[name] = std::move(schema);
    required.push_back(name);
  }
};

Json NumberSchema(bool nullable) {
  Json types = Json::array({"number"});
  if (nullable) types.push_back("null");
  Json text = {{"enum", Json::array({"Infinity", "-Infinity"})}};
  return {{"anyOf", Json::array({Json{{"type", types}}, text})}};
}

template <class T>
Json Schema() {
  if constexpr (IsOptional<T>::value) {
    using Inner = typename T::value_type;
    if constexpr (std::is_same_v<Inner, double>) return NumberSchema(true);
    return {{"anyOf", Json::array({Schema<Inner>(), Json{{"type", "null"}}})}};
  } else if constexpr (IsVector<T>::value) {
    return {{"type", "array"}, {"items", Schema<typename T::value_type>()}};
  } else if constexpr (std::is_enum_v<T>) {
    Json names = Json::array();
    for (const auto name : kEnumNames<T>) names.push_back(std::string(name));
    return {{"enum", names}};
  } else if constexpr (std::is_same_v<T, double>) {
    return NumberSchema(false);
  } else if constexpr (std::is_same_v<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::is_integral_v<T>) {
    return {{"type", "integer"}};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {{"type", "string"}};
  } else {
    SchemaWriter writer;
    T value;
    VisitFields(writer, value);
    return {{"type", "object"},
            {"additionalProperties", false},
            {"required", writer.required},
            {"properties", writer.properties}};
  }
}

}  // namespace

std::string ToJson(const Report& report) {
  // Bytes that are not UTF-8 become U+FFFD rather than an exception: a title cannot stop a report.
  return Write(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Report> FromJson(std::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return InvalidArgument("report JSON: not JSON; pass what `fulcrum report --format json` wrote");
  }
  Report report;
  Problem problem;
  Read(json, "report", report, problem);
  if (!problem.text.empty()) return InvalidArgument(problem.text);
  if (report.version != kReportVersion) {
    return InvalidArgument("report JSON: version " + std::to_string(report.version) +
                           " is not known here; this program reads version " +
                           std::to_string(kReportVersion));
  }
  return report;
}

std::string JsonSchema() {
  Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                 {"title", "A Fulcrum experiment report"}};
  schema.update(Schema<Report>());
  return schema.dump(2) + "\n";
}

}  // namespace fulcrum::report
