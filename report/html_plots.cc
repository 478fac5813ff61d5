// SPDX-License-Identifier: Apache-2.0
#include "report/html_plots.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/text.h"
#include "report/format.h"
#include "report/words.h"

namespace fulcrum::report {
namespace {

constexpr double kWidth = 960;

// A coordinate: a tenth of a pixel is finer than anyone sees.
std::string At(double pixels) { return FormatFixed(pixels, 1); }

std::string Text(double x, double y, std::string_view classes, std::string_view anchor,
                 std::string_view text) {
  return "<text x=\"" + At(x) + "\" y=\"" + At(y) + "\" class=\"" + std::string(classes) +
         "\" text-anchor=\"" + std::string(anchor) + "\">" + Html(text) + "</text>\n";
}

std::string Segment(double x1, double y1, double x2, double y2, std::string_view classes) {
  return "<line x1=\"" + At(x1) + "\" y1=\"" + At(y1) + "\" x2=\"" + At(x2) + "\" y2=\"" + At(y2) +
         "\" class=\"" + std::string(classes) + "\"/>\n";
}

std::string Open(double height, std::string_view label) {
  return "<svg class=\"plot\" viewBox=\"0 0 " + FormatFixed(kWidth, 0) + " " + At(height) +
         "\" role=\"img\" aria-label=\"" + Html(label) + "\">\n";
}

// --- Intervals -----------------------------------------------------------------------------------

struct Interval {
  std::string metric;  // "" where the row before has the same.
  std::string arm;
  double middle, lo, hi;
  Tone tone;
};

Tone ToneOf(const Report& report, const Comparison& c) {
  if (report.verdict.withheld) return Tone::kMuted;
  if (c.outcome == Outcome::kBetter) return Tone::kGood;
  return c.outcome == Outcome::kWorse ? Tone::kBad : Tone::kMuted;
}

std::vector<Interval> Intervals(const Report& report) {
  std::vector<Interval> out;
  for (const MetricReport& metric : report.metrics) {
    bool first = true;
    for (const Comparison& c : metric.comparisons) {
      const auto lo = report.analysis.final ? c.sim_lift_lo : c.look_lift_lo;
      const auto hi = report.analysis.final ? c.sim_lift_hi : c.look_lift_hi;
      if (c.status != Status::kOk || !c.lift || !lo || !hi) continue;
      out.push_back({first ? metric.title : "", ArmName(report, c.arm), *c.lift, *lo, *hi,
                     ToneOf(report, c)});
      first = false;
    }
  }
  return out;
}

// The drawn range: everything, unless one interval is so wide that it would hide the others; that
// one then runs off the edge, with an arrow.
struct Axis {
  double lo = 0, hi = 0, step = 0.01;
  double left = 0, right = 0;
  double X(double value) const {
    return left + (std::clamp(value, lo, hi) - lo) / (hi - lo) * (right - left);
  }
};

double NiceStep(double span) {
  const double raw = span / 6;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

Axis AxisOf(const std::vector<Interval>& intervals, double left, double right) {
  std::vector<double> reach;
  for (const Interval& i : intervals) {
    const double far = std::max(std::fabs(i.lo), std::fabs(i.hi));
    reach.push_back(std::isfinite(far) ? far : 0);
  }
  std::sort(reach.begin(), reach.end());
  const double limit = std::max(4 * reach[reach.size() / 2], 0.001);
  Axis axis;
  axis.left = left;
  axis.right = right;
  for (const Interval& i : intervals) {
    axis.lo = std::min(axis.lo, std::max(i.lo, -limit));
    axis.hi = std::max(axis.hi, std::min(i.hi, limit));
  }
  const double margin = 0.05 * (axis.hi - axis.lo);
  axis.step = NiceStep(axis.hi - axis.lo + 2 * margin);
  axis.lo = std::floor((axis.lo - margin) / axis.step) * axis.step;
  axis.hi = std::ceil((axis.hi + margin) / axis.step) * axis.step;
  return axis;
}

std::string Mark(double x, double y, Tone tone) {
  if (tone == Tone::kGood) {
    return "<circle cx=\"" + At(x) + "\" cy=\"" + At(y) + "\" r=\"5\" class=\"d good\"/>\n";
  }
  if (tone == Tone::kBad) {
    return "<path d=\"M" + At(x) + " " + At(y - 6.5) + "l6.5 6.5l-6.5 6.5l-6.5 -6.5z\"" +
           " class=\"d bad\"/>\n";
  }
  return "<circle cx=\"" + At(x) + "\" cy=\"" + At(y) + "\" r=\"4.5\" class=\"o muted\"/>\n";
}

std::string Legend(double y) {
  std::string out = Mark(kWidth - 330, y - 4, Tone::kGood) + Mark(kWidth - 255, y - 4, Tone::kBad) +
                    Mark(kWidth - 185, y - 4, Tone::kMuted);
  out += Text(kWidth - 320, y, "s", "start", "better");
  out += Text(kWidth - 244, y, "s", "start", "worse");
  out += Text(kWidth - 175, y, "s", "start", "compatible with no change");
  return out;
}

std::string IntervalRow(const Interval& interval, const Axis& axis, double y, bool arms) {
  std::string out;
  if (!interval.metric.empty()) {
    out += Text(0, y + 4, "", "start", Truncate(interval.metric, arms ? 30 : 40));
  }
  if (arms) out += Text(axis.left - 18, y + 4, "s", "end", Truncate(interval.arm, 16));
  const std::string tone(ClassOf(interval.tone));
  out += Segment(axis.X(interval.lo), y, axis.X(interval.hi), y, "i " + tone);
  const auto arrow = [&](double x, double direction) {
    out += "<path d=\"M" + At(x) + " " + At(y) + "l" + At(-7 * direction) +
           " -4.5v9z\" class=\"d " + tone + "\"/>\n";
  };
  if (interval.lo < axis.lo) arrow(axis.left, -1);
  if (interval.hi > axis.hi) arrow(axis.right, 1);
  out += Mark(axis.X(interval.middle), y, interval.tone);
  out += Text(kWidth, y + 4, "t " + tone, "end", FormatChange(interval.middle));
  return out;
}

// --- Funnel --------------------------------------------------------------------------------------

std::string ArmClass(size_t arm) { return "a" + std::to_string(arm == 0 ? 0 : (arm - 1) % 4 + 1); }

std::string ArmLegend(const Report& report, const FunnelReport& funnel) {
  std::string out;
  double x = 200;
  for (size_t a = 0; a < funnel.stages.front().arms.size(); ++a) {
    const std::string name = ArmName(report, funnel.stages.front().arms[a].arm);
    out += "<rect x=\"" + At(x) + "\" y=\"2\" width=\"11\" height=\"11\" rx=\"3\" class=\"" +
           ArmClass(a) + "\"/>\n";
    out += Text(x + 17, 12, "s", "start", name);
    x += 44 + 7 * static_cast<double>(DisplayWidth(name));
  }
  return out;
}

std::string StepLabel(const FunnelComparison& c) {
  if (!c.log_step) return "";
  return "step " + FormatChange(std::expm1(*c.log_step));
}

Tone StepTone(const Report& report, const FunnelComparison& c) {
  if (report.verdict.withheld || !c.log_step_lo) return Tone::kMuted;
  if (*c.log_step_lo > 0) return Tone::kGood;
  return *c.log_step_hi < 0 ? Tone::kBad : Tone::kMuted;
}

}  // namespace

std::string Html(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = i == 0 || text[i - 1] == ' ' || text[i - 1] == '[' || text[i - 1] == '(';
    const bool digit = i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9';
    if (text[i] == '-' && starts && digit) {
      out += "−";
    } else {
      out += text[i];
    }
  }
  return EscapeHtml(out);
}

std::string_view ClassOf(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "good";
    case Tone::kBad:
      return "bad";
    case Tone::kWarn:
      return "warn";
    case Tone::kMuted:
      return "muted";
    case Tone::kPlain:
      break;
  }
  return "plain";
}

std::string ForestPlot(const Report& report) {
  constexpr double kRow = 30;
  constexpr double kTop = 30;
  const std::vector<Interval> intervals = Intervals(report);
  if (intervals.empty()) return "";
  const bool arms = report.arms.size() > 2;
  const Axis axis = AxisOf(intervals, arms ? 340 : 290, kWidth - 80);
  const double bottom = kTop + kRow * static_cast<double>(intervals.size());
  std::string out = Open(bottom + 26, "Relative change of each metric with its interval");
  out += Legend(12);
  for (double tick = axis.lo; tick <= axis.hi + axis.step / 2; tick += axis.step) {
    const bool zero = std::fabs(tick) < axis.step / 2;
    out += Segment(axis.X(tick), kTop - 6, axis.X(tick), bottom, zero ? "z" : "g");
    const int decimals = axis.step < 0.00999 ? 1 : 0;
    out += Text(axis.X(tick), bottom + 18, "s", "middle",
                zero ? "0%" : FormatSignedPercent(tick, decimals));
  }
  double y = kTop + kRow / 2;
  for (const Interval& interval : intervals) {
    out += IntervalRow(interval, axis, y, arms);
    y += kRow;
  }
  return out + "</svg>\n";
}

std::string FunnelPlot(const Report& report, const FunnelReport& funnel) {
  if (funnel.stages.empty() || funnel.stages.front().arms.empty()) return "";
  constexpr double kLeft = 200;
  constexpr double kBars = 560;
  constexpr double kBar = 17;
  constexpr double kGap = 16;
  const auto arms = static_cast<double>(funnel.stages.front().arms.size());
  const double stage_height = arms * (kBar + 3) + kGap;
  std::string out = Open(26 + stage_height * static_cast<double>(funnel.stages.size()),
                         "Share of all units that reached each stage, by arm");
  out += ArmLegend(report, funnel);
  double top = 28;
  for (const FunnelStageReport& stage : funnel.stages) {
    const double middle = top + arms * (kBar + 3) / 2;
    out += Text(0, middle - 2, "", "start", Truncate(stage.title, 24));
    out += Text(0, middle + 14, "s", "start",
                MoverWord(stage.mover) + (stage.optional ? ", optional" : ""));
    for (size_t a = 0; a < stage.arms.size(); ++a) {
      const double y = top + static_cast<double>(a) * (kBar + 3);
      const double width = std::max(1.0, stage.arms[a].rate * kBars);
      out += "<rect x=\"" + At(kLeft) + "\" y=\"" + At(y) + "\" width=\"" + At(width) +
             "\" height=\"" + At(kBar) + "\" rx=\"3\" class=\"" + ArmClass(a) + "\"/>\n";
      out += Text(kLeft + width + 8, y + 13, "s", "start", FormatPercent(stage.arms[a].rate, 2));
      if (a == 0) continue;
      const FunnelComparison& c = stage.comparisons[a - 1];
      out += Text(kWidth, y + 13, "t " + std::string(ClassOf(StepTone(report, c))), "end",
                  StepLabel(c));
    }
    top += stage_height;
  }
  return out + "</svg>\n";
}

std::string DaysPlot(const Report& report, const DaysReport& days) {
  const MetricReport* metric = report.FindMetric(days.metric);
  if (days.days.empty() || metric == nullptr) return "";
  constexpr double kLeft = 110;
  constexpr double kTop = 14;
  constexpr double kBottom = 174;
  double lo = 0;
  double hi = 0;
  for (const DayEffect& day : days.days) {
    lo = std::min(lo, day.lo.value_or(0));
    hi = std::max(hi, day.hi.value_or(0));
  }
  if (!(hi > lo) || !std::isfinite(hi - lo)) return "";
  const double margin = 0.06 * (hi - lo);
  const double step = NiceStep(1.5 * (hi - lo));
  const auto y = [&](double value) {
    return kBottom - (value - lo + margin) / (hi - lo + 2 * margin) * (kBottom - kTop);
  };
  std::string out = Open(kBottom + 24, "Effect by day since exposure, with its interval");
  for (double tick = std::ceil(lo / step) * step; tick <= hi; tick += step) {
    const bool zero = std::fabs(tick) < step / 2;
    out += Segment(kLeft, y(tick), kWidth, y(tick), zero ? "z" : "g");
    out +=
        Text(kLeft - 10, y(tick) + 4, "s", "end", FormatDifference(*metric, zero ? 0 : tick, step));
  }
  const double good = metric->direction == Direction::kIncrease ? 1 : -1;
  const double wide = (kWidth - kLeft) / static_cast<double>(days.days.size());
  for (size_t d = 0; d < days.days.size(); ++d) {
    const DayEffect& day = days.days[d];
    const double x = kLeft + (static_cast<double>(d) + 0.5) * wide;
    out += Text(x, kBottom + 18, "s", "middle", "day " + std::to_string(day.day + 1));
    if (!day.diff || !day.lo || !day.hi) continue;
    Tone tone = Tone::kMuted;
    if (!report.verdict.withheld && *day.lo > 0) tone = good > 0 ? Tone::kGood : Tone::kBad;
    if (!report.verdict.withheld && *day.hi < 0) tone = good > 0 ? Tone::kBad : Tone::kGood;
    out += Segment(x, y(*day.lo), x, y(*day.hi), "i " + std::string(ClassOf(tone)));
    out += Mark(x, y(*day.diff), tone);
  }
  return out + "</svg>\n";
}

}  // namespace fulcrum::report
