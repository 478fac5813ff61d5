// SPDX-License-Identifier: Apache-2.0
//
// The bodies of test_support.h; a *_test.cc so that they are in the test program only.
#include "server/test_support.h"

#include <stdlib.h>

#include <fstream>

#include "absl/status/status.h"
#include "base/text.h"
#include "gtest/gtest.h"

namespace fulcrum::server {
namespace {

std::map<std::string, std::string> ToMap(std::span<const store::PropertyView> properties) {
  std::map<std::string, std::string> map;
  for (const store::PropertyView& property : properties) {
    map[std::string(property.key)] =
        property.type == store::PropertyType::kBool     ? (property.boolean ? "true" : "false")
        : property.type == store::PropertyType::kNumber ? FormatDouble(property.number)
                                                        : std::string(property.text);
  }
  return map;
}

constexpr char kProject[] = R"(project: test
title: Test shop
timezone: UTC
currency: CNY
units:
  user: {}
  device: {links_to: user}
attributes:
  channel: {type: string, values: [search, organic, social]}
  age: {type: int}
  since: {type: time}
events:
  pay: [pay]
metrics:
  pay_rate: {title: Paid within 7 days, kind: proportion, event: pay, window: 7d}
)";

constexpr char kCheckout[] = R"(experiment: checkout
title: One-page checkout
hypothesis: Fewer pages lose fewer people.
owner: checkout team
salt: checkout-1
unit: user
audience:
  channel: {in: [search, organic]}
variants:
  control: {weight: 50, control: true, value: three-page}
  one-page: {weight: 50, value: one-page}
primary: [pay_rate]
)";

constexpr char kPrice[] = R"(experiment: price
title: Price factor
hypothesis: A lower price sells more.
owner: pricing team
salt: price-1
unit: user
variants:
  full: {weight: 1, control: true, value: 1.0}
  less: {weight: 1, value: 0.9}
primary: [pay_rate]
)";

constexpr char kBanner[] = R"(experiment: banner
title: Banner
hypothesis: A banner is seen.
owner: front page team
salt: banner-1
unit: device
variants:
  off: {weight: 1, control: true, value: false}
  on: {weight: 1, value: true}
primary: [pay_rate]
)";

constexpr char kLater[] = R"(experiment: later
title: Later
hypothesis: It is not its time yet.
owner: planning team
salt: later-1
unit: user
variants:
  a: {weight: 1, control: true, value: a}
  b: {weight: 1, value: b}
schedule: {start: 2030-01-01T00:00:00Z, end: 2030-02-01T00:00:00Z}
primary: [pay_rate]
)";

}  // namespace

TempDirectory::TempDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fulcrum-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TempDirectory::Write(const std::string& name, const std::string& text) const {
  const std::filesystem::path file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

void WriteTestProject(const TempDirectory& directory) {
  directory.Write("project.yaml", kProject);
  directory.Write("experiments/checkout.yaml", kCheckout);
  directory.Write("experiments/price.yaml", kPrice);
  directory.Write("experiments/banner.yaml", kBanner);
  directory.Write("experiments/later.yaml", kLater);
}

absl::StatusOr<store::AppendResult> FakeStore::Append(const store::AppendRequest& request) {
  MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  if (!request.batch_id.empty()) {
    const auto at = batches_.find(std::string(request.batch_id));
    if (at != batches_.end()) {
      if (at->second.first != request.body_hash) {
        return absl::AlreadyExistsError("the batch_id was used with another body");
      }
      return store::AppendResult{at->second.second, true};
    }
    batches_[std::string(request.batch_id)] = {request.body_hash, sequence_ + 1};
  }
  std::vector<KeptEvent> events;
  std::vector<KeptExposure> exposures;
  std::vector<KeptLink> links;
  int client_counts = 0;
  store::BatchVisitor visitor;
  visitor.event = [&](const store::EventView& event) {
    KeptEvent kept{std::string(event.name), std::string(event.event_id),
                   std::string(event.order_id), std::string(event.session_id),
                   std::string(event.currency)};
    kept.ts_ms = event.ts_ms;
    for (const store::UnitRef& unit : event.ids) kept.ids.emplace_back(unit.kind, unit.id);
    kept.has_value = event.value.has_value();
    kept.value = event.value.value_or(0);
    kept.properties = ToMap(event.properties);
    events.push_back(std::move(kept));
  };
  visitor.exposure = [&](const store::ExposureView& exposure) {
    KeptExposure kept{std::string(exposure.experiment),  std::string(exposure.variant),
                      std::string(exposure.unit.kind),   std::string(exposure.unit.id),
                      std::string(exposure.exposure_id), std::string(exposure.snapshot)};
    kept.ts_ms = exposure.ts_ms;
    kept.phase = exposure.phase;
    kept.propensity = exposure.propensity;
    kept.attributes = ToMap(exposure.attributes);
    exposures.push_back(std::move(kept));
  };
  visitor.link = [&](const store::LinkView& link) {
    links.push_back({std::string(link.anonymous.kind), std::string(link.anonymous.id),
                     std::string(link.known.kind), std::string(link.known.id)});
  };
  visitor.client_counts = [&](const store::ClientCountsView&) { ++client_counts; };
  std::string error;
  if (!store::ReadBatch(request.payload, visitor, &error)) return absl::InternalError(error);
  events_.insert(events_.end(), events.begin(), events.end());
  exposures_.insert(exposures_.end(), exposures.begin(), exposures.end());
  links_.insert(links_.end(), links.begin(), links.end());
  client_counts_ += client_counts;
  return store::AppendResult{++sequence_, false};
}

absl::StatusOr<int64_t> FakeStore::AppendControl(const core::ControlRecord& record) {
  MutexLock lock(&mutex_);
  controls_.push_back(record);
  controls_.back().seq = controls_.size();
  return static_cast<int64_t>(controls_.size());
}

absl::StatusOr<std::vector<core::ControlRecord>> FakeStore::ReadControls() {
  MutexLock lock(&mutex_);
  return controls_;
}

absl::Status FakeStore::PutSticky(std::string_view experiment, std::string_view unit,
                                  std::string_view variant, int32_t phase) {
  MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  for (const store::StickyAssignment& kept : sticky_) {
    if (kept.experiment == experiment && kept.unit == unit) return absl::OkStatus();
  }
  sticky_.push_back({std::string(experiment), std::string(unit), std::string(variant), phase});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<store::StickyAssignment>> FakeStore::ReadSticky() {
  MutexLock lock(&mutex_);
  return sticky_;
}

absl::Status FakeStore::PutDefinition(const store::DefinitionRecord& record) {
  MutexLock lock(&mutex_);
  for (auto kept = definitions_.rbegin(); kept != definitions_.rend(); ++kept) {
    if (kept->kind != record.kind || kept->key != record.key) continue;
    if (kept->hash == record.hash) return absl::OkStatus();
    break;
  }
  definitions_.push_back(record);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<store::DefinitionRecord>> FakeStore::ReadDefinitions() {
  MutexLock lock(&mutex_);
  return definitions_;
}

store::Plan FakeStore::last_plan() const {
  MutexLock lock(&mutex_);
  return plan_;
}

absl::StatusOr<store::PlanResult> FakeStore::Run(const store::Plan& plan) {
  {
    MutexLock lock(&mutex_);
    plan_ = plan;
  }
  store::PlanResult result;
  result.health.arms.resize(plan.population.arms.size());
  result.cap_values.resize(plan.columns.size());
  result.as_of_ms = plan.as_of_ms;
  return result;
}

absl::StatusOr<std::vector<store::UnitSighting>> FakeStore::Unit(std::string_view kind,
                                                                 std::string_view id) {
  std::vector<store::UnitSighting> seen;
  for (const KeptExposure& exposure : exposures()) {
    if (exposure.kind != kind || exposure.id != id) continue;
    store::UnitSighting sighting;
    sighting.experiment = exposure.experiment;
    sighting.variant = exposure.variant;
    sighting.first_ms = sighting.last_ms = exposure.ts_ms;
    sighting.exposures = 1;
    sighting.phase = exposure.phase;
    sighting.propensity = exposure.propensity;
    for (const auto& [key, value] : exposure.attributes) {
      sighting.attributes[key] = JsonString(value);
    }
    seen.push_back(sighting);
  }
  return seen;
}

absl::Status FakeStore::PutResults(const std::vector<ResultRow>&) { return absl::OkStatus(); }
absl::Status FakeStore::Export(const std::string&, const std::string&) { return absl::OkStatus(); }

std::vector<KeptEvent> FakeStore::events() const {
  MutexLock lock(&mutex_);
  return events_;
}
std::vector<KeptExposure> FakeStore::exposures() const {
  MutexLock lock(&mutex_);
  return exposures_;
}
std::vector<KeptLink> FakeStore::links() const {
  MutexLock lock(&mutex_);
  return links_;
}
int FakeStore::client_counts() const {
  MutexLock lock(&mutex_);
  return client_counts_;
}
void FakeStore::FailWith(absl::Status status) {
  MutexLock lock(&mutex_);
  failure_ = std::move(status);
}

TestApp::TestApp(const std::string& keys_json, Limits limits) {
  WriteTestProject(directory);
  AppOptions options;
  options.project_dir = directory.path();
  options.store = &store;
  options.clock = &clock;
  options.limits = limits;
  options.log = [this](std::string_view line) {
    MutexLock lock(&mutex_);
    log_.emplace_back(line);
  };
  if (!keys_json.empty()) {
    directory.Write("keys.json", keys_json);
    options.keys_file = directory.path() + "/keys.json";
  }
  absl::StatusOr<std::unique_ptr<App>> made = App::Make(std::move(options));
  EXPECT_TRUE(made.ok()) << made.status();
  if (!made.ok()) std::abort();  // Nothing can be tested without it.
  app = *std::move(made);
}

Response TestApp::Send(std::string_view method, std::string_view target, std::string_view body,
                       const std::vector<std::pair<std::string, std::string>>& headers) {
  std::vector<Header> views;
  for (const auto& [name, value] : headers) views.push_back({name, value});
  const size_t question = target.find('?');
  Request request;
  request.method = method;
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  request.headers = views;
  request.body = body;
  Response response;
  app->Handle(request, &response);
  return response;
}

std::vector<std::string> TestApp::log_lines() const {
  MutexLock lock(&mutex_);
  return log_;
}

}  // namespace fulcrum::server
