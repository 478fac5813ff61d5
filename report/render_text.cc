// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "report/format.h"
#include "report/render.h"
#include "report/view.h"

namespace fulcrum::report {
namespace {

// Splits at spaces so that no line is wider than `width`; a longer word stands alone.
std::vector<std::string> Wrap(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  std::string line;
  size_t used = 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t space = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, space - at);
    const size_t columns = DisplayWidth(word);
    if (used > 0 && used + 1 + columns > width) {
      lines.push_back(std::move(line));
      line.clear();
      used = 0;
    }
    if (used > 0) {
      line += ' ';
      ++used;
    }
    line += word;
    used += columns;
    at = space + 1;
  }
  if (!line.empty() || lines.empty()) lines.push_back(std::move(line));
  return lines;
}

class Printer {
 public:
  explicit Printer(const TextOptions& options)
      : width_(static_cast<size_t>(std::max(options.width, 40))), colour_(options.colour) {}

  std::string Run(const View& view);

 private:
  std::string Painted(std::string_view text, Tone tone) const;
  std::string Bold(std::string_view text) const {
    return colour_ ? "\x1b[1m" + std::string(text) + "\x1b[0m" : std::string(text);
  }
  void Line(std::string_view text = {}) {
    out_ += text;
    out_ += '\n';
  }
  void Heading(const std::string& title);
  void Paragraph(std::string_view text, size_t indent, Tone tone = Tone::kPlain);
  void Check(const ViewCheck& check, size_t name_width);
  void Table(const ViewTable& table);
  std::vector<size_t> Shown(const ViewTable& table) const;
  std::vector<size_t> Widths(const ViewTable& table, const std::vector<size_t>& shown) const;
  void Row(const ViewTable& table, const std::vector<size_t>& shown,
           const std::vector<size_t>& widths, const std::vector<ViewCell>& cells, bool header);

  const size_t width_;
  const bool colour_;
  std::string out_;
};

std::string Printer::Painted(std::string_view text, Tone tone) const {
  std::string_view code;
  switch (tone) {
    case Tone::kPlain:
      break;
    case Tone::kGood:
      code = "32";
      break;
    case Tone::kBad:
      code = "31";
      break;
    case Tone::kWarn:
      code = "33";
      break;
    case Tone::kMuted:
      code = "2";
      break;
  }
  if (!colour_ || code.empty() || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

void Printer::Heading(const std::string& title) {
  Line();
  Line(Bold(title));
}

void Printer::Paragraph(std::string_view text, size_t indent, Tone tone) {
  for (const std::string& line : Wrap(text, width_ - indent)) {
    Line(std::string(indent, ' ') + Painted(line, tone));
  }
}

void Printer::Check(const ViewCheck& check, size_t name_width) {
  std::string_view mark = "·";
  if (check.tone == Tone::kGood) mark = "✓";
  if (check.tone == Tone::kBad) mark = "✗";
  if (check.tone == Tone::kWarn) mark = "!";
  const std::string pad(name_width - DisplayWidth(check.name) + 2, ' ');
  const size_t indent = 4 + name_width + 2;
  const auto lines = Wrap(check.text, width_ > indent + 20 ? width_ - indent : 20);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i == 0) {
      Line("  " + Painted(mark, check.tone) + " " + Painted(check.name, check.tone) + pad +
           lines[i]);
    } else {
      Line(std::string(indent, ' ') + lines[i]);
    }
  }
}

size_t NaturalWidth(const ViewTable& table, size_t column) {
  size_t width = DisplayWidth(table.columns[column].title);
  for (const auto& row : table.rows) width = std::max(width, DisplayWidth(row[column].text));
  return width;
}

constexpr size_t kGap = 2;
constexpr size_t kIndent = 2;

// All columns if they fit, else without the spare ones.
std::vector<size_t> Printer::Shown(const ViewTable& table) const {
  std::vector<size_t> all;
  std::vector<size_t> needed;
  size_t total = kIndent;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    all.push_back(c);
    if (!table.columns[c].spare) needed.push_back(c);
    total += NaturalWidth(table, c) + kGap;
  }
  return total <= width_ + kGap ? all : needed;
}

// Takes what is too much from the widest text columns: their cells wrap.
std::vector<size_t> Printer::Widths(const ViewTable& table,
                                    const std::vector<size_t>& shown) const {
  constexpr size_t kNarrowest = 8;
  std::vector<size_t> widths;
  size_t total = kIndent;
  for (const size_t c : shown) {
    widths.push_back(NaturalWidth(table, c));
    total += widths.back() + kGap;
  }
  total -= kGap;
  while (total > width_) {
    size_t widest = shown.size();
    for (size_t i = 0; i < shown.size(); ++i) {
      if (table.columns[shown[i]].numeric || widths[i] <= kNarrowest) continue;
      if (widest == shown.size() || widths[i] > widths[widest]) widest = i;
    }
    if (widest == shown.size()) break;
    --widths[widest];
    --total;
  }
  // Headers of numeric columns may wrap too.
  for (size_t i = 0; i < shown.size() && total > width_; ++i) {
    if (!table.columns[shown[i]].numeric) continue;
    size_t content = kNarrowest;
    for (const auto& row : table.rows) {
      content = std::max(content, DisplayWidth(row[shown[i]].text));
    }
    const size_t cut = std::min(widths[i] - std::min(widths[i], content), total - width_);
    widths[i] -= cut;
    total -= cut;
  }
  return widths;
}

void Printer::Row(const ViewTable& table, const std::vector<size_t>& shown,
                  const std::vector<size_t>& widths, const std::vector<ViewCell>& cells,
                  bool header) {
  std::vector<std::vector<std::string>> lines;
  size_t height = 1;
  for (size_t i = 0; i < shown.size(); ++i) {
    lines.push_back(Wrap(cells[shown[i]].text, widths[i]));
    height = std::max(height, lines.back().size());
  }
  for (size_t y = 0; y < height; ++y) {
    std::string line(kIndent, ' ');
    size_t pending = 0;  // Spaces owed before the next text, so that no line ends in spaces.
    for (size_t i = 0; i < shown.size(); ++i) {
      const std::string text =
          y < lines[i].size() ? Truncate(lines[i][y], widths[i]) : std::string();
      const size_t pad = widths[i] - DisplayWidth(text);
      const bool numeric = table.columns[shown[i]].numeric;
      if (numeric) pending += pad;
      if (!text.empty()) {
        line += std::string(pending, ' ');
        pending = 0;
        line += header ? Painted(text, Tone::kMuted) : Painted(text, cells[shown[i]].tone);
      }
      if (!numeric) pending += pad;
      pending += kGap;
    }
    Line(line);
  }
}

void Printer::Table(const ViewTable& table) {
  const auto shown = Shown(table);
  const auto widths = Widths(table, shown);
  std::vector<ViewCell> header;
  for (const ViewColumn& column : table.columns) header.push_back({column.title});
  Row(table, shown, widths, header, true);
  size_t total = 0;
  for (const size_t width : widths) total += width + kGap;
  std::string rule;
  for (size_t i = kGap; i < total; ++i) rule += "─";
  Line("  " + Painted(rule, Tone::kMuted));
  for (const auto& row : table.rows) Row(table, shown, widths, row, false);
  if (!table.note.empty()) Paragraph(table.note, kIndent, Tone::kMuted);
}

std::string Printer::Run(const View& view) {
  Line(Bold(view.title));
  Paragraph(view.subtitle, 0, Tone::kMuted);
  if (!view.hypothesis.empty()) Paragraph("Hypothesis: " + view.hypothesis, 0);

  Heading("Health");
  size_t name_width = 0;
  for (const ViewCheck& check : view.checks) {
    name_width = std::max(name_width, DisplayWidth(check.name));
  }
  for (const ViewCheck& check : view.checks) Check(check, name_width);

  Line();
  Line(Painted("▌ ", view.verdict_tone) + Bold(Painted(view.verdict, view.verdict_tone)));
  for (const std::string& line : Wrap(view.headline, width_ - 2)) {
    Line(Painted("▌ ", view.verdict_tone) + line);
  }
  for (const std::string& reason : view.reasons) {
    const auto lines = Wrap(reason, width_ - 4);
    for (size_t i = 0; i < lines.size(); ++i) Line((i == 0 ? "  - " : "    ") + lines[i]);
  }

  for (const ViewSection& section : view.lenses) {
    Heading(section.title);
    Table(section.table);
  }
  for (const ViewSection& section : view.funnels) {
    Heading(section.title);
    Table(section.table);
  }
  for (const auto* tables : {&view.economics, &view.slices, &view.days, &view.overlaps}) {
    for (const ViewTable& table : *tables) {
      Heading(table.title);
      Table(table);
    }
  }
  Heading("What each number is");
  for (const auto* sections : {&view.lenses, &view.funnels}) {
    for (const ViewSection& section : *sections) {
      for (const ViewNote& note : section.estimands) {
        Paragraph(note.title + ": " + note.text, kIndent, Tone::kMuted);
      }
    }
  }
  for (const ViewNote& note : view.method) {
    Paragraph(note.title + ": " + note.text, kIndent, Tone::kMuted);
  }
  return std::move(out_);
}

}  // namespace

std::string RenderText(const Report& report, const TextOptions& options) {
  return Printer(options).Run(MakeView(report));
}

}  // namespace fulcrum::report
