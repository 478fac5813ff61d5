// SPDX-License-Identifier: Apache-2.0
#include "store/fold_cells.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <thread>
#include <unordered_map>

#include "base/status.h"
#include "store/fold_program.h"

namespace fulcrum::store {

std::vector<std::string> TopSliceValues(std::vector<std::pair<std::string, int64_t>> counts,
                                        int max_values) {
  std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> top;
  for (const auto& [value, count] : counts) {
    if (static_cast<int>(top.size()) == max_values) break;
    top.push_back(value);
  }
  return top;
}

double QuantileType7(std::vector<double>* values, double q) {
  const double position = q * static_cast<double>(values->size() - 1);
  const auto below = static_cast<size_t>(position);
  const double fraction = position - static_cast<double>(below);
  const auto at = values->begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values->begin(), at, values->end());
  const double low = *at;
  if (fraction == 0 || below + 1 == values->size()) return low;
  const double high = *std::min_element(at + 1, values->end());
  return low + fraction * (high - low);
}

namespace {

double CapQuantile(std::vector<std::pair<int64_t, double>> values, const CapRule& rule) {
  const auto first = static_cast<size_t>(rule.first_units);
  if (values.size() < first) return std::numeric_limits<double>::infinity();
  if (first > 0) {
    const auto last = values.begin() + static_cast<std::ptrdiff_t>(first - 1);
    std::nth_element(values.begin(), last, values.end());
    const int64_t last_clock_ms = last->first;
    values.erase(std::remove_if(values.begin(), values.end(),
                                [&](const auto& v) { return v.first > last_clock_ms; }),
                 values.end());
  }
  std::vector<double> counted;
  for (const auto& [clock_ms, value] : values) {
    if (value != 0 || rule.include_zeros) counted.push_back(value);
  }
  if (counted.empty()) return std::numeric_limits<double>::infinity();
  return QuantileType7(&counted, *rule.quantile);
}

}  // namespace

std::vector<double> ComputeCaps(const FoldProgram& program, const FoldUnits& units) {
  const std::vector<Column>& columns = program.plan.columns;
  std::vector<double> caps(columns.size(), std::numeric_limits<double>::infinity());
  for (size_t c = 0; c < columns.size(); ++c) {
    if (!columns[c].cap) continue;
    const CapRule& rule = *columns[c].cap;
    if (rule.value) caps[c] = *rule.value;
    if (!rule.quantile) continue;
    const auto sum = static_cast<size_t>(program.cap_sum_of_column[c]);
    const bool grown = rule.pre_ms > 0;              // The past is all there.
    std::vector<std::pair<int64_t, double>> values;  // With clocks.
    for (uint32_t unit = 0; unit < units.size(); ++unit) {
      if (!units.Analysed(unit)) continue;
      if (!grown && !Mature(units, unit, program.maturity_of_column[c])) continue;
      values.emplace_back(units.states.clock_ms(unit), units.states.sums(unit)[sum]);
    }
    caps[c] = std::min(caps[c], CapQuantile(std::move(values), rule));
  }
  return caps;
}

namespace {

constexpr uint32_t kNoValue = std::numeric_limits<uint32_t>::max();

// One slicing of the units: which value each has.
struct Slicing {
  int slice = -1;
  std::vector<std::string> values;  // One unnamed value for the whole.
  std::vector<uint32_t> of_unit;    // Empty for the whole.
};

std::string ValueText(const FoldUnits& units, uint32_t code) {
  return code == 0 ? std::string(kAbsentSliceValue) : LiteralText(units.dictionary.value(code));
}

Slicing MakeSlicing(const FoldProgram& program, const FoldUnits& units, int slice) {
  const SliceSpec& spec = program.plan.slices[static_cast<size_t>(slice)];
  const std::vector<int>& slots = program.slice_slots[static_cast<size_t>(slice)];
  // Codes to distinct texts first: several codes may read alike.
  std::map<std::vector<uint32_t>, uint32_t> id_of_codes;
  std::unordered_map<std::string, uint32_t> id_of_text;
  std::vector<std::pair<std::string, int64_t>> counts;
  Slicing slicing;
  slicing.slice = slice;
  slicing.of_unit.assign(units.size(), 0);
  std::vector<uint32_t> codes(slots.size());
  std::vector<uint32_t> last_codes;
  uint32_t last_id = 0;
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (!units.Analysed(unit)) continue;
    for (size_t s = 0; s < slots.size(); ++s) {
      codes[s] = units.attributes[static_cast<size_t>(slots[s])][unit];
    }
    if (codes != last_codes) {
      const auto [it, added] = id_of_codes.try_emplace(codes, 0);
      if (added) {
        std::string text;
        for (size_t s = 0; s < codes.size(); ++s) {
          if (s > 0) text += kCompoundSeparator;
          text += ValueText(units, codes[s]);
        }
        const auto [named, fresh] =
            id_of_text.try_emplace(text, static_cast<uint32_t>(counts.size()));
        if (fresh) counts.emplace_back(text, 0);
        it->second = named->second;
      }
      last_codes = codes;
      last_id = it->second;
    }
    slicing.of_unit[unit] = last_id;
    ++counts[last_id].second;
  }
  slicing.values = TopSliceValues(counts, spec.max_values);
  std::vector<uint32_t> position(counts.size(), kNoValue);
  for (uint32_t v = 0; v < slicing.values.size(); ++v) position[id_of_text[slicing.values[v]]] = v;
  if (counts.size() > slicing.values.size()) {
    // A value that is itself called "other" shares its cell with the tail.
    auto other = std::find(slicing.values.begin(), slicing.values.end(), kOtherSliceValue);
    if (other == slicing.values.end()) {
      other = slicing.values.insert(other, std::string(kOtherSliceValue));
    }
    const auto tail = static_cast<uint32_t>(other - slicing.values.begin());
    for (uint32_t& p : position) {
      if (p == kNoValue) p = tail;
    }
  }
  for (uint32_t& value : slicing.of_unit) {
    if (!position.empty()) value = position[value];
  }
  return slicing;
}

class CellBuilder {
 public:
  CellBuilder(const FoldProgram& program, const FoldUnits& units, const std::vector<double>& caps)
      : program_(program), units_(units), caps_(caps) {
    slicings_.push_back({-1, {""}, {}});
    for (size_t s = 0; s < program.plan.slices.size(); ++s) {
      slicings_.push_back(MakeSlicing(program, units, static_cast<int>(s)));
    }
    for (const Slicing& slicing : slicings_) {
      first_value_.push_back(value_count_);
      value_count_ += slicing.values.size();
    }
    int32_t last_phase = 0;
    for (size_t unit = 0; unit < units.size(); ++unit) {
      if (!units.Analysed(unit)) continue;
      if (phases_.empty() || units.phase[unit] != last_phase) {
        last_phase = units.phase[unit];
        phases_.try_emplace(last_phase, 0);
      }
    }
    for (auto& [phase, index] : phases_) index = phase_count_++;
  }

  absl::Status Build(int threads, std::vector<Cell>* cells) {
    std::vector<std::vector<GramBuffer>> parts(clustered() ? 1 : static_cast<size_t>(threads));
    std::vector<absl::Status> statuses(parts.size());
    if (clustered()) {
      statuses[0] = AddClusters(&parts[0]);
    } else {
      std::vector<std::thread> workers;
      const size_t share = (units_.size() + parts.size() - 1) / parts.size();
      for (size_t p = 1; p < parts.size(); ++p) {
        workers.emplace_back(
            [&, p] { statuses[p] = AddUnits(p * share, (p + 1) * share, &parts[p]); });
      }
      statuses[0] = AddUnits(0, share, &parts[0]);
      for (std::thread& worker : workers) worker.join();
    }
    for (const absl::Status& status : statuses) FULCRUM_RETURN_IF_ERROR(status);
    for (size_t p = 1; p < parts.size(); ++p) {
      for (size_t i = 0; i < parts[0].size(); ++i) parts[0][i].Merge(&parts[p][i]);
    }
    Emit(&parts[0], cells);
    return absl::OkStatus();
  }

 private:
  bool clustered() const { return Clustered(program_.plan.population); }
  size_t arms() const { return program_.plan.population.arms.size(); }
  size_t groups() const { return program_.plan.groups.size(); }

  size_t Index(size_t value, size_t phase, size_t arm, size_t group) const {
    return ((value * phase_count_ + phase) * arms() + arm) * groups() + group;
  }

  std::vector<GramBuffer> Buffers() const {
    std::vector<GramBuffer> buffers;
    buffers.reserve(value_count_ * phase_count_ * arms() * groups());
    for (size_t i = 0; i < value_count_ * phase_count_ * arms(); ++i) {
      for (const Group& group : program_.plan.groups) {
        buffers.emplace_back(group.columns.size() + (clustered() ? 1 : 0));
      }
    }
    return buffers;
  }

  absl::Status CappedRow(uint32_t unit, std::vector<double>* row) const {
    FillRow(program_, units_, unit, row->data());
    for (size_t c = 0; c < row->size(); ++c) {
      (*row)[c] = std::min((*row)[c], caps_[c]);
      if (!std::isfinite((*row)[c])) {
        return InvalidArgument("column \"" + program_.plan.columns[c].name +
                               "\" of a unit adds up to more than a number can hold; " +
                               "look for an absurd event value, or filter it out");
      }
    }
    return absl::OkStatus();
  }

  // Calls fn(cell index, group row) for the groups of one unit; group row empty = maturing.
  template <typename Fn>
  absl::Status ForEachCell(uint32_t unit, std::vector<double>* row, std::vector<double>* part,
                           const Fn& fn) const {
    FULCRUM_RETURN_IF_ERROR(CappedRow(unit, row));
    const size_t arm = static_cast<size_t>(units_.arm[unit]);
    const size_t phase = phases_.size() == 1 ? 0 : phases_.find(units_.phase[unit])->second;
    for (size_t g = 0; g < groups(); ++g) {
      const Group& group = program_.plan.groups[g];
      const bool mature = Mature(units_, unit, group.maturity_ms);
      part->clear();
      if (mature) {
        for (const int c : group.columns) part->push_back((*row)[static_cast<size_t>(c)]);
        if (clustered()) part->push_back(1);
      }
      for (size_t s = 0; s < slicings_.size(); ++s) {
        const Slicing& slicing = slicings_[s];
        const size_t value =
            first_value_[s] + (slicing.of_unit.empty() ? 0 : slicing.of_unit[unit]);
        fn(Index(value, phase, arm, g), mature, *part);
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddUnits(size_t begin, size_t end, std::vector<GramBuffer>* buffers) const {
    *buffers = Buffers();
    std::vector<double> row(program_.plan.columns.size());
    std::vector<double> part;
    end = std::min(end, units_.size());
    for (size_t unit = begin; unit < end; ++unit) {
      if (!units_.Analysed(unit)) continue;
      FULCRUM_RETURN_IF_ERROR(
          ForEachCell(static_cast<uint32_t>(unit), &row, &part,
                      [&](size_t cell, bool mature, const std::vector<double>& values) {
                        if (mature) {
                          (*buffers)[cell].Add(values);
                        } else {
                          ++(*buffers)[cell].maturing;
                        }
                      }));
    }
    return absl::OkStatus();
  }

  // One row per cluster and cell: sums over its units, and last their number.
  absl::Status AddClusters(std::vector<GramBuffer>* buffers) {
    *buffers = Buffers();
    const std::vector<uint32_t> cluster = ClusterOfUnit(program_, units_);
    const size_t whole = phase_count_ * arms() * groups();  // Cells of the whole come first.
    cluster_rows_ = ClusterRows(whole);
    std::vector<uint32_t> order;
    for (uint32_t unit = 0; unit < units_.size(); ++unit) {
      if (units_.Analysed(unit)) order.push_back(unit);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return cluster[a] < cluster[b]; });
    std::vector<double> row(program_.plan.columns.size());
    std::vector<double> part;
    std::map<size_t, std::vector<double>> open;
    const auto flush = [&] {
      for (const auto& [cell, values] : open) {
        (*buffers)[cell].Add(values);
        if (cell < whole) cluster_rows_.Add(cell, values);
      }
      open.clear();
    };
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && cluster[order[i]] != cluster[order[i - 1]]) flush();
      FULCRUM_RETURN_IF_ERROR(ForEachCell(
          order[i], &row, &part, [&](size_t cell, bool mature, const std::vector<double>& values) {
            if (!mature) {
              ++(*buffers)[cell].maturing;
              return;
            }
            std::vector<double>& sums = open[cell];
            sums.resize(values.size(), 0.0);
            for (size_t c = 0; c < values.size(); ++c) sums[c] += values[c];
          }));
    }
    flush();
    return absl::OkStatus();
  }

  void Emit(std::vector<GramBuffer>* buffers, std::vector<Cell>* cells) {
    for (size_t s = 0; s < slicings_.size(); ++s) {
      for (size_t v = 0; v < slicings_[s].values.size(); ++v) {
        for (const auto& [phase, index] : phases_) {
          for (size_t arm = 0; arm < arms(); ++arm) {
            for (size_t g = 0; g < groups(); ++g) {
              const size_t at = Index(first_value_[s] + v, index, arm, g);
              GramBuffer& buffer = (*buffers)[at];
              if (s > 0 && buffer.empty()) continue;
              Cell cell;
              cell.arm = static_cast<int>(arm);
              cell.phase = phase;
              cell.slice = slicings_[s].slice;
              cell.slice_value = slicings_[s].values[v];
              cell.group = static_cast<int>(g);
              cell.gram = buffer.Take();
              cell.maturing = buffer.maturing;
              if (s == 0 && clustered()) cell.clusters = cluster_rows_.Take(at);
              cells->push_back(std::move(cell));
            }
          }
        }
      }
    }
  }

  const FoldProgram& program_;
  const FoldUnits& units_;
  const std::vector<double>& caps_;
  std::vector<Slicing> slicings_;
  std::vector<size_t> first_value_;
  size_t value_count_ = 0;
  std::map<int32_t, size_t> phases_;
  size_t phase_count_ = 0;
  ClusterRows cluster_rows_;
};

}  // namespace

absl::Status ComputeCells(const FoldProgram& program, const FoldUnits& units,
                          const std::vector<double>& caps, int threads, std::vector<Cell>* cells) {
  return CellBuilder(program, units, caps).Build(std::max(threads, 1), cells);
}

}  // namespace fulcrum::store
