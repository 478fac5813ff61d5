// SPDX-License-Identifier: Apache-2.0
#include "report/channels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "report/columns.h"
#include "stats/distributions.h"

namespace fulcrum::report {
namespace {

using experiments::Channel;
using experiments::Definitions;
using experiments::ExperimentDefinition;

class Channels {
 public:
  Channels(const Definitions& definitions, const ExperimentDefinition& experiment,
           const store::Plan& plan, const store::PlanResult& result,
           std::span<const std::vector<SliceValue>> slices)
      : definitions_(definitions),
        experiment_(experiment),
        plan_(plan),
        result_(result),
        slices_(slices) {}

  std::optional<ChannelReport> Run();

 private:
  // What one value of the attribute brought in.
  struct Part {
    std::string value;
    double units = 0;
    std::vector<double> n, mean, variance;  // Per arm; variance of the mean.
  };

  Part PartOf(const SliceValue& value, const ColumnRef& column) const;
  double CostOf(const std::string& channel) const;
  ChannelRow Row(const std::vector<const Part*>& parts) const;

  const Definitions& definitions_;
  const ExperimentDefinition& experiment_;
  const store::Plan& plan_;
  const store::PlanResult& result_;
  std::span<const std::vector<SliceValue>> slices_;
  int slice_ = -1;
};

Channels::Part Channels::PartOf(const SliceValue& value, const ColumnRef& column) const {
  Part part;
  part.value = value.value;
  const GroupStats& group = value.sample.groups[static_cast<size_t>(column.group)];
  for (const ArmStats& arm : group.arms) {
    const auto rows = static_cast<double>(arm.gram.n());
    double n = rows, mean = 0, variance = 0;
    if (rows >= 2) {
      std::vector<double> gradient(group.width, 0);
      mean = arm.mean[column.index];
      gradient[column.index] = 1;
      if (group.size_column) {
        const double units = arm.mean[*group.size_column];
        n = rows * units;
        mean /= units;
        gradient[column.index] = 1 / units;
        gradient[*group.size_column] = -mean / units;
      }
      variance = arm.Covariance(gradient, gradient);
    } else {
      n = 0;
    }
    part.n.push_back(n);
    part.mean.push_back(mean);
    part.variance.push_back(variance);
    part.units += n + arm.maturing;
  }
  return part;
}

double Channels::CostOf(const std::string& channel) const {
  const int64_t from_ms = result_.health.first_exposure_ms;
  const int64_t to_ms = result_.health.last_exposure_ms + 1;
  double sum = 0;
  for (const auto& cost : definitions_.project.costs) {
    if (cost.channel != channel) continue;
    const int64_t overlap_ms = std::min(to_ms, cost.to_ms) - std::max(from_ms, cost.from_ms);
    if (overlap_ms <= 0) continue;
    sum += cost.amount * static_cast<double>(overlap_ms) /
           static_cast<double>(cost.to_ms - cost.from_ms);
  }
  return sum;
}

// Means of several channels are weighted by their units of each arm.
ChannelRow Channels::Row(const std::vector<const Part*>& parts) const {
  ChannelRow row;
  for (const Part* part : parts) {
    row.units += part->units;
    row.cost += CostOf(part->value);
  }
  row.cost_per_unit = row.units > 0 ? row.cost / row.units : 0;
  const double z = stats::CriticalZ(experiment_.analysis.alpha);
  for (size_t a = 0; a < plan_.population.arms.size(); ++a) {
    ChannelArm arm;
    arm.arm = plan_.population.arms[a].key;
    for (const Part* part : parts) arm.n += part->n[a];
    if (arm.n > 0) {
      double mean = 0, variance = 0;
      for (const Part* part : parts) {
        const double share = part->n[a] / arm.n;
        mean += share * part->mean[a];
        variance += share * share * part->variance[a];
      }
      const double half = z * std::sqrt(variance);
      arm.contribution = mean;
      arm.margin = mean - row.cost_per_unit;
      arm.margin_lo = *arm.margin - half;
      arm.margin_hi = *arm.margin + half;
    }
    row.arms.push_back(std::move(arm));
  }
  return row;
}

std::optional<ChannelReport> Channels::Run() {
  const auto& analysis = experiment_.analysis;
  if (analysis.channel_metric.empty()) return std::nullopt;
  for (size_t s = 0; s < plan_.slices.size(); ++s) {
    if (plan_.slices[s].key == ChannelSlice()) slice_ = static_cast<int>(s);
  }
  const auto column = FindColumn(plan_, analysis.channel_metric);
  if (slice_ < 0 || !column) return std::nullopt;
  std::map<std::string, const SliceValue*> values;
  for (const SliceValue& value : slices_[static_cast<size_t>(slice_)]) {
    values.emplace(value.value, &value);
  }
  if (values.empty()) return std::nullopt;

  ChannelReport report;
  report.metric = analysis.channel_metric;
  report.attribute = analysis.channel_attribute;
  report.costs_hash = definitions_.project.costs_hash;
  std::vector<Part> parts;
  std::vector<const Channel*> channels;  // As parts; nullptr: not declared.
  const auto add = [&](const std::string& value, const Channel* channel) {
    parts.push_back(PartOf(*values.at(value), *column));
    channels.push_back(channel);
    values.erase(value);
  };
  for (const Channel& channel : definitions_.project.channels) {
    if (values.count(channel.key) > 0) add(channel.key, &channel);
  }
  while (!values.empty()) add(std::string(values.begin()->first), nullptr);
  for (size_t i = 0; i < parts.size(); ++i) {
    ChannelRow row = Row({&parts[i]});
    row.key = parts[i].value;
    row.title = channels[i] != nullptr ? channels[i]->title : parts[i].value;
    if (channels[i] != nullptr) {
      row.line = channels[i]->line;
      row.paid = channels[i]->cost == "paid";
    }
    report.rows.push_back(std::move(row));
  }
  const auto total = [&](const std::string& key, const auto& belongs) {
    std::vector<const Part*> of;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (channels[i] != nullptr && belongs(*channels[i])) of.push_back(&parts[i]);
    }
    if (of.empty()) return;
    ChannelRow row = Row(of);
    row.key = row.title = key;
    row.total = true;
    report.rows.push_back(std::move(row));
  };
  for (const char* line : {"traffic", "brand"}) {
    total(line, [&](const Channel& channel) { return channel.line == line; });
  }
  for (const char* cost : {"paid", "free"}) {
    total(cost, [&](const Channel& channel) { return channel.cost == cost; });
  }
  return report;
}

}  // namespace

std::optional<ChannelReport> EstimateChannels(const Definitions& definitions,
                                              const ExperimentDefinition& experiment,
                                              const store::Plan& plan,
                                              const store::PlanResult& result,
                                              std::span<const std::vector<SliceValue>> slices) {
  return Channels(definitions, experiment, plan, result, slices).Run();
}

}  // namespace fulcrum::report
