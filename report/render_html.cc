// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "report/html_plots.h"
#include "report/html_style.h"
#include "report/render.h"
#include "report/view.h"

namespace fulcrum::report {
namespace {

std::string Tag(std::string_view name, std::string_view classes, const std::string& inner) {
  std::string out = "<" + std::string(name);
  if (!classes.empty()) out += " class=\"" + std::string(classes) + "\"";
  return out + ">" + inner + "</" + std::string(name) + ">";
}

std::string Cell(const ViewColumn& column, const ViewCell& cell) {
  std::string classes = column.numeric ? "n" : "";
  if (cell.tone != Tone::kPlain) {
    if (!classes.empty()) classes += " ";
    classes += ClassOf(cell.tone);
  }
  return Tag("td", classes, Html(cell.text));
}

// A row whose first cell is empty goes on with the row above it.
size_t RowSpan(const ViewTable& table, size_t row) {
  size_t end = row + 1;
  while (end < table.rows.size() && table.rows[end].front().text.empty()) ++end;
  return end - row;
}

std::string Table(const ViewTable& table) {
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (const ViewColumn& column : table.columns) {
    out += std::string("<th scope=\"col\"") + (column.numeric ? " class=\"n\">" : ">") +
           Html(column.title) + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const auto& row = table.rows[r];
    const bool goes_on = r + 1 < table.rows.size() && table.rows[r + 1].front().text.empty();
    out += goes_on ? "<tr class=\"on\">" : "<tr>";
    if (r == 0 || !row.front().text.empty()) {
      const size_t span = RowSpan(table, r);
      out += "<th scope=\"row\"";
      if (span > 1) out += " rowspan=\"" + std::to_string(span) + "\"";
      out += ">" + Html(row.front().text) + "</th>";
    }
    for (size_t c = 1; c < row.size(); ++c) out += Cell(table.columns[c], row[c]);
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!table.note.empty()) out += Tag("p", "note", Html(table.note)) + "\n";
  return out;
}

std::string Notes(const std::vector<ViewNote>& notes) {
  std::string out = "<dl>\n";
  for (const ViewNote& note : notes) {
    out += "<div>" + Tag("dt", "", Html(note.title)) + Tag("dd", "", Html(note.text)) + "</div>\n";
  }
  return out + "</dl>\n";
}

std::string Details(std::string_view summary, const std::vector<ViewNote>& notes) {
  if (notes.empty()) return "";
  return "<details>" + Tag("summary", "", Html(summary)) + "\n" + Notes(notes) + "</details>\n";
}

std::string Section(std::string_view classes, std::string_view title, const std::string& inner) {
  std::string out = "<section";
  if (!classes.empty()) out += " class=\"" + std::string(classes) + "\"";
  out += ">\n";
  if (!title.empty()) out += Tag("h2", "", Html(title)) + "\n";
  return out + inner + "</section>\n";
}

std::string VerdictSection(const View& view) {
  std::string inner = Tag("p", "badge", Html(view.verdict)) + "\n" +
                      Tag("p", "headline", Html(view.headline)) + "\n";
  if (!view.reasons.empty()) {
    inner += "<ul class=\"reasons\">\n";
    for (const std::string& reason : view.reasons) inner += Tag("li", "", Html(reason)) + "\n";
    inner += "</ul>\n";
  }
  return Section("verdict " + std::string(ClassOf(view.verdict_tone)), "", inner);
}

std::string HealthSection(const View& view) {
  std::string inner = "<ul class=\"checks\">\n";
  for (const ViewCheck& check : view.checks) {
    std::string_view mark = "·";
    if (check.tone == Tone::kGood) mark = "✓";
    if (check.tone == Tone::kBad) mark = "✗";
    if (check.tone == Tone::kWarn) mark = "!";
    inner += "<li class=\"" + std::string(ClassOf(check.tone)) + "\">" +
             Tag("span", "mark", std::string(mark)) + Tag("span", "name", Html(check.name)) +
             Tag("span", "text soft", Html(check.text)) + "</li>\n";
  }
  return Section("", "Health", inner + "</ul>\n");
}

}  // namespace

std::string RenderHtml(const Report& report) {
  const View view = MakeView(report);
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // The page may fetch nothing and run nothing, whatever a title holds.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n";
  out += Tag("title", "", Html(view.title)) + "\n<style>" + std::string(kStyle) +
         "</style>\n</head>\n<body>\n<main>\n<header>\n";
  out += Tag("h1", "", Html(view.title)) + "\n" + Tag("p", "soft", Html(view.subtitle)) + "\n";
  if (!view.hypothesis.empty()) {
    out += Tag("p", "hypothesis", Html("Hypothesis: " + view.hypothesis)) + "\n";
  }
  out += "</header>\n" + HealthSection(view) + VerdictSection(view);
  if (const std::string plot = ForestPlot(report); !plot.empty()) {
    out += Section("", "Change against control", plot);
  }
  for (const ViewSection& section : view.lenses) {
    out += Section("", section.title,
                   Table(section.table) + Details("What each number is", section.estimands));
  }
  size_t drawn = 0;  // A funnel without stages has no section.
  for (const FunnelReport& funnel : report.funnels) {
    if (funnel.stages.empty()) continue;
    const ViewSection& section = view.funnels[drawn++];
    out += Section("", section.title,
                   FunnelPlot(report, funnel) + Table(section.table) +
                       Details("What each number is", section.estimands));
  }
  for (const ViewTable& table : view.economics) out += Section("", table.title, Table(table));
  for (const ViewTable& slice : view.slices) out += Section("", slice.title, Table(slice));
  drawn = 0;  // Days that could not be estimated have no section.
  for (const DaysReport& days : report.days) {
    if (days.status != Status::kOk) continue;
    const ViewTable& table = view.days[drawn++];
    out += Section("", table.title, DaysPlot(report, days) + Table(table));
  }
  for (const ViewTable& table : view.overlaps) out += Section("", table.title, Table(table));
  out += Section("", "Arms", Table(view.arms));
  out += Section("", "How it was computed", Notes(view.method));
  // Data on a file may have no clock.
  const int64_t as_of_ms = report.analysis.as_of_ms;
  if (as_of_ms >= kMinInstantMs && as_of_ms < kMaxInstantMs) {
    out += Tag("footer", "", Html("As of " + FormatRfc3339(as_of_ms))) + "\n";
  }
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace fulcrum::report
