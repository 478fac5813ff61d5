// SPDX-License-Identifier: Apache-2.0
#include "store/fold_cells.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "store/fold_program.h"
#include "store/parallel.h"

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
  PageVector<uint32_t> of_unit;     // Empty for the whole.
};

std::string ValueText(const FoldUnits& units, uint32_t code) {
  return code == 0 ? std::string(kAbsentSliceValue) : LiteralText(units.dictionary.value(code));
}

// Which combination of codes each unit has, numbered as they turn up; `texts` says how each reads.
// One attribute is an array look-up a unit, several go through a hash of their codes.
class CodeNumbers {
 public:
  CodeNumbers(const FoldUnits& units, const std::vector<int>& slots) : units_(units) {
    for (const int slot : slots) codes_.push_back(&units.attributes[static_cast<size_t>(slot)]);
    if (codes_.size() == 1) single_.assign(units.dictionary.size(), kNoValue);
  }
  uint32_t Of(size_t unit) {
    if (codes_.size() == 1) {
      uint32_t& number = single_[(*codes_[0])[unit]];
      if (number == kNoValue) number = Name(unit);
      return number;
    }
    key_.resize(codes_.size());
    for (size_t s = 0; s < codes_.size(); ++s) key_[s] = (*codes_[s])[unit];
    if (key_ == last_key_) return last_;
    const auto it = several_.find(key_);
    last_ = it != several_.end() ? it->second : several_.emplace(key_, Name(unit)).first->second;
    last_key_ = key_;
    return last_;
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  // Several codes may read alike: they are one value.
  uint32_t Name(size_t unit) {
    std::string text;
    for (size_t s = 0; s < codes_.size(); ++s) {
      if (s > 0) text += kCompoundSeparator;
      text += ValueText(units_, (*codes_[s])[unit]);
    }
    const auto [named, fresh] =
        number_of_text_.try_emplace(text, static_cast<uint32_t>(texts_.size()));
    if (fresh) texts_.push_back(text);
    return named->second;
  }

  const FoldUnits& units_;
  std::vector<const PageVector<uint32_t>*> codes_;
  std::vector<uint32_t> single_;
  absl::flat_hash_map<std::vector<uint32_t>, uint32_t> several_;
  std::unordered_map<std::string, uint32_t> number_of_text_;
  std::vector<std::string> texts_;
  std::vector<uint32_t> key_, last_key_;
  uint32_t last_ = 0;
};

Slicing MakeSlicing(const FoldProgram& program, const FoldUnits& units, int slice) {
  const SliceSpec& spec = program.plan.slices[static_cast<size_t>(slice)];
  CodeNumbers numbers(units, program.slice_slots[static_cast<size_t>(slice)]);
  std::vector<int64_t> counts;
  Slicing slicing;
  slicing.slice = slice;
  slicing.of_unit.assign(units.size(), 0);
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (!units.Analysed(unit)) continue;
    const uint32_t number = numbers.Of(unit);
    if (number >= counts.size()) counts.resize(number + 1, 0);
    slicing.of_unit[unit] = number;
    ++counts[number];
  }
  std::vector<std::pair<std::string, int64_t>> named;
  std::unordered_map<std::string, size_t> number_of;
  for (size_t n = 0; n < counts.size(); ++n) {
    named.emplace_back(numbers.texts()[n], counts[n]);
    number_of[numbers.texts()[n]] = n;
  }
  slicing.values = TopSliceValues(named, spec.max_values);
  std::vector<uint32_t> position(counts.size(), kNoValue);
  for (uint32_t v = 0; v < slicing.values.size(); ++v) position[number_of[slicing.values[v]]] = v;
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
  CellBuilder(const FoldProgram& program, FoldUnits* units_to_keep, const std::vector<double>& caps)
      : program_(program), units_(*units_to_keep), kept_(units_to_keep->kept_cells), caps_(caps) {
    const FoldUnits& units = units_;
    slicings_.push_back({-1, {""}, {}});
    for (size_t s = 0; s < program.plan.slices.size(); ++s) {
      slicings_.push_back(MakeSlicing(program, units, static_cast<int>(s)));
    }
    for (const Slicing& slicing : slicings_) {
      first_value_.push_back(value_count_);
      value_count_ += slicing.values.size();
    }
    for (const int32_t phase : units.phases) phases_.emplace(phase, phase_count_++);
  }

  absl::Status Build(int threads, std::vector<Cell>* cells) {
    std::vector<GramBuffer> total = Buffers();
    if (clustered()) {
      FULCRUM_RETURN_IF_ERROR(AddClusters(&total));
    } else {
      FULCRUM_RETURN_IF_ERROR(AddBlocks(threads, &total));
    }
    if (whole_is_sum()) AddUpWhole(&total);
    Emit(&total, cells);
    return absl::OkStatus();
  }

 private:
  bool clustered() const { return Clustered(program_.plan.population); }
  size_t arms() const { return program_.plan.population.arms.size(); }
  size_t groups() const { return program_.plan.groups.size(); }
  // Every unit has one value of a slicing, so the whole is the sum over its values; not so for
  // clusters, which may be in several.
  bool whole_is_sum() const { return slicings_.size() > 1 && !clustered(); }

  size_t Index(size_t value, size_t phase, size_t arm, size_t group) const {
    return ((value * phase_count_ + phase) * arms() + arm) * groups() + group;
  }
  size_t PhaseOf(size_t unit) const {
    return phase_count_ == 1 ? 0 : phases_.find(units_.phase[unit])->second;
  }
  size_t ValueOf(size_t slicing, size_t unit) const {
    const PageVector<uint32_t>& of_unit = slicings_[slicing].of_unit;
    return first_value_[slicing] + (of_unit.empty() ? 0 : of_unit[unit]);
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

  absl::Status TooLarge(int column) const {
    return InvalidArgument("column \"" + program_.plan.columns[static_cast<size_t>(column)].name +
                           "\" of a unit adds up to more than a number can hold; " +
                           "look for an absurd event value, or filter it out");
  }

  // The group's columns of a unit, capped.
  absl::Status FillGroup(const Group& group, uint32_t unit, double* row) const {
    for (const int c : group.columns) {
      const double value = std::min(ColumnValue(program_, units_, unit, static_cast<size_t>(c)),
                                    caps_[static_cast<size_t>(c)]);
      if (!std::isfinite(value)) return TooLarge(c);
      *row++ = value;
    }
    return absl::OkStatus();
  }

  // What was kept holds no more when anything that all units share is another.
  void Revalidate() {
    std::vector<std::vector<std::string>> values;
    for (const Slicing& slicing : slicings_) values.push_back(slicing.values);
    if (kept_.caps != caps_ || kept_.phases != units_.phases || kept_.slice_values != values) {
      kept_.blocks.clear();
    }
    kept_.caps = caps_;
    kept_.phases = units_.phases;
    kept_.slice_values = std::move(values);
    kept_.blocks.resize(units_.blocks());
    for (size_t b = 0; b < kept_.blocks.size(); ++b) {
      KeptCells::Block& block = kept_.blocks[b];
      if (units_.dirty[b] != 0 || Ripened(block)) block.valid = false;
    }
    kept_.as_of_ms = units_.as_of_ms;
  }

  // Whether a unit of the block may be mature at one of the two as-ofs and not at the other.
  bool Ripened(const KeptCells::Block& block) const {
    if (block.first_clock_ms == kNever) return false;
    const auto [before_ms, after_ms] = std::minmax(kept_.as_of_ms, units_.as_of_ms);
    for (const Group& group : program_.plan.groups) {
      const bool all = before_ms - block.last_clock_ms >= group.maturity_ms;
      const bool none = after_ms - block.first_clock_ms < group.maturity_ms;
      if (!all && !none) return true;
    }
    return false;
  }

  // Blocks in order, whichever thread did which, so that the sums are the same to the bit.
  absl::Status AddBlocks(int threads, std::vector<GramBuffer>* total) {
    constexpr size_t kWave = 64;
    Revalidate();
    std::vector<std::vector<GramBuffer>> lanes(static_cast<size_t>(threads));
    for (auto& lane : lanes) lane = Buffers();
    for (size_t wave = 0; wave < kept_.blocks.size(); wave += kWave) {
      const size_t end = std::min(kept_.blocks.size(), wave + kWave);
      std::vector<absl::Status> statuses(end - wave);
      ForParts(threads, end - wave, [&](size_t part, int lane) {
        KeptCells::Block& block = kept_.blocks[wave + part];
        if (block.valid) return;
        statuses[part] = FillBlock(wave + part, &lanes[static_cast<size_t>(lane)], &block);
      });
      for (const absl::Status& status : statuses) {
        if (status.ok()) continue;
        kept_.blocks.clear();
        return status;
      }
      for (size_t b = wave; b < end; ++b) {
        KeptCells::Block& block = kept_.blocks[b];
        for (size_t i = 0; i < total->size(); ++i) {
          if (block.grams[i].n() + block.maturing[i] == 0) continue;
          (*total)[i].Merge(block.grams[i], block.maturing[i]);
        }
        if (!units_.keeps) block = {};
      }
    }
    return absl::OkStatus();
  }

  absl::Status FillBlock(size_t index, std::vector<GramBuffer>* buffers, KeptCells::Block* block) {
    const size_t begin = index * kBlockUnits;
    const size_t end = std::min(units_.size(), begin + kBlockUnits);
    FULCRUM_RETURN_IF_ERROR(AddUnits(begin, end, buffers, block));
    units_.DoneWith(begin, end);
    block->grams.clear();
    block->maturing.clear();
    for (GramBuffer& buffer : *buffers) {
      block->maturing.push_back(std::exchange(buffer.maturing, 0));
      block->grams.push_back(buffer.Take());
    }
    block->valid = true;
    return absl::OkStatus();
  }

  absl::Status AddUnits(size_t begin, size_t end, std::vector<GramBuffer>* buffers,
                        KeptCells::Block* block) const {
    block->first_clock_ms = kNever;
    block->last_clock_ms = kBefore;
    const size_t first_slicing = whole_is_sum() ? 1 : 0;
    for (size_t unit = begin; unit < end; ++unit) {
      if (!units_.Analysed(unit)) continue;
      block->first_clock_ms = std::min(block->first_clock_ms, units_.states.clock_ms(unit));
      block->last_clock_ms = std::max(block->last_clock_ms, units_.states.clock_ms(unit));
      const size_t arm = static_cast<size_t>(units_.arm[unit]);
      const size_t phase = PhaseOf(unit);
      for (size_t g = 0; g < groups(); ++g) {
        const Group& group = program_.plan.groups[g];
        const bool mature = Mature(units_, static_cast<uint32_t>(unit), group.maturity_ms);
        const double* filled = nullptr;
        for (size_t s = first_slicing; s < slicings_.size(); ++s) {
          GramBuffer& buffer = (*buffers)[Index(ValueOf(s, unit), phase, arm, g)];
          if (!mature) {
            ++buffer.maturing;
            continue;
          }
          double* row = buffer.Next();
          if (row == nullptr) continue;
          if (filled == nullptr) {
            FULCRUM_RETURN_IF_ERROR(FillGroup(group, static_cast<uint32_t>(unit), row));
            filled = row;
          } else {
            std::copy(filled, filled + group.columns.size(), row);
          }
        }
      }
    }
    return absl::OkStatus();
  }

  void AddUpWhole(std::vector<GramBuffer>* buffers) const {
    for (size_t v = 0; v < slicings_[1].values.size(); ++v) {
      for (size_t phase = 0; phase < phase_count_; ++phase) {
        for (size_t arm = 0; arm < arms(); ++arm) {
          for (size_t g = 0; g < groups(); ++g) {
            GramBuffer& part = (*buffers)[Index(first_value_[1] + v, phase, arm, g)];
            (*buffers)[Index(0, phase, arm, g)].Merge(&part);
          }
        }
      }
    }
  }

  // Calls fn(cell index, mature, group row) for every cell of one unit of a cluster.
  template <typename Fn>
  absl::Status ForEachCell(uint32_t unit, std::vector<double>* part, const Fn& fn) const {
    const size_t arm = static_cast<size_t>(units_.arm[unit]);
    for (size_t g = 0; g < groups(); ++g) {
      const Group& group = program_.plan.groups[g];
      const bool mature = Mature(units_, unit, group.maturity_ms);
      part->assign(group.columns.size() + 1, 1);
      if (mature) FULCRUM_RETURN_IF_ERROR(FillGroup(group, unit, part->data()));
      for (size_t s = 0; s < slicings_.size(); ++s) {
        fn(Index(ValueOf(s, unit), PhaseOf(unit), arm, g), mature, *part);
      }
    }
    return absl::OkStatus();
  }

  // One row per cluster and cell: sums over its units, and last their number.
  absl::Status AddClusters(std::vector<GramBuffer>* buffers) {
    const std::vector<uint32_t> cluster = ClusterOfUnit(program_, units_);
    const size_t whole = phase_count_ * arms() * groups();  // Cells of the whole come first.
    cluster_rows_ = ClusterRows(whole);
    std::vector<uint32_t> order;
    for (uint32_t unit = 0; unit < units_.size(); ++unit) {
      if (units_.Analysed(unit)) order.push_back(unit);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return cluster[a] < cluster[b]; });
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
          order[i], &part, [&](size_t cell, bool mature, const std::vector<double>& values) {
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
  KeptCells& kept_;
  const std::vector<double>& caps_;
  std::vector<Slicing> slicings_;
  std::vector<size_t> first_value_;
  size_t value_count_ = 0;
  std::map<int32_t, size_t> phases_;
  size_t phase_count_ = 0;
  ClusterRows cluster_rows_;
};

}  // namespace

absl::Status ComputeCells(const FoldProgram& program, const std::vector<double>& caps,
                          FoldUnits* units, std::vector<Cell>* cells) {
  return CellBuilder(program, units, caps).Build(units->threads(), cells);
}

}  // namespace fulcrum::store
