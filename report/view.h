// SPDX-License-Identifier: Apache-2.0
//
// A report laid out as titles, sentences and tables of finished text, before any markup. Text,
// Markdown and HTML each print a View, so they say the same. Private to report/.
#pragma once

#include <string>
#include <vector>

#include "report/report.h"

namespace fulcrum::report {

enum class Tone { kPlain, kGood, kBad, kWarn, kMuted };

struct ViewCell {
  std::string text;
  Tone tone = Tone::kPlain;
};

struct ViewColumn {
  std::string title;
  bool numeric = false;
  bool spare = false;  // May be left out where space is short.
};

struct ViewTable {
  std::string title;
  std::string note;  // One sentence above or below the table.
  std::vector<ViewColumn> columns;
  std::vector<std::vector<ViewCell>> rows;
};

// One health check: a mark, what was checked, what was seen.
struct ViewCheck {
  Tone tone = Tone::kGood;
  std::string name;
  std::string text;
};

// A metric's small print.
struct ViewNote {
  std::string title;
  std::string text;
};

struct ViewSection {
  std::string title;
  ViewTable table;
  std::vector<ViewNote> estimands;
};

struct View {
  std::string title;
  std::string key;
  std::string subtitle;  // Period, units, owner.
  std::string hypothesis;
  std::string verdict;  // "SHIP"
  Tone verdict_tone = Tone::kPlain;
  std::string headline;
  std::vector<std::string> reasons;
  std::vector<ViewCheck> checks;
  ViewTable arms;
  std::vector<ViewSection> lenses;
  std::vector<ViewSection> funnels;
  std::vector<ViewTable> economics;
  std::vector<ViewTable> slices;
  std::vector<ViewTable> days;  // Of Report::days, those with status kOk.
  std::vector<ViewTable> overlaps;
  std::vector<ViewNote> method;  // How to read it; pre-registration.
};

View MakeView(const Report& report);

}  // namespace fulcrum::report
