// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <tuple>

#include "store/fold_filter.h"
#include "store/reference_worlds.h"

namespace fulcrum::store {
namespace {

// Collects the first difference; later ones are ignored.
class Comparison {
 public:
  explicit Comparison(double tolerance) : tolerance_(tolerance) {}
  void Exact(const std::string& what, double got, double want) {
    if (got != want) Fail(what, got, want);
  }
  void Close(const std::string& what, double got, double want) {
    const double scale = std::max({1.0, std::abs(got), std::abs(want)});
    if (!(std::abs(got - want) <= tolerance_ * scale) && got != want) Fail(what, got, want);
  }
  bool failed() const { return !text_.empty(); }
  const std::string& text() const { return text_; }

 private:
  void Fail(const std::string& what, double got, double want) {
    if (failed()) return;
    std::ostringstream out;
    out.precision(17);
    out << what << ": got " << got << ", want " << want;
    text_ = out.str();
  }
  const double tolerance_;
  std::string text_;
};

using CellKey = std::tuple<int, int, int, std::string, int>;

std::map<CellKey, const Cell*> ByKey(const PlanResult& result) {
  std::map<CellKey, const Cell*> cells;
  for (const Cell& cell : result.cells) {
    cells[{cell.arm, cell.phase, cell.slice, cell.slice_value, cell.group}] = &cell;
  }
  return cells;
}

std::string Name(const Cell& cell) {
  std::ostringstream out;
  out << "cell(arm " << cell.arm << ", phase " << cell.phase << ", slice " << cell.slice << " \""
      << cell.slice_value << "\", group " << cell.group << ")";
  return out.str();
}

// Rows of clusters, in no order.
void CompareClusters(const std::string& name, std::vector<std::vector<double>> got,
                     std::vector<std::vector<double>> want, Comparison* out) {
  out->Exact(name + " cluster rows", static_cast<double>(got.size()),
             static_cast<double>(want.size()));
  if (out->failed()) return;
  std::sort(got.begin(), got.end());
  std::sort(want.begin(), want.end());
  for (size_t i = 0; i < want.size() && !out->failed(); ++i) {
    out->Exact(name + " cluster width", static_cast<double>(got[i].size()),
               static_cast<double>(want[i].size()));
    for (size_t c = 0; c < want[i].size() && !out->failed(); ++c) {
      out->Close(name + " cluster " + std::to_string(i), got[i][c], want[i][c]);
    }
  }
}

void CompareCells(const PlanResult& got, const PlanResult& want, Comparison* out) {
  const auto got_cells = ByKey(got);
  const auto want_cells = ByKey(want);
  out->Exact("cells with distinct keys", static_cast<double>(got_cells.size()),
             static_cast<double>(got.cells.size()));
  for (const auto& [key, cell] : want_cells) {
    const auto it = got_cells.find(key);
    if (it == got_cells.end()) return out->Exact(Name(*cell) + " exists", 0, 1);
    const stats::Gram& a = it->second->gram;
    const stats::Gram& b = cell->gram;
    out->Exact(Name(*cell) + " n", static_cast<double>(a.n()), static_cast<double>(b.n()));
    out->Exact(Name(*cell) + " maturing", static_cast<double>(it->second->maturing),
               static_cast<double>(cell->maturing));
    out->Exact(Name(*cell) + " width", static_cast<double>(a.width()),
               static_cast<double>(b.width()));
    CompareClusters(Name(*cell), it->second->clusters, cell->clusters, out);
    if (out->failed()) return;
    for (size_t i = 0; i < b.width(); ++i) {
      out->Close(Name(*cell) + " mean " + std::to_string(i), a.mean(i), b.mean(i));
      for (size_t j = 0; j <= i; ++j) {
        out->Close(Name(*cell) + " centred " + std::to_string(i) + "," + std::to_string(j),
                   a.centred(i, j), b.centred(i, j));
      }
    }
  }
  out->Exact("cells", static_cast<double>(got_cells.size()),
             static_cast<double>(want_cells.size()));
}

void CompareTables(const PlanResult& got, const PlanResult& want, Comparison* out) {
  out->Exact("survival tables", static_cast<double>(got.survival.size()),
             static_cast<double>(want.survival.size()));
  out->Exact("quantiles", static_cast<double>(got.quantiles.size()),
             static_cast<double>(want.quantiles.size()));
  if (out->failed()) return;
  for (size_t t = 0; t < want.survival.size(); ++t) {
    const SurvivalTable& a = got.survival[t];
    const SurvivalTable& b = want.survival[t];
    const std::string name =
        "survival " + std::to_string(b.time_to) + " arm " + std::to_string(b.arm);
    out->Exact(name + " time_to", a.time_to, b.time_to);
    out->Exact(name + " arm", a.arm, b.arm);
    out->Exact(name + " rows", static_cast<double>(a.rows.size()),
               static_cast<double>(b.rows.size()));
    out->Exact(name + " clusters", a.n_clusters, b.n_clusters);
    out->Close(name + " clustered variance", a.clustered_variance, b.clustered_variance);
    if (out->failed()) return;
    for (size_t r = 0; r < b.rows.size(); ++r) {
      out->Exact(name + " time", a.rows[r].time_ms, b.rows[r].time_ms);
      out->Exact(name + " at risk", a.rows[r].at_risk, b.rows[r].at_risk);
      out->Exact(name + " events", a.rows[r].events, b.rows[r].events);
      out->Exact(name + " censored", a.rows[r].censored, b.rows[r].censored);
    }
  }
  for (size_t q = 0; q < want.quantiles.size(); ++q) {
    const QuantileResult& a = got.quantiles[q];
    const QuantileResult& b = want.quantiles[q];
    const std::string name =
        "quantile " + std::to_string(b.quantile) + " arm " + std::to_string(b.arm);
    out->Exact(name + " quantile", a.quantile, b.quantile);
    out->Exact(name + " arm", a.arm, b.arm);
    out->Exact(name + " n", a.n, b.n);
    out->Exact(name + " n_clusters", a.n_clusters, b.n_clusters);
    out->Close(name + " value", a.value, b.value);
    out->Exact(name + " lower", a.lower, b.lower);
    out->Exact(name + " upper", a.upper, b.upper);
    out->Close(name + " density_sd", a.density_sd, b.density_sd);
  }
}

void CompareHealth(const Health& got, const Health& want, Comparison* out) {
  out->Exact("unknown variants", got.unknown_variant_exposures, want.unknown_variant_exposures);
  out->Exact("same unknown variants", got.unknown_variants == want.unknown_variants, 1);
  out->Exact("duplicate exposures", got.duplicate_exposures, want.duplicate_exposures);
  out->Exact("duplicate events", got.duplicate_events, want.duplicate_events);
  out->Exact("first exposure", static_cast<double>(got.first_exposure_ms),
             static_cast<double>(want.first_exposure_ms));
  out->Exact("last exposure", static_cast<double>(got.last_exposure_ms),
             static_cast<double>(want.last_exposure_ms));
  out->Exact("last received", static_cast<double>(got.last_received_ms),
             static_cast<double>(want.last_received_ms));
  out->Exact("arms", static_cast<double>(got.arms.size()), static_cast<double>(want.arms.size()));
  if (out->failed()) return;
  for (size_t a = 0; a < want.arms.size(); ++a) {
    const ArmHealth& x = got.arms[a];
    const ArmHealth& y = want.arms[a];
    const std::string name = "arm " + std::to_string(a);
    out->Exact(name + " units", x.units, y.units);
    out->Exact(name + " exposures", x.exposures, y.exposures);
    out->Exact(name + " multi_arm_units", x.multi_arm_units, y.multi_arm_units);
    out->Exact(name + " excluded_units", x.excluded_units, y.excluded_units);
    out->Exact(name + " burst_units", x.burst_units, y.burst_units);
    out->Exact(name + " same excluded by phase", x.excluded_by_phase == y.excluded_by_phase, 1);
    out->Exact(name + " triggered_units", x.triggered_units, y.triggered_units);
    out->Exact(name + " same units by phase", x.units_by_phase == y.units_by_phase, 1);
    out->Exact(name + " same units by day", x.units_by_day == y.units_by_day, 1);
  }
}

}  // namespace

std::string Difference(const PlanResult& got, const PlanResult& want, double tolerance) {
  Comparison comparison(tolerance);
  comparison.Exact("as_of_ms", static_cast<double>(got.as_of_ms),
                   static_cast<double>(want.as_of_ms));
  CompareHealth(got.health, want.health, &comparison);
  comparison.Exact("caps", static_cast<double>(got.cap_values.size()),
                   static_cast<double>(want.cap_values.size()));
  for (size_t c = 0; !comparison.failed() && c < want.cap_values.size(); ++c) {
    comparison.Close("cap " + std::to_string(c), got.cap_values[c], want.cap_values[c]);
  }
  if (!comparison.failed()) CompareCells(got, want, &comparison);
  if (!comparison.failed()) CompareTables(got, want, &comparison);
  return comparison.text();
}

}  // namespace fulcrum::store
