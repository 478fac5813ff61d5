// SPDX-License-Identifier: Apache-2.0
#include "report/health.h"

#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "stats/proportions.h"
#include "stats/srm.h"

namespace fulcrum::report {
namespace {

using experiments::ExperimentDefinition;

double Sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// A missing arm at the end of the result counts as empty.
const store::ArmHealth& HealthOf(const store::PlanResult& result, size_t arm) {
  static const store::ArmHealth kEmpty;
  return arm < result.health.arms.size() ? result.health.arms[arm] : kEmpty;
}

std::vector<double> Collect(const store::Plan& plan, const store::PlanResult& result,
                            double store::ArmHealth::*field) {
  std::vector<double> out;
  for (size_t a = 0; a < plan.population.arms.size(); ++a) {
    out.push_back(HealthOf(result, a).*field);
  }
  return out;
}

// Units expected per arm: each phase's units, shared as that phase's weights say.
std::vector<double> ExpectedUnits(const store::Plan& plan, const store::PlanResult& result,
                                  std::span<const PhaseShares> phases, bool with_excluded) {
  const size_t arms = plan.population.arms.size();
  std::map<int, double> by_phase;
  double in_phases = 0;
  double units = 0;
  for (size_t a = 0; a < arms; ++a) {
    const auto& arm = HealthOf(result, a);
    units += arm.units;
    for (const auto& [phase, count] : arm.units_by_phase) {
      by_phase[phase] += count;
      in_phases += count;
    }
    if (!with_excluded) continue;
    units += arm.excluded_units;
    for (const auto& [phase, count] : arm.excluded_by_phase) {
      by_phase[phase] += count;
      in_phases += count;
    }
  }
  // Data without phases is one phase.
  if (in_phases < units) by_phase[0] += units - in_phases;
  std::vector<double> expected(arms, 0);
  for (const auto& [phase, count] : by_phase) {
    const std::vector<double> shares = SharesOf(plan, phases, phase);
    for (size_t a = 0; a < arms; ++a) expected[a] += count * shares[a];
  }
  return expected;
}

// Clusters by phase and arm, where they are the rows: of the group that waits least.
std::map<int, std::vector<double>> Clusters(const store::Plan& plan,
                                            const store::PlanResult& result) {
  std::map<int, std::vector<double>> out;
  if (!store::Clustered(plan.population) || plan.groups.empty()) return out;
  size_t soonest = 0;
  for (size_t g = 1; g < plan.groups.size(); ++g) {
    if (plan.groups[g].maturity_ms < plan.groups[soonest].maturity_ms) soonest = g;
  }
  const size_t arms = plan.population.arms.size();
  for (const store::Cell& cell : result.cells) {
    if (cell.slice >= 0 || cell.group != static_cast<int>(soonest)) continue;
    if (cell.arm < 0 || static_cast<size_t>(cell.arm) >= arms || cell.gram.n() == 0) continue;
    std::vector<double>& counts = out[cell.phase];
    counts.resize(arms, 0);
    counts[cell.arm] += static_cast<double>(cell.gram.n());
  }
  return out;
}

// Of all phases together.
std::vector<double> ClusterCounts(const store::Plan& plan, const store::PlanResult& result) {
  std::vector<double> out(plan.population.arms.size(), 0);
  for (const auto& [phase, counts] : Clusters(plan, result)) {
    for (size_t a = 0; a < out.size(); ++a) out[a] += counts[a];
  }
  return out;
}

// Clusters expected per arm: each phase's, shared as that phase's weights say.
std::vector<double> ExpectedClusters(const store::Plan& plan, const store::PlanResult& result,
                                     std::span<const PhaseShares> phases) {
  std::vector<double> expected(plan.population.arms.size(), 0);
  for (const auto& [phase, counts] : Clusters(plan, result)) {
    const std::vector<double> shares = SharesOf(plan, phases, phase);
    for (size_t a = 0; a < expected.size(); ++a) expected[a] += Sum(counts) * shares[a];
  }
  return expected;
}

CountTest AgainstExpected(std::vector<double> observed, std::vector<double> expected,
                          double srm_alpha) {
  CountTest test;
  const stats::SrmResult r = stats::SrmAgainstExpected(observed, expected);
  test.observed = std::move(observed);
  test.expected = std::move(expected);
  // A unit in an arm of weight 0 is a defect by itself, whatever the others look like.
  test.mismatch = r.unexpected_units > 0;
  if (r.reason != stats::Reason::kNone) return test;
  test.status = Status::kOk;
  test.chi2 = r.chi2;
  test.df = static_cast<int>(std::lround(r.df));
  test.p = r.p;
  test.log10_p = r.log10_p;
  test.mismatch = test.mismatch || r.p < srm_alpha;
  return test;
}

// Units seen in several arms: a unit that is bucketed twice, independently, is first seen in arm a
// and later elsewhere with probability proportional to share (1 - share).
CountTest MultiArm(const store::Plan& plan, std::vector<double> observed,
                   const std::vector<double>& expected_units, double srm_alpha) {
  const double total = Sum(expected_units);
  std::vector<double> expected;
  for (size_t a = 0; a < plan.population.arms.size(); ++a) {
    const double share = total > 0 ? expected_units[a] / total : 0;
    expected.push_back(share * (1 - share));
  }
  const double scale = Sum(expected);
  for (double& e : expected) e *= scale > 0 ? Sum(observed) / scale : 0;
  return AgainstExpected(std::move(observed), std::move(expected), srm_alpha);
}

// Exposures sent against lost (shown and not sent), arm by arm: is the loss the same?
CountTest Loss(const std::vector<double>& shown, const std::vector<double>& sent,
               double srm_alpha) {
  CountTest test;
  std::vector<double> lost;
  for (size_t a = 0; a < shown.size(); ++a) lost.push_back(std::fmax(0, shown[a] - sent[a]));
  std::vector<double> table = lost;
  for (size_t a = 0; a < shown.size(); ++a) table.push_back(shown[a] - lost[a]);
  const double rate = Sum(shown) > 0 ? Sum(lost) / Sum(shown) : 0;
  for (const double count : shown) test.expected.push_back(count * rate);
  test.observed = std::move(lost);
  // Nothing lost is no lack of units: there is nothing to compare.
  if (rate == 0) test.status = Status::kNoEvents;
  const auto r = stats::ChiSquareHomogeneity(table, shown.size());
  if (r.reason != stats::Reason::kNone) return test;
  test.status = Status::kOk;
  test.chi2 = r.chi2;
  test.df = static_cast<int>(std::lround(r.df));
  test.p = r.p;
  test.log10_p = r.log_p / std::numbers::ln10;
  test.mismatch = r.p < srm_alpha;
  return test;
}

void Judge(const CountTest& test, ReasonCode code, double srm_alpha, Health* health) {
  if (!test.mismatch) return;
  health->problems.push_back({code, "", "", test.p, srm_alpha});
  health->ok = false;
}

}  // namespace

std::vector<ArmInfo> ArmInfos(const ExperimentDefinition& experiment, const store::Plan& plan,
                              const store::PlanResult& result) {
  std::vector<ArmInfo> out;
  const std::vector<double> shares = SharesOf(plan, {}, 0);
  const std::vector<double> clusters = ClusterCounts(plan, result);
  for (size_t a = 0; a < plan.population.arms.size(); ++a) {
    const auto& health = HealthOf(result, a);
    ArmInfo info;
    info.key = plan.population.arms[a].key;
    for (const auto& variant : experiment.variants) {
      if (variant.key == info.key) info.title = variant.title;
    }
    info.control = a == 0;
    info.weight = shares[a];
    info.units = health.units;
    if (store::Clustered(plan.population)) info.clusters = clusters[a];
    info.exposures = health.exposures;
    info.multi_arm_units = health.multi_arm_units;
    info.excluded_units = health.excluded_units;
    info.burst_units = health.burst_units;
    info.triggered_units = health.triggered_units;
    if (health.client_assigned > 0 || health.client_shown > 0) {
      info.client_assigned = health.client_assigned;
      info.client_shown = health.client_shown;
      info.client_sent = health.client_sent;
      info.client_dropped = health.client_dropped;
      if (health.client_shown > 0) {
        info.loss_rate = std::fmax(0, 1 - health.client_sent / health.client_shown);
      }
    }
    out.push_back(std::move(info));
  }
  return out;
}

Health CheckHealth(const ExperimentDefinition& experiment, const store::Plan& plan,
                   const store::PlanResult& result, std::span<const PhaseShares> phases) {
  const double srm_alpha = experiment.analysis.srm_alpha;
  const auto collect = [&](double store::ArmHealth::*field) {
    return Collect(plan, result, field);
  };
  Health health;
  health.duplicate_exposures = result.health.duplicate_exposures;
  health.duplicate_events = result.health.duplicate_events;
  health.unknown_variant_exposures = result.health.unknown_variant_exposures;
  health.events_scanned = result.health.events_scanned;
  health.rejected_rows = result.health.rejected_rows;

  const std::vector<double> expected = ExpectedUnits(plan, result, phases, false);
  const auto excluded = collect(&store::ArmHealth::excluded_units);
  auto all = collect(&store::ArmHealth::units);
  for (size_t a = 0; a < all.size(); ++a) all[a] += excluded[a];
  const bool clustered = store::Clustered(plan.population);
  // What was excluded is known by unit only, so clusters have no test before it.
  if (Sum(excluded) > 0 && !clustered) {
    health.srm_before =
        AgainstExpected(std::move(all), ExpectedUnits(plan, result, phases, true), srm_alpha);
  }
  // Units that were assigned together are one draw: clusters are what chance shared out.
  health.srm = clustered ? AgainstExpected(ClusterCounts(plan, result),
                                           ExpectedClusters(plan, result, phases), srm_alpha)
                         : AgainstExpected(collect(&store::ArmHealth::units), expected, srm_alpha);
  // Units that fit before they were excluded and not after were excluded by arm.
  const bool by_exclusion = health.srm_before && !health.srm_before->mismatch;
  if (health.srm_before) {
    Judge(*health.srm_before, ReasonCode::kSampleRatioMismatch, srm_alpha, &health);
  }
  if (!health.srm_before || by_exclusion) {
    Judge(health.srm,
          by_exclusion ? ReasonCode::kExclusionImbalance : ReasonCode::kSampleRatioMismatch,
          srm_alpha, &health);
  }

  const auto multi = collect(&store::ArmHealth::multi_arm_units);
  // In a switchback units come back in other blocks: that is the design.
  if (Sum(multi) > 0 && plan.population.block_ms == 0) {
    health.multi_arm = MultiArm(plan, multi, expected, srm_alpha);
    Judge(*health.multi_arm, ReasonCode::kMultiArmImbalance, srm_alpha, &health);
  }
  const auto triggered = collect(&store::ArmHealth::triggered_units);
  if (plan.population.enrol == store::EnrolRule::kEvent && Sum(triggered) > 0) {
    std::vector<double> shares = expected;
    const double total = Sum(expected);
    for (double& s : shares) s *= total > 0 ? Sum(triggered) / total : 0;
    health.triggered = AgainstExpected(triggered, std::move(shares), srm_alpha);
    Judge(*health.triggered, ReasonCode::kTriggerImbalance, srm_alpha, &health);
  }
  const auto shown = collect(&store::ArmHealth::client_shown);
  if (Sum(shown) > 0) {
    health.loss = Loss(shown, collect(&store::ArmHealth::client_sent), srm_alpha);
    Judge(*health.loss, ReasonCode::kExposureLossImbalance, srm_alpha, &health);
  }
  // Says that definition and traffic disagree, but does not bias the arms that are known.
  if (health.unknown_variant_exposures > 0) {
    health.problems.push_back(
        {ReasonCode::kUnknownVariant, "", "", health.unknown_variant_exposures, std::nullopt});
  }
  return health;
}

}  // namespace fulcrum::report
