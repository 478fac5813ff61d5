// SPDX-License-Identifier: Apache-2.0
//
// Every sentence a reader sees, from the report's enums. Shared by all renderers. Private.
#pragma once

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

// The lift with its simultaneous interval, or the difference where no lift is defined.
std::string EffectText(const MetricReport& metric, const Comparison& c);

}  // namespace fulcrum::report
