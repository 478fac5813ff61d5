// SPDX-License-Identifier: Apache-2.0
//
// How plan.h's function builds a plan: one object, used once. Private to report/. plan.cc has what
// is of every unit, plan_journeys.cc what is counted per order or session.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "experiments/definition.h"
#include "store/plan.h"

namespace fulcrum::report {

using experiments::Definitions;
using experiments::ExperimentDefinition;
using experiments::MetricDefinition;
using experiments::Stage;

// When a metric counts, from the clock.
store::TimeWindow WindowOf(const MetricDefinition& metric);

store::JourneyKey KeyOf(experiments::CountedPer per);

// Builds one plan. Methods are called in the order of MakePlan().
class Planner {
 public:
  Planner(const Definitions& definitions, const ExperimentDefinition& experiment)
      : definitions_(definitions), experiment_(experiment) {
    unit_rows_ = experiment.data && !experiment.data->per_event;
  }

  absl::Status Population();
  absl::Status Switchback();
  absl::Status Metric(const std::string& key);
  absl::Status Economics();
  void ShareCovariates();
  void Days();
  void Slices();
  store::Plan Take() { return std::move(plan_); }

 private:
  absl::Status Exclusions();
  absl::Status Error(const MetricDefinition& metric, std::string_view what) const;
  std::vector<std::string> RawNames(const std::string& event) const;
  std::vector<std::string> StageEvents(const Stage& stage) const;
  store::Term TermOf(const experiments::Term& term) const;
  std::vector<store::Term> TermsOf(const std::vector<experiments::Term>& terms) const;
  store::Column ColumnOf(const MetricDefinition& metric, const std::string& name,
                         const std::vector<experiments::Term>& terms,
                         const std::string& source) const;
  int64_t MaturityOf(const MetricDefinition& metric) const;
  int AddColumn(store::Column column, int64_t maturity_ms, bool day_table = false);
  void AddCovariates(const MetricDefinition& metric, const std::vector<std::string>& columns);
  absl::Status NeedEvents(const MetricDefinition& metric) const;
  absl::Status Funnel(const MetricDefinition& metric);
  absl::Status TimeTo(const MetricDefinition& metric);
  absl::Status Quantile(const MetricDefinition& metric);
  int AddJourney(store::JourneySpec journey);
  store::JourneyStage JourneyStageOf(const experiments::Term& term) const;
  void AddJourneyColumn(const std::string& name, int journey, int stage, int64_t maturity_ms);
  void CountIds(const MetricDefinition& metric, const std::string& name,
                const experiments::Term& term, experiments::CountedPer per);
  void ShareOfIds(const MetricDefinition& metric);
  void Repeat(const MetricDefinition& metric);
  absl::Status IdFunnel(const MetricDefinition& metric);
  void Plain(const MetricDefinition& metric);
  void Side(const MetricDefinition& metric, const std::string& name,
            const std::vector<experiments::Term>& terms, const std::string& source, bool capped);
  absl::Status StageEventsOf(const MetricDefinition& metric, const std::string& key,
                             std::vector<std::string>* events) const;

  const Definitions& definitions_;
  const ExperimentDefinition& experiment_;
  bool unit_rows_ = false;
  store::Plan plan_;
  std::map<std::string, int> columns_;
  std::map<std::pair<int64_t, bool>, int> groups_;
  std::set<std::string> planned_;
};

}  // namespace fulcrum::report
