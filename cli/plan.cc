// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "experiments/load.h"
#include "nlohmann/json.hpp"
#include "report/forecast.h"
#include "report/history.h"
#include "stats/power.h"
#include "store/store.h"

namespace fulcrum::cli {
namespace {

struct Options {
  std::string dir;
  std::string experiment;
  std::string history;
  std::string key;
  std::string traffic;
  std::vector<std::string> baselines;
  double power = 0;
  double cluster_size = 0;
  double icc = 0;
  std::string format = "text";
  std::string out;
};

absl::StatusOr<double> ParseTraffic(std::string text) {
  double units = 0;
  const size_t slash = text.find('/');
  const std::string per = slash == std::string::npos ? "day" : text.substr(slash + 1);
  const double days = per == "day" ? 1 : per == "week" ? 7 : per == "hour" ? 1.0 / 24 : 0;
  if (days == 0 || !absl::SimpleAtod(text.substr(0, slash), &units) || !(units > 0)) {
    return InvalidArgument("--traffic is units in a time, as 12000/day (also /week, /hour), not '" +
                           text + "'.");
  }
  return units / days;
}

// METRIC=MEAN[,SD[,REDUCTION]].
absl::Status ParseBaseline(const experiments::Definitions& definitions, const std::string& text,
                           std::map<std::string, report::Baseline>* out) {
  const auto wrong = [&](const std::string& what) {
    return InvalidArgument("--baseline " + text + ": " + what);
  };
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return wrong("write METRIC=MEAN,SD.");
  const std::string key = text.substr(0, equals);
  const auto* metric = definitions.FindMetric(key);
  if (metric == nullptr) return wrong("there is no metric '" + key + "' in this project.");
  std::vector<double> numbers;
  const std::vector<std::string> parts = absl::StrSplit(text.substr(equals + 1), ',');
  for (const std::string& part : parts) {
    double number = 0;
    if (!absl::SimpleAtod(part, &number)) return wrong("'" + part + "' is not a number.");
    numbers.push_back(number);
  }
  report::Baseline baseline;
  baseline.mean = numbers[0];
  const bool rate = metric->kind == experiments::MetricKind::kProportion ||
                    metric->kind == experiments::MetricKind::kRetention;
  if (rate && !(numbers[0] > 0 && numbers[0] < 1)) return wrong("a rate is between 0 and 1.");
  if (numbers.size() > 3 || (!rate && numbers.size() < 2)) {
    return wrong("give its mean and the standard deviation of one unit, as " + key + "=23.5,88.");
  }
  baseline.variance = rate ? numbers[0] * (1 - numbers[0]) : numbers[1] * numbers[1];
  if (!(baseline.variance > 0)) return wrong("the standard deviation must be above 0.");
  if (numbers.size() == 3) baseline.variance_reduction = numbers[2];
  if (!(baseline.variance_reduction >= 0 && baseline.variance_reduction < 1)) {
    return wrong("what covariates explain of the variance is at least 0 and below 1, as 0.3.");
  }
  (*out)[key] = baseline;
  return absl::OkStatus();
}

absl::StatusOr<report::History> History(const Options& options,
                                        const experiments::Definitions& definitions,
                                        const experiments::ExperimentDefinition& experiment) {
  if (const std::string url = AnnouncedServer(options.history); !url.empty()) {
    const nlohmann::json body = {{"experiment", experiment.key},
                                 {"files", experiments::LoadDirectory(options.dir).files}};
    ServerSession session(url, options.key);
    FULCRUM_ASSIGN_OR_RETURN(const std::string answer,
                             session.Post("/v1/history", body.dump(), "application/json"));
    return report::HistoryFromJson(answer);
  }
  store::EmbeddedOptions embedded;
  embedded.directory = options.history;
  embedded.read_only = true;
  FULCRUM_ASSIGN_OR_RETURN(const auto opened, store::OpenEmbedded(embedded));
  return report::ReadHistory(definitions, experiment,
                             [&](const store::Plan& plan) { return opened->Run(plan); });
}

absl::Status RunPlan(const Options& options) {
  FULCRUM_ASSIGN_OR_RETURN(const auto definitions, LoadProject(options.dir));
  FULCRUM_ASSIGN_OR_RETURN(const auto* experiment, FindExperiment(definitions, options.experiment));
  report::ForecastInput input;
  if (!options.history.empty()) {
    FULCRUM_ASSIGN_OR_RETURN(const report::History history,
                             History(options, definitions, *experiment));
    input.baselines = history.baselines;
    input.arrivals = history.arrivals;
    input.history = history.period;
  }
  if (!options.traffic.empty()) {
    FULCRUM_ASSIGN_OR_RETURN(const double per_day, ParseTraffic(options.traffic));
    input.arrivals = report::Arrivals{{}, per_day, false};
  }
  for (const std::string& text : options.baselines) {
    FULCRUM_RETURN_IF_ERROR(ParseBaseline(definitions, text, &input.baselines));
  }
  if (options.power != 0) input.power = options.power;
  if (options.cluster_size > 0) {
    input.design_effect = stats::DesignEffect(options.cluster_size, options.icc, 0);
  } else if (!experiment->cluster.empty()) {
    return InvalidArgument(absl::StrCat(
        "experiment ", experiment->key, " is analysed by clusters of '", experiment->cluster,
        "': give their mean size and how alike their units are (--cluster-size, --icc)."));
  }
  FULCRUM_ASSIGN_OR_RETURN(const report::Forecast forecast,
                           report::MakeForecast(definitions, *experiment, input));
  return WriteOutput(options.out, options.format == "json" ? report::ForecastJson(forecast)
                                                           : report::ForecastText(forecast));
}

}  // namespace

void AddPlan(CLI::App* program, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program->add_subcommand(
      "plan",
      "How many units and days an experiment needs, and what it could show, before it starts.\n"
      "Example: fulcrum plan examples/shop coupon-depth --traffic 8000/day --baseline "
      "pay_rate=0.12 --baseline refund_rate=0.02");
  command->add_option("DIR", options->dir, "Project directory")->required();
  command->add_option("EXPERIMENT", options->experiment, "Key of the experiment")->required();
  command->add_option("--history", options->history,
                      "Data directory: baselines, variances and traffic of past units");
  command->add_option("--key", options->key,
                      "Key with scope read, where a server holds --history and asks for one");
  command->add_option("--traffic", options->traffic,
                      "New units of the audience, as 12000/day (instead of the history's)");
  command->add_option(
      "--baseline", options->baselines,
      "METRIC=MEAN,SD[,SHARE]: what is known of one unit; a rate needs no SD; SHARE "
      "of the variance that covariates explain. Repeat for each metric");
  command->add_option("--power", options->power, "Instead of the definition's, as 0.9");
  CLI::Option* size =
      command->add_option("--cluster-size", options->cluster_size, "Mean units of a cluster")
          ->check(CLI::PositiveNumber);
  command->add_option("--icc", options->icc, "Correlation of units of one cluster, as 0.02")
      ->check(CLI::Range(0.0, 1.0))
      ->needs(size);
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "File to write instead of standard output");
  command->callback([=] {
    *run = [=] {
      const absl::Status status = RunPlan(*options);
      return status.ok() ? kDone : Fail(status);
    };
  });
}

}  // namespace fulcrum::cli
