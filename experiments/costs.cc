// SPDX-License-Identifier: Apache-2.0
#include "experiments/costs.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "base/text.h"

namespace fulcrum::experiments {
namespace {

constexpr std::array<std::string_view, 4> kColumns = {"channel", "from", "to", "amount"};

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

struct Cell {
  std::string_view text;
  int column = 0;  // 1-based.
};

std::vector<Cell> Split(std::string_view line) {
  std::vector<Cell> cells;
  size_t begin = 0;
  while (true) {
    const size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back({Trim(line.substr(begin, end - begin)), static_cast<int>(begin) + 1});
    if (end == line.size()) return cells;
    begin = end + 1;
  }
}

class CostReader {
 public:
  CostReader(const Source& source, Project* project) : source_(source), project_(project) {
    if (!absl::LoadTimeZone(project->timezone, &zone_)) zone_ = absl::UTCTimeZone();
  }

  // False: it is not the header.
  bool Header(std::string_view line, int number) {
    const std::vector<Cell> cells = Split(line);
    bool ok = cells.size() == kColumns.size();
    for (size_t i = 0; ok && i < cells.size(); ++i) ok = cells[i].text == kColumns[i];
    if (!ok) {
      source_.Error(Position{source_.file(), number, 1},
                    "costs begin with the line `channel,from,to,amount`");
    }
    return ok;
  }

  void Row(std::string_view line, int number) {
    const std::vector<Cell> cells = Split(line);
    const auto at = [&](size_t i) { return Position{source_.file(), number, cells[i].column}; };
    if (cells.size() != kColumns.size()) {
      source_.Error(
          Position{source_.file(), number, 1},
          "a cost has 4 fields, channel,from,to,amount, not " + std::to_string(cells.size()));
      return;
    }
    ChannelCost cost;
    cost.channel = std::string(cells[0].text);
    cost.pos = at(0);
    const bool known = std::any_of(project_->channels.begin(), project_->channels.end(),
                                   [&](const Channel& one) { return one.key == cost.channel; });
    if (!known) {
      source_.Error(at(0), "unknown channel `" + cost.channel + "`: declare it in `channels`");
      return;
    }
    const auto from = Day(cells[1].text);
    const auto to = Day(cells[2].text);
    for (const auto& [day, i] : {std::pair{from, size_t{1}}, {to, size_t{2}}}) {
      if (day) continue;
      source_.Error(at(i), "`" + std::string(cells[i].text) + "` is not a day such as 2026-03-02");
      return;
    }
    const std::optional<double> amount = ParseDouble(cells[3].text);
    if (!amount || *amount < 0) {
      source_.Error(at(3), "`" + std::string(cells[3].text) + "` is not an amount of money");
      return;
    }
    if (*to < *from) {
      source_.Error(at(2),
                    "the last day, `" + std::string(cells[2].text) + "`, is before the first");
      return;
    }
    cost.from_ms = absl::ToUnixMillis(absl::FromCivil(*from, zone_));
    cost.to_ms = absl::ToUnixMillis(absl::FromCivil(*to + 1, zone_));
    cost.amount = *amount;
    CheckOverlap(cost);
    project_->costs.push_back(std::move(cost));
  }

 private:
  static std::optional<absl::CivilDay> Day(std::string_view text) {
    absl::CivilDay day;
    const absl::string_view view(text.data(), text.size());
    if (text.size() != 10 || !absl::ParseCivilTime(view, &day)) return std::nullopt;
    return day;
  }

  // Two rows for one day are added up only where somebody says so by writing their sum.
  void CheckOverlap(const ChannelCost& cost) const {
    for (const ChannelCost& other : project_->costs) {
      if (other.channel != cost.channel || other.to_ms <= cost.from_ms ||
          cost.to_ms <= other.from_ms) {
        continue;
      }
      source_.Error(cost.pos, "the days of channel `" + cost.channel + "` overlap those of line " +
                                  std::to_string(other.pos.line) +
                                  ": give every day in one line, or it would count twice");
      return;
    }
  }

  const Source& source_;
  Project* project_;
  absl::TimeZone zone_;
};

}  // namespace

void ParseCosts(const Source& source, std::string_view text, Project* project) {
  CostReader reader(source, project);
  int number = 0;
  bool header = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = Trim(text.substr(begin, end - begin));
    ++number;
    begin = end + 1;
    if (line.empty() || line.front() == '#') continue;
    if (!header) {
      if (!reader.Header(line, number)) return;
      header = true;
      continue;
    }
    reader.Row(line, number);
  }
}

}  // namespace fulcrum::experiments
