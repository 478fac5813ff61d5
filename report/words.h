// SPDX-License-Identifier: Apache-2.0
//
// Every sentence a reader sees, from the report's enums. Shared by all renderers. Private.
#pragma once

#include <optional>
#include <string>

#include "report/report.h"

namespace fulcrum::report {

std::string DecisionLabel(Decision decision);  // "SHIP"
std::string Headline(const Report& report);    // The answer in one sentence.
std::string Sentence(const Report& report, const Reason& reason);
std::string Sentence(Status status);  // "not enough units"
std::string OutcomeWord(const Report& report, const MetricReport& metric, const Comparison& c);
std::string LensTitle(Lens lens);
std::string MoverWord(Mover mover);
std::string RoleWord(Role role);
std::string PairSentence(DualPair pair);   // What a verdict rested on.
std::string Period(const Report& report);  // "2026-03-02 to 2026-03-30"
std::string ArmName(const Report& report, const std::string& key);
std::string MetricTitle(const Report& report, const std::string& key);

// The lift with the interval that applies (simultaneous at the planned end, the band for looking
// before it), or the difference where no lift is bounded; and the p that goes with it.
std::string EffectText(const Report& report, const MetricReport& metric, const Comparison& c);
std::optional<double> EffectP(const Report& report, const Comparison& c);
double EffectLevel(const Report& report);  // alpha_final or alpha_look.

}  // namespace fulcrum::report
