// SPDX-License-Identifier: Apache-2.0
#include "report/view.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/time.h"
#include "report/format.h"
#include "report/view_sections.h"
#include "report/words.h"

namespace fulcrum::report {
namespace {

Tone ToneOf(Decision decision) {
  switch (decision) {
    case Decision::kShip:
      return Tone::kGood;
    case Decision::kStop:
    case Decision::kBroken:
      return Tone::kBad;
    case Decision::kKeepRunning:
      return Tone::kWarn;
    case Decision::kNoData:
    case Decision::kInconclusive:
      break;
  }
  return Tone::kMuted;
}

// Of the effect itself; a guardrail's standing has its own.
Tone EffectTone(const Report& report, const Comparison& c) {
  if (report.verdict.withheld || c.status != Status::kOk) return Tone::kMuted;
  if (c.outcome == Outcome::kBetter) return Tone::kGood;
  return c.outcome == Outcome::kWorse ? Tone::kBad : Tone::kPlain;
}

Tone ReadingTone(const Report& report, const Comparison& c) {
  if (report.verdict.withheld || c.status != Status::kOk) return Tone::kMuted;
  if (c.guardrail == GuardrailState::kBreached) return Tone::kBad;
  if (c.guardrail == GuardrailState::kCleared) return Tone::kGood;
  if (c.guardrail == GuardrailState::kNotCleared) return Tone::kWarn;
  return EffectTone(report, c);
}

// Far above its threshold an estimate is hardly corrected, and the line would only repeat it.
bool Shrinks(const Comparison& c) {
  return c.corrected && c.estimate &&
         std::fabs(*c.estimate - c.corrected->median_unbiased) > 0.02 * std::fabs(*c.estimate);
}

std::string ValueText(const MetricReport& metric, size_t arm) {
  if (arm >= metric.arms.size()) return std::string(kNothing);
  const auto value = MainValue(metric, metric.arms[arm]);
  if (!value) return std::string(kNothing);
  return FormatValue(metric, *value, Like(metric, *value));
}

std::string ConfidenceText(const Report& report) {
  const double level = EffectLevel(report);
  const bool whole = std::fabs(100 * level - std::round(100 * level)) < 1e-9;
  return FormatPercent(1 - level, whole ? 0 : 1);
}

// --- Metrics -------------------------------------------------------------------------------------

class MetricTable {
 public:
  explicit MetricTable(const Report& report) : report_(report), one_(report.arms.size() == 2) {}

  ViewTable Start() const {
    ViewTable table;
    const auto name = [&](size_t arm) {
      return arm < report_.arms.size() ? ArmName(report_, report_.arms[arm].key) : std::string();
    };
    table.columns.push_back({"Metric"});
    if (!one_) table.columns.push_back({"Arm"});
    table.columns.push_back({name(0), true});
    table.columns.push_back({one_ ? name(1) : "Arm's figure", true});
    table.columns.push_back({"Change (" + ConfidenceText(report_) + " interval)", true});
    table.columns.push_back({"Difference", true, true});
    table.columns.push_back({"p", true});
    table.columns.push_back({"Reading"});
    return table;
  }

  void Add(const MetricReport& metric, ViewTable* table) const {
    std::string label = metric.title;
    if (metric.role == Role::kPrimary) label += " *";
    if (metric.role == Role::kGuardrail && metric.margin) {
      label += " (guardrail, " + FormatPercent(*metric.margin, 0) + ")";
    } else if (metric.role == Role::kGuardrail) {
      label += " (guardrail)";
    }
    if (metric.comparisons.empty()) {
      std::vector<ViewCell> row(table->columns.size(), {std::string(kNothing), Tone::kMuted});
      row.front() = {label};
      row.back() = {Sentence(metric.status), Tone::kMuted};
      table->rows.push_back(std::move(row));
    }
    for (size_t i = 0; i < metric.comparisons.size(); ++i) {
      table->rows.push_back(Row(metric, i, i == 0 ? label : ""));
      if (Shrinks(metric.comparisons[i])) table->rows.push_back(CorrectedRow(metric, i));
    }
  }

 private:
  std::vector<ViewCell> Row(const MetricReport& metric, size_t i, const std::string& label) const {
    const Comparison& c = metric.comparisons[i];
    const Tone figures = report_.verdict.withheld ? Tone::kMuted : Tone::kPlain;
    std::vector<ViewCell> row;
    row.push_back({label});
    if (!one_) row.push_back({ArmName(report_, c.arm)});
    row.push_back({i == 0 ? ValueText(metric, 0) : "", figures});
    row.push_back({ValueText(metric, i + 1), figures});
    row.push_back({EffectText(report_, metric, c), EffectTone(report_, c)});
    row.push_back({c.estimate ? FormatDifference(metric, *c.estimate, Like(metric, *c.estimate))
                              : std::string(kNothing),
                   figures});
    row.push_back({FormatP(EffectP(report_, c)), figures});
    row.push_back({OutcomeWord(report_, metric, c), ReadingTone(report_, c)});
    return row;
  }

  // Winner's curse: under a result that was picked for being significant, what is left of its size.
  std::vector<ViewCell> CorrectedRow(const MetricReport& metric, size_t i) const {
    const Corrected& c = *metric.comparisons[i].corrected;
    const auto difference = [&](double value) {
      return FormatDifference(metric, value, Like(metric, value));
    };
    const Tone tone = report_.verdict.withheld ? Tone::kMuted : Tone::kPlain;
    std::vector<ViewCell> row;
    const std::string label = "↳ corrected size";
    row.push_back({one_ ? label : ""});
    if (!one_) row.push_back({label});
    row.push_back({""});
    row.push_back({""});
    row.push_back({c.lift ? FormatChange(c.lift, c.lift_lo, c.lift_hi)
                          : difference(c.median_unbiased) + " [" + difference(c.lo) + ", " +
                                difference(c.hi) + "]",
                   tone});
    row.push_back({difference(c.median_unbiased), tone});
    row.push_back({""});
    row.push_back({""});
    return row;
  }

  const Report& report_;
  const bool one_;
};

void Lenses(const Report& report, View* view) {
  const MetricTable maker(report);
  for (const Lens lens : {Lens::kBusiness, Lens::kUser, Lens::kFuture}) {
    ViewSection section;
    section.title = LensTitle(lens);
    section.table = maker.Start();
    std::set<std::string> seen;
    for (const MetricReport& metric : report.metrics) {
      if (metric.lens != lens) continue;
      maker.Add(metric, &section.table);
      if (!seen.insert(metric.key).second) continue;
      std::string text = metric.estimand;
      if (metric.mover) text += " Moved most by: " + MoverWord(*metric.mover) + ".";
      if (metric.cap_value) text += " Capped at " + FormatFixed(*metric.cap_value, 2) + ".";
      section.estimands.push_back({metric.title, std::move(text)});
    }
    if (!section.table.rows.empty()) view->lenses.push_back(std::move(section));
  }
  if (view->lenses.empty()) return;
  ViewTable& last = view->lenses.back().table;
  last.note = "* primary metric: the decision rests on it.";
  if (report.verdict.withheld) {
    last.note += " Figures are shown for the search of the fault only; they must not be acted on.";
  }
}

// --- Health --------------------------------------------------------------------------------------

std::string Counts(const std::vector<double>& counts) {
  std::vector<std::string> parts;
  for (const double count : counts) parts.push_back(FormatCount(count));
  return Join(parts, " / ");
}

void TestCheck(const CountTest& test, const std::string& name, View* view) {
  ViewCheck check;
  check.name = name;
  check.tone = test.mismatch ? Tone::kBad : Tone::kGood;
  if (test.status != Status::kOk) check.tone = test.mismatch ? Tone::kBad : Tone::kMuted;
  check.text = Counts(test.observed);
  if (test.p) {
    check.text += ", expected " + Counts(test.expected) + " (p " + FormatP(test.p) + ")";
  } else {
    check.text += ", " + Sentence(test.status);
  }
  view->checks.push_back(std::move(check));
}

// What clients showed against what they could send, by their own counts.
void LossCheck(const Report& report, View* view) {
  constexpr char kName[] = "Exposures lost on the way";
  const std::optional<CountTest>& loss = report.health.loss;
  if (!loss) {
    view->checks.push_back({Tone::kMuted, kName, "not known: clients reported no counts"});
    return;
  }
  if (loss->status != Status::kNoEvents) return TestCheck(*loss, kName, view);
  double shown = 0;
  for (const ArmInfo& arm : report.arms) shown += arm.client_shown.value_or(0);
  view->checks.push_back({Tone::kGood, kName, "none of " + FormatCount(shown) + " shown"});
}

bool HasClusters(const Report& report) {
  return !report.arms.empty() && report.arms.front().clusters;
}

void Checks(const Report& report, View* view) {
  const Health& health = report.health;
  const std::string what = HasClusters(report) ? "Clusters" : "Arm sizes";
  const auto fit = [&](const CountTest& test, const std::string& when) {
    return what + (test.mismatch ? " do not fit the weights" : " fit the weights") + when;
  };
  if (health.srm_before) TestCheck(*health.srm_before, fit(*health.srm_before, ""), view);
  TestCheck(health.srm, fit(health.srm, health.srm_before ? ", after exclusions" : ""), view);
  if (health.multi_arm) TestCheck(*health.multi_arm, "Units seen in several arms", view);
  if (health.triggered) TestCheck(*health.triggered, "Triggered units fit the weights", view);
  LossCheck(report, view);
  if (!health.multi_arm) {
    view->checks.push_back(
        {Tone::kGood, "Units seen in several arms",
         report.experiment.block_ms > 0 ? "by design: blocks alternate" : "none"});
  }
  if (health.unknown_variant_exposures > 0) {
    view->checks.push_back({Tone::kWarn, "Exposures to unknown variants",
                            FormatCount(health.unknown_variant_exposures)});
  }
  double excluded = 0;
  double maturing = 0;
  std::vector<double> excluded_by_arm;
  double bursts = 0;
  for (const ArmInfo& arm : report.arms) {
    excluded += arm.excluded_units;
    bursts += arm.burst_units;
    excluded_by_arm.push_back(arm.excluded_units);
  }
  for (const MetricReport& metric : report.metrics) {
    double sum = 0;
    for (const ArmValue& arm : metric.arms) sum += arm.maturing;
    maturing = std::max(maturing, sum);
  }
  if (maturing > 0) {
    view->checks.push_back({Tone::kMuted, "Units whose window is not over",
                            "up to " + FormatCount(maturing) + ", left out until it is"});
  }
  if (excluded > 0) {
    std::string text = FormatCount(excluded) + " (" + Counts(excluded_by_arm) + ")";
    if (bursts > 0) {
      text += ", " + FormatCount(bursts) + " of them for doing more than people do";
    }
    view->checks.push_back({Tone::kMuted, "Units excluded by rule", std::move(text)});
  }
  if (health.duplicate_exposures + health.duplicate_events > 0) {
    view->checks.push_back({Tone::kMuted, "Duplicates removed",
                            FormatCount(health.duplicate_exposures) + " exposures, " +
                                FormatCount(health.duplicate_events) + " events"});
  }
  if (health.rejected_rows > 0) {
    view->checks.push_back(
        {Tone::kWarn, "Rows that could not be read", FormatCount(health.rejected_rows)});
  }
}

void Arms(const Report& report, View* view) {
  ViewTable& table = view->arms;
  table.columns = {{"Arm"}, {"Weight", true}, {"Units", true}, {"Exposures", true}};
  const bool clusters = HasClusters(report);
  if (clusters) {
    table.columns.insert(table.columns.begin() + 2,
                         {report.experiment.block_ms > 0 ? "Blocks" : "Clusters", true});
  }
  if (report.health.triggered) table.columns.push_back({"Triggered", true});
  for (const ArmInfo& arm : report.arms) {
    std::string name = ArmName(report, arm.key);
    if (name != arm.key) name += " (" + arm.key + ")";
    if (arm.control) name += ", control";
    table.rows.push_back({{name},
                          {FormatPercent(arm.weight, 1)},
                          {FormatCount(arm.units)},
                          {FormatCount(arm.exposures)}});
    if (clusters) {
      auto& row = table.rows.back();
      row.insert(row.begin() + 2, {FormatCount(arm.clusters.value_or(0))});
    }
    if (report.health.triggered) {
      table.rows.back().push_back({FormatCount(arm.triggered_units)});
    }
  }
}

// --- Small print ---------------------------------------------------------------------------------

// What these data could have shown: the smallest change that would probably have been seen.
void Power(const Report& report, View* view) {
  const double target = report.analysis.target_power.value_or(0.8);
  std::vector<std::string> parts;
  bool corrected = false;
  for (const MetricReport& metric : report.metrics) {
    for (const Comparison& c : metric.comparisons) {
      corrected = corrected || Shrinks(c);
      if (!c.detectable_lift) continue;
      std::string text = FormatPercent(*c.detectable_lift, 1) + " in " + metric.title;
      if (report.arms.size() > 2) text += " (" + ArmName(report, c.arm) + ")";
      if (c.power) {
        text += ", and " + FormatPercent(report.analysis.min_lift, 1) +
                ", the least worth shipping, with " + FormatPercent(*c.power, 0);
      }
      parts.push_back(std::move(text));
    }
  }
  if (!parts.empty()) {
    view->method.push_back({"Power", "With a chance of " + FormatPercent(target, 0) +
                                         " these data show a change of " + Join(parts, "; ") +
                                         "."});
  }
  if (corrected) {
    view->method.push_back(
        {"Corrected size",
         "An effect that is read because it is significant is overstated on average (winner's "
         "curse); this line is the estimate given that it passed, median-unbiased, with its own "
         "interval."});
  }
}

void Method(const Report& report, View* view) {
  std::vector<std::string> families;
  for (const Family& family : report.families) {
    families.push_back(
        RoleWord(family.role) + ": " + std::to_string(family.size) +
        (family.size == 1 ? " comparison" : " comparisons (" + family.critical_method + ")"));
  }
  const AnalysisInfo& analysis = report.analysis;
  view->method.push_back(
      {"Intervals",
       "Hold together at " + ConfidenceText(report) + " within each family of comparisons, " +
           Join(families, "; ") + ". p is adjusted the same way: it is below " +
           FormatFixed(EffectLevel(report), 3) + " exactly when the interval excludes no change."});
  if (analysis.alpha_look > 0) {
    view->method.push_back(
        {"Looking early",
         "Of the error rate of " + FormatFixed(analysis.alpha, 3) + ", " +
             FormatFixed(analysis.alpha_look, 3) +
             " is spent on looking before the planned end and " +
             FormatFixed(analysis.alpha_final, 3) + " is left for it. " +
             (analysis.final
                  ? "The planned end is reached, so the intervals for it are shown."
                  : "Until then the intervals shown are the wider ones that hold however often "
                    "they are looked at.")});
  }
  std::set<DualPair> pairs;
  std::vector<std::string> sentences;
  double reduction = 0;
  for (const MetricReport& metric : report.metrics) {
    for (const Comparison& c : metric.comparisons) {
      if (c.pair != DualPair::kNone && pairs.insert(c.pair).second) {
        sentences.push_back(PairSentence(c.pair));
      }
      if (c.adjusted) reduction = std::max(reduction, c.adjusted->variance_reduction);
    }
  }
  if (!sentences.empty()) {
    view->method.push_back({"Test and interval", Join(sentences, "; ") + "."});
  }
  if (reduction > 0) {
    view->method.push_back(
        {"Adjusted", "Covariates known before exposure removed up to " +
                         FormatPercent(reduction, 0) +
                         " of the variance; the plain figures are in the JSON form."});
  }
  Power(report, view);
  if (report.analysis.stratified_by_phase) {
    view->method.push_back({"Phases",
                            "The weights changed while it ran; effects are averaged over "
                            "phases, so that no mix of phases can pass for an effect."});
  }
  if (!report.experiment.definition_hash.empty()) {
    view->method.push_back({"Definition", report.experiment.definition_hash +
                                              (report.experiment.definition_changed
                                                   ? ", changed since the start (" +
                                                         report.experiment.started_hash + ")"
                                                   : std::string())});
  }
}

}  // namespace

View MakeView(const Report& report) {
  View view;
  const ExperimentInfo& experiment = report.experiment;
  view.title = experiment.title.empty() ? experiment.key : experiment.title;
  view.key = experiment.key;
  view.hypothesis = experiment.hypothesis;
  double units = 0;
  for (const ArmInfo& arm : report.arms) units += arm.units;
  std::vector<std::string> parts;
  if (view.title != view.key) parts.push_back(view.key);
  if (const std::string period = Period(report); !period.empty()) parts.push_back(period);
  parts.push_back(FormatCount(units) + " units" +
                  (experiment.unit.empty() ? "" : " (" + experiment.unit + ")"));
  if (!experiment.owner.empty()) parts.push_back(experiment.owner);
  view.subtitle = Join(parts, " · ");
  view.verdict = DecisionLabel(report.verdict.decision);
  view.verdict_tone = ToneOf(report.verdict.decision);
  view.headline = Headline(report);
  for (const Reason& reason : report.verdict.reasons) {
    // The headline of a broken experiment already is its first reason.
    if (report.verdict.withheld && &reason == &report.verdict.reasons.front()) continue;
    std::string sentence = Sentence(report, reason);
    if (!sentence.empty() && sentence.front() >= 'a' && sentence.front() <= 'z') {
      sentence.front() = static_cast<char>(sentence.front() - 'a' + 'A');
    }
    view.reasons.push_back(std::move(sentence));
  }
  Checks(report, &view);
  Arms(report, &view);
  Lenses(report, &view);
  for (const FunnelReport& funnel : report.funnels) {
    if (!funnel.stages.empty()) view.funnels.push_back(FunnelSection(report, funnel));
  }
  if (report.economics) view.economics.push_back(EconomicsTable(report, *report.economics));
  for (const SliceReport& slice : report.slices) view.slices.push_back(SliceTable(report, slice));
  for (const DaysReport& days : report.days) {
    if (days.status == Status::kOk) view.days.push_back(DaysTable(report, days));
  }
  for (const OverlapReport& overlap : report.overlaps) {
    view.overlaps.push_back(OverlapTable(report, overlap));
  }
  if (report.channels) view.slices.push_back(ChannelTable(report, *report.channels));
  Method(report, &view);
  return view;
}

}  // namespace fulcrum::report
