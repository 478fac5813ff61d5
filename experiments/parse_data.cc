// SPDX-License-Identifier: Apache-2.0
#include "experiments/parse.h"

namespace fulcrum::experiments {

DataSource ParseDataSource(const Source& source, const YamlNode& node, FieldPositions* noted) {
  DataSource out;
  out.pos = source.At(node);
  const Fields fields(source, node, "`data`",
                      {"input", "format", "table", "rows", "arm", "unit", "event", "exposure",
                       "time", "value", "arms"},
                      noted, "data.");
  if (!fields.is_map()) return out;
  fields.Text("input", &out.input);
  fields.Choice<std::string>(
      "format", {{"csv", "csv"}, {"parquet", "parquet"}, {"duckdb", "duckdb"}}, &out.format);
  fields.Text("table", &out.table);
  fields.Require("rows", "`units` (one row per unit) or `events` (one per event)");
  fields.Choice<bool>("rows", {{"units", false}, {"events", true}}, &out.per_event);
  fields.Require("arm", "the column that names the variant");
  fields.Text("arm", &out.arm_column);
  fields.Text("unit", &out.unit_column);
  fields.Text("event", &out.event_column);
  fields.Text("exposure", &out.exposure_event);
  fields.Text("time", &out.time_column);
  fields.Text("value", &out.value_column);
  if (out.per_event) {
    fields.Require("unit", "the column with the unit's id");
    fields.Require("event", "the column with the event's name");
    fields.Require("exposure", "the event name of the rows that are exposures");
    fields.Require("time", "the column with the event's time");
  } else {
    for (const char* key : {"event", "exposure", "time", "value"}) {
      if (fields.Has(key)) {
        source.Error(*fields.node().Find(key),
                     "`" + std::string(key) + "` is for `rows: events`: remove it, or say so");
      }
    }
  }
  if (out.format == "duckdb") {
    fields.Require("table", "the table or view to read");
  } else if (fields.Has("table")) {
    source.Error(*fields.node().Find("table"), "`table` is for `format: duckdb`: remove it");
  }
  if (const YamlNode* arms = fields.Get("arms")) {
    ForEachEntry(source, *arms, "`arms`", [&](const YamlEntry& entry) {
      if (auto variant = ReadText(source, entry.value, "the variant of `" + entry.key + "`")) {
        out.arms.emplace(entry.key, *variant);
        noted->emplace("data.arms." + entry.key, source.At(entry.value));
      }
    });
  }
  return out;
}

}  // namespace fulcrum::experiments
