// SPDX-License-Identifier: Apache-2.0
//
// The world as three CSV files that `fulcrum import` reads, in the order of arrival.
#include <cmath>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/simulate.h"

namespace fulcrum::cli {
namespace {

class CsvSink : public sim::Sink {
 public:
  CsvSink(const sim::World& world, const std::string& directory)
      : world_(world),
        exposures_(directory + "/exposures.csv", std::ios::binary),
        events_(directory + "/events.csv", std::ios::binary),
        links_(directory + "/links.csv", std::ios::binary) {
    exposures_ << "exposure_id,experiment,variant,unit_kind,unit,ts,phase,propensity,"
                  "channel,platform,app_version,registered,orders_before\n";
    events_ << "event_id,name,ts,unit_user,unit_device,order_id,value,discount,wait_s,rating\n";
    links_ << "anonymous,known,ts\n";
  }

  // No field of a simulated shop holds a comma, a quote or a line break, except names an alias may
  // bring.
  void OnRecord(const sim::Record& record) override {
    switch (record.kind) {
      case sim::RecordKind::kExposure:
        return Exposure(record);
      case sim::RecordKind::kEvent:
        return Event(record);
      case sim::RecordKind::kLink:
        ++stats.links;
        links_ << world_.DeviceId(record.user, record.device) << "," << world_.UserId(record.user)
               << "," << record.ts_ms << "\n";
    }
  }

  absl::Status Close() {
    for (std::ofstream* file : {&exposures_, &events_, &links_}) {
      file->close();
      if (!*file) return Unavailable("cannot write the CSV files; is the disk full?");
    }
    return absl::OkStatus();
  }

  TrafficStats stats;

 private:
  static std::string Quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"') out.push_back('"');
      out.push_back(c);
    }
    return out + "\"";
  }

  void Exposure(const sim::Record& record) {
    ++stats.exposures;
    const auto& experiment =
        world_.definitions().experiments[static_cast<size_t>(record.experiment)];
    const sim::Profile profile = world_.ProfileOf(record.user);
    exposures_ << world_.RecordId(record) << "," << experiment.key << ","
               << Quoted(experiment.variants[static_cast<size_t>(record.variant)].key) << ","
               << (record.names_user ? "user," + world_.UserId(record.user)
                                     : "device," + world_.DeviceId(record.user, record.device))
               << "," << record.ts_ms << "," << record.phase << ","
               << FormatDouble(record.propensity) << "," << profile.channel << ","
               << profile.platform << "," << profile.app_version << ","
               << (record.registered ? "true" : "false") << "," << record.orders_before << "\n";
  }

  void Event(const sim::Record& record) {
    ++stats.events;
    const std::string_view property = sim::NumberProperty(record.event);
    const std::string number = std::isnan(record.number) ? "" : FormatDouble(record.number);
    const auto if_named = [&](std::string_view name) { return property == name ? number : ""; };
    events_ << world_.RecordId(record) << "," << Quoted(world_.SentName(record)) << ","
            << record.ts_ms << "," << (record.names_user ? world_.UserId(record.user) : "") << ","
            << (record.names_device ? world_.DeviceId(record.user, record.device) : "") << ","
            << world_.OrderId(record) << ","
            << (std::isnan(record.value) ? "" : FormatDouble(record.value)) << ","
            << if_named("discount") << "," << if_named("wait_s") << "," << if_named("rating")
            << "\n";
  }

  const sim::World& world_;
  std::ofstream exposures_;
  std::ofstream events_;
  std::ofstream links_;
};

}  // namespace

absl::StatusOr<TrafficStats> SimulateToFiles(const Simulation& simulation,
                                             const SimulateOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) {
    return Unavailable(
        absl::StrCat("cannot make the directory '", options.out, "': ", error.message(), "."));
  }
  CsvSink sink(*simulation.world, options.out);
  simulation.world->Run(
      [&](const sim::Visitor& visitor, std::span<sim::Assignment> assignments) {
        ++sink.stats.evaluations;
        simulation.assign(visitor, assignments);
      },
      sink);
  FULCRUM_RETURN_IF_ERROR(sink.Close());
  return sink.stats;
}

}  // namespace fulcrum::cli
