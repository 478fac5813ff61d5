// SPDX-License-Identifier: Apache-2.0
//
// The style sheet of the HTML report. Private to report/.
#pragma once

#include <string_view>

namespace fulcrum::report {

// Colours are named by what they say. Every tone also has a mark or a word, so that nothing is told
// by colour alone; text contrast is at least 4.5:1 in both schemes.
inline constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#16191d;--soft:#59626d;
--line:#e3e6ea;--grid:#eceef1;--good:#0b7a4b;--bad:#c0272d;--warn:#8f5f00;--muted:#59626d;
--good-soft:#e6f4ed;--bad-soft:#fcebec;--warn-soft:#fbf1dc;--muted-soft:#eef0f3;
--arm0:#a3abb5;--arm1:#2f6fdb;--arm2:#8b5cd6;--arm3:#0f8a8a;--arm4:#b4632a}
@media (prefers-color-scheme:dark){:root{--page:#101317;--card:#181c21;--ink:#e8ebee;
--soft:#a0a9b4;--line:#2a3038;--grid:#242a31;--good:#4cc38a;--bad:#ff7b80;--warn:#e5b454;
--muted:#a0a9b4;--good-soft:#12291f;--bad-soft:#331a1c;--warn-soft:#2e2513;--muted-soft:#222830;
--arm0:#68727e;--arm1:#6ea1f5;--arm2:#b393ef;--arm3:#4fc0c0;--arm4:#e0985f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);line-height:1.5;font-size:15px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",
"PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:1020px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 12px;letter-spacing:-.005em}
p{margin:0}
.soft{color:var(--soft)}
.hypothesis{margin-top:14px;max-width:70ch}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:22px 24px;margin-top:18px}
.verdict{border-left:6px solid var(--tone);padding-left:22px}
.badge{display:inline-block;font-weight:700;font-size:12px;letter-spacing:.08em;color:var(--tone);
background:var(--tone-soft);border-radius:99px;padding:4px 12px;margin-bottom:10px}
.headline{font-size:20px;line-height:1.4;font-weight:600;max-width:64ch;letter-spacing:-.005em}
.reasons{margin:12px 0 0;padding-left:20px;color:var(--soft)}
.reasons li{margin:3px 0}
.good{--tone:var(--good);--tone-soft:var(--good-soft)}
.bad{--tone:var(--bad);--tone-soft:var(--bad-soft)}
.warn{--tone:var(--warn);--tone-soft:var(--warn-soft)}
.muted,.plain{--tone:var(--muted);--tone-soft:var(--muted-soft)}
.checks{list-style:none;margin:0;padding:0;display:grid;gap:7px}
.checks li{display:grid;grid-template-columns:22px minmax(190px,280px) 1fr;gap:8px}
.checks .mark{color:var(--tone);font-weight:700;text-align:center}
.checks .name{font-weight:500}
.scroll{overflow-x:auto;margin:0 -24px;padding:0 24px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:9px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}
th:first-child{padding-left:0}
td{white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--soft);font-weight:500;font-size:12.5px;border-bottom-color:var(--line);
vertical-align:bottom}
tbody th{font-weight:500;min-width:150px}
tbody tr.on>td{border-bottom:0;padding-bottom:2px}
tbody tr.on+tr>td{padding-top:2px}
tbody tr:last-child>*{border-bottom:0}
.n{text-align:right;white-space:nowrap}
td.good,td.bad,td.warn{color:var(--tone);font-weight:600}
td.muted{color:var(--soft)}
.note{color:var(--soft);font-size:13px;margin-top:12px}
.plot{display:block;width:100%;height:auto;margin-top:4px}
.plot text{fill:var(--ink);font-size:13px}
.plot .s{fill:var(--soft);font-size:12px}
.plot .g{stroke:var(--grid)}
.plot .z{stroke:var(--soft);stroke-width:1.5}
.plot .i{stroke:var(--tone);stroke-width:2.5;stroke-linecap:round}
.plot .d{fill:var(--tone);stroke:var(--tone);stroke-width:2}
.plot .o{fill:var(--card);stroke:var(--tone);stroke-width:2.5}
.plot text.t{fill:var(--tone);font-weight:600}
.a0{fill:var(--arm0)}.a1{fill:var(--arm1)}.a2{fill:var(--arm2)}.a3{fill:var(--arm3)}
.a4{fill:var(--arm4)}
details{margin-top:14px;font-size:13.5px}
summary{cursor:pointer;color:var(--soft)}
summary:focus-visible{outline:2px solid var(--arm1);outline-offset:3px;border-radius:3px}
dl{margin:12px 0 0;display:grid;gap:10px}
dt{font-weight:500}
dd{margin:0;color:var(--soft);max-width:90ch;overflow-wrap:anywhere}
footer{margin-top:26px;color:var(--soft);font-size:12.5px;text-align:center}
@media (max-width:640px){main{padding:20px 12px 40px}section{padding:16px}
.scroll{margin:0 -16px;padding:0 16px}.checks li{grid-template-columns:22px 1fr}
.checks .text{grid-column:2}h1{font-size:23px}.headline{font-size:17px}}
@media print{body{background:#fff}main{max-width:none;padding:0}section{break-inside:avoid}
details>*{display:block}}
)css";

}  // namespace fulcrum::report
