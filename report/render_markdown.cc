// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>

#include "report/render.h"
#include "report/view.h"

namespace fulcrum::report {
namespace {

// CommonMark: everything that could start markup, and a table's bar, is escaped; a newline would
// end a table row. "<" becomes an entity, because not every dialect knows it with a backslash.
std::string Escape(std::string_view text) {
  constexpr std::string_view kSpecial = "\\`*_[]|#~";
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      out += ' ';
      continue;
    }
    if (c == '<') {
      out += "&lt;";
      continue;
    }
    if (kSpecial.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

void Table(const ViewTable& table, std::string* out) {
  std::string rule = "|";
  *out += "|";
  for (const ViewColumn& column : table.columns) {
    *out += " " + Escape(column.title) + " |";
    rule += column.numeric ? " ---: |" : " --- |";
  }
  *out += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    *out += "|";
    for (const ViewCell& cell : row) {
      const bool strong =
          (cell.tone == Tone::kGood || cell.tone == Tone::kBad) && !cell.text.empty();
      const std::string text = Escape(cell.text);
      *out += " " + (strong ? "**" + text + "**" : text) + " |";
    }
    *out += "\n";
  }
  if (!table.note.empty()) *out += "\n" + Escape(table.note) + "\n";
}

void Section(const ViewSection& section, std::string* out) {
  *out += "\n## " + Escape(section.title) + "\n\n";
  Table(section.table, out);
}

std::string_view MarkOf(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "✓ ";
    case Tone::kBad:
      return "✗ ";
    case Tone::kWarn:
      return "! ";
    case Tone::kPlain:
    case Tone::kMuted:
      break;
  }
  return "";
}

}  // namespace

std::string RenderMarkdown(const Report& report) {
  const View view = MakeView(report);
  std::string out = "# " + Escape(view.title) + "\n\n" + Escape(view.subtitle) + "\n";
  if (!view.hypothesis.empty()) out += "\nHypothesis: " + Escape(view.hypothesis) + "\n";
  out += "\n## Health\n\n";
  for (const ViewCheck& check : view.checks) {
    out += "- " + std::string(MarkOf(check.tone)) + Escape(check.name) + ": " + Escape(check.text) +
           "\n";
  }
  out += "\n## " + Escape(view.verdict) + "\n\n**" + Escape(view.headline) + "**\n\n";
  for (const std::string& reason : view.reasons) out += "- " + Escape(reason) + "\n";
  out += "\n";
  Table(view.arms, &out);
  for (const ViewSection& section : view.lenses) Section(section, &out);
  for (const ViewSection& section : view.funnels) Section(section, &out);
  for (const auto* tables : {&view.economics, &view.slices, &view.days, &view.overlaps}) {
    for (const ViewTable& table : *tables) {
      out += "\n## " + Escape(table.title) + "\n\n";
      Table(table, &out);
    }
  }
  out += "\n## What each number is\n\n";
  for (const auto* sections : {&view.lenses, &view.funnels}) {
    for (const ViewSection& section : *sections) {
      for (const ViewNote& note : section.estimands) {
        out += "- " + Escape(note.title) + ": " + Escape(note.text) + "\n";
      }
    }
  }
  for (const ViewNote& note : view.method) {
    out += "- " + Escape(note.title) + ": " + Escape(note.text) + "\n";
  }
  return out;
}

}  // namespace fulcrum::report
