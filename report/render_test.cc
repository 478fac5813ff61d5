// SPDX-License-Identifier: Apache-2.0
//
// Approved outputs: report/testdata/NAME.json is a stored report, and beside it what each renderer
// makes of it. A change is looked at and accepted with script/approve.
#include "report/render.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "report/format.h"
#include "report/html_plots.h"
#include "report/json.h"
#include "report/sample_reports.h"

namespace fulcrum::report {
namespace {

const char* const kSamples[] = {"ship", "harm", "mismatch", "three-arms"};

bool Approving() { return std::getenv("FULCRUM_APPROVE") != nullptr; }

std::string PathOf(const std::string& name, const std::string& extension) {
  return "report/testdata/" + name + "." + extension;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

Report MakeSample(const std::string& name) {
  ShopWorld world;
  world.units = {12000, 12000};
  world.register_factor = {1, 1.06};
  if (name == "ship") world.pay_factor = {1, 1.12};
  if (name == "harm") world.pay_factor = {1, 0.8};
  if (name == "mismatch") world.units = {12000, 11000};
  if (name == "three-arms") {
    world.units = {9000, 9000, 9000};
    world.pay_factor = {1, 1.02, 0.9};
    world.register_factor = world.return_factor = {1, 1, 1};
  }
  return ShopReport(world);
}

Report Sample(const std::string& name) {
  if (Approving()) {
    std::ofstream(PathOf(name, "json"), std::ios::binary) << ToJson(MakeSample(name));
  }
  const auto report = FromJson(ReadFile(PathOf(name, "json")));
  EXPECT_TRUE(report.ok()) << name << ": " << report.status();
  return report.ok() ? *report : Report();
}

void ExpectApproved(const std::string& name, const std::string& extension, const std::string& got) {
  const std::string path = PathOf(name, extension);
  if (Approving()) std::ofstream(path, std::ios::binary) << got;
  const std::string approved = ReadFile(path);
  if (approved == got) return;
  size_t line = 1;
  size_t at = 0;
  while (at < approved.size() && at < got.size() && approved[at] == got[at]) {
    if (approved[at++] == '\n') ++line;
  }
  ADD_FAILURE() << path << ":" << line << " differs:\n  approved: " << approved.substr(at, 120)
                << "\n  got:      " << got.substr(at, 120)
                << "\nLook at the change, then accept it with script/approve.";
}

TEST(Render, ApprovedOutputs) {
  for (const std::string name : kSamples) {
    const Report report = Sample(name);
    ExpectApproved(name, "json", ToJson(report));
    ExpectApproved(name, "txt", RenderText(report));
    ExpectApproved(name, "md", RenderMarkdown(report));
    ExpectApproved(name, "html", RenderHtml(report));
  }
}

TEST(Render, TextFitsItsWidthAndEndsNoLineInSpaces) {
  for (const std::string name : kSamples) {
    for (const int width : {100, 120, 160}) {
      std::istringstream lines(RenderText(Sample(name), {width, false}));
      for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(DisplayWidth(line), static_cast<size_t>(width)) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
        EXPECT_EQ(line.find('\x1b'), std::string::npos);
      }
    }
  }
  EXPECT_NE(RenderText(Sample("ship"), {100, true}).find("\x1b[32m"), std::string::npos);
}

TEST(Render, TablesAlignWithWideCharacters) {
  Report report = Sample("ship");
  for (ArmInfo& arm : report.arms) arm.title = arm.control ? "三页结算" : "一页结算";
  for (MetricReport& metric : report.metrics) {
    if (metric.key == "revenue") metric.title = "七天收入";
  }
  std::istringstream lines(RenderText(report));
  size_t end = 0;
  bool found = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("Metric") != std::string::npos)
      end = DisplayWidth(line.substr(0, line.find("p ")));
    if (line.find("七天收入") != std::string::npos) {
      found = true;
      const size_t p = line.rfind("  ", line.rfind("  ") - 1);
      EXPECT_GT(end, 0U);
      EXPECT_LE(DisplayWidth(line.substr(0, p)), end + 4);
    }
    EXPECT_LE(DisplayWidth(line), 100U) << line;
  }
  EXPECT_TRUE(found);
}

// Whatever a definition holds, the page shows it and does not run it.
TEST(Render, EscapesWhatPeopleWrite) {
  Report report = Sample("ship");
  const std::string nasty = "<script>alert(1)</script> & \"x\" | `y` *z*";
  report.experiment.title = nasty;
  report.experiment.hypothesis = nasty;
  report.experiment.owner = nasty;
  report.experiment.definition_hash = nasty;
  for (ArmInfo& arm : report.arms) arm.title = nasty;
  for (MetricReport& metric : report.metrics) {
    metric.title = metric.estimand = metric.unit_label = nasty;
  }
  for (FunnelReport& funnel : report.funnels) {
    funnel.title = nasty;
    for (auto& stage : funnel.stages) stage.title = nasty;
  }
  for (SliceReport& slice : report.slices) {
    slice.key = nasty;
    for (SliceEffect& effect : slice.effects) effect.value = nasty;
  }
  const std::string html = RenderHtml(report);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("\"x\""), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;"), std::string::npos);
  const std::string markdown = RenderMarkdown(report);
  EXPECT_EQ(markdown.find("<script"), std::string::npos);
  EXPECT_EQ(markdown.find(" | `"), std::string::npos);
}

TEST(Render, ThePageIsSelfContained) {
  for (const std::string name : kSamples) {
    const std::string html = RenderHtml(Sample(name));
    for (const char* outside : {"http:", "https:", "src=", "href=", "url(", "@import", "<script"}) {
      EXPECT_EQ(html.find(outside), std::string::npos) << outside;
    }
    EXPECT_NE(html.find("role=\"img\""), std::string::npos);
    EXPECT_EQ(html.find("nan"), std::string::npos);
  }
}

TEST(Render, SurvivesAnEmptyReport) {
  const Report report;
  EXPECT_NE(RenderText(report).find("NO DATA YET"), std::string::npos);
  EXPECT_FALSE(RenderMarkdown(report).empty());
  EXPECT_FALSE(RenderHtml(report).empty());
}

TEST(Format, RoundsInOneWay) {
  EXPECT_EQ(FormatFixed(-0.0004, 2), "0.00");
  EXPECT_EQ(FormatFixed(1234567.891, 1), "1,234,567.9");
  EXPECT_EQ(FormatFixed(-1234, 0), "-1,234");
  EXPECT_EQ(FormatFixed(-123, 0), "-123");
  EXPECT_EQ(FormatSigned(0.0001, 2), "0.00");
  EXPECT_EQ(FormatSignedPercent(0.0456, 1), "+4.6%");
  EXPECT_EQ(FormatP(0.0004), "<0.001");
  EXPECT_EQ(FormatP(std::nullopt), "-");
  EXPECT_EQ(FormatChange(0.1, -HUGE_VAL, HUGE_VAL), "+10.0% [not bounded]");
  EXPECT_EQ(FormatChange(0.1, 0.02, HUGE_VAL), "+10.0% [+2.0%, not bounded]");
  EXPECT_EQ(FormatTime(90 * 1000.0), "90.0 s");
  EXPECT_EQ(FormatTime(3 * 86400e3), "3.00 d");
  EXPECT_EQ(DisplayWidth("一页 ab"), 7U);
  EXPECT_EQ(Truncate("一页结算", 5), "一页…");
  EXPECT_EQ(Html("[-1.2%, +3%] a-1 <b>"), "[−1.2%, +3%] a-1 &lt;b&gt;");
}

}  // namespace
}  // namespace fulcrum::report
