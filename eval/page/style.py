"""Nothing goes in; the look of a report page (CSS) and what a click does in it (JavaScript) come out."""

from __future__ import annotations

import base64
import hashlib

CSS = """
:root{color-scheme:light dark;--page:#fff;--box:#f5f6f8;--ink:#1b1f24;--soft:#5b6470;--line:#d5d9df;--ours:#2563c9;
--true:#0b8457;--wrong:#b42318;--warn:#8a5a00;--reach:#9db9ea;--lane:#e6e9ee}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--box:#1d2127;--ink:#e6e9ee;--soft:#9aa4b1;--line:#39414b;
--ours:#7eabff;--true:#4cc38a;--wrong:#ff8a7a;--warn:#e2b15a;--reach:#35548c;--lane:#2a3038}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1.25rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
p{margin:.4rem 0;max-width:50rem}
a{color:var(--ours)}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.6rem 0;font-size:.9rem}
.soft,figcaption,caption{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:.75rem;margin:1rem 0}
.tile{background:var(--box);border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}
.tile b{display:block;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{font-size:.85rem;color:var(--soft)}
.wide{overflow-x:auto;margin:.4rem 0 1rem}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.2rem 0;font-weight:600}
th,td{text-align:left;vertical-align:top;padding:.3rem .7rem;border-bottom:1px solid var(--line);
overflow-wrap:break-word;max-width:40rem}
th{background:var(--box);font-weight:600}
th:first-child,td:first-child{min-width:min(15rem,40vw)}
td:first-child{background:var(--page)}
th:first-child,td:first-child{position:sticky;left:0}
.num{text-align:right;white-space:nowrap}
th[tabindex]{cursor:pointer}
th[aria-sort=ascending]::after{content:" \\2191"}
th[aria-sort=descending]::after{content:" \\2193"}
.plots{display:flex;flex-wrap:wrap;align-items:flex-end;gap:1rem}
figure{margin:0;flex:1 1 18rem;max-width:30rem}
figcaption{font-size:.875rem}
svg{display:block;overflow:visible}
svg.plot{width:100%;height:auto}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
svg .mid{text-anchor:middle}
svg .end{text-anchor:end}
svg .value{fill:var(--ink);font-weight:600}
svg .small{font-size:9px}
.axis{stroke:var(--line);fill:none}
.reach{stroke:var(--reach);stroke-width:8;stroke-linecap:round}
.dot,.fill,.said{fill:var(--ours)}
.count,.lane{fill:var(--lane)}
.true{fill:var(--true)}
.other{fill:var(--ours);opacity:.45}
.watched{fill:var(--soft);opacity:.6}
.curve{stroke:var(--ours);stroke-width:2;fill:none}
.ideal{stroke:var(--soft);stroke-dasharray:4 4;fill:none}
.whisker{stroke:var(--ink);stroke-width:1.5;fill:none}
details{border:1px solid var(--line);border-radius:8px;margin:.4rem 0;background:var(--page)}
summary{cursor:pointer;padding:.5rem .8rem;background:var(--box);border-radius:8px}
details>div{padding:.4rem .8rem .8rem}
.mark{font-size:.8rem;font-weight:600;margin-right:.5rem}
.wrong{color:var(--wrong)}
.right{color:var(--true)}
.warn{color:var(--warn)}
bdi{white-space:pre-line}
pre{white-space:pre-wrap;margin:0;font:.8rem/1.4 ui-monospace,monospace}
.step{border-left:3px solid var(--line);margin:.5rem 0;padding-left:.7rem}
.step p{margin:.1rem 0}
ol{margin:.4rem 0;padding-left:1.8rem}
ol.letters{list-style:upper-alpha}
@media(max-width:40rem){body{padding:.75rem;font-size:15px}th,td{padding:.25rem .45rem}
.tiles{grid-template-columns:repeat(2,1fr)}.tile b{font-size:1.3rem}}
@media print{:root{--page:#fff;--box:#fff;--ink:#000;--soft:#444;--line:#bbb;--ours:#2563c9;--true:#0b8457;
--wrong:#b42318;--lane:#e6e9ee;--reach:#9db9ea}body{max-width:none;font-size:11px}nav{display:none}
.wide{overflow:visible}table{font-size:9px}tr,figure,.tile{break-inside:avoid}
details:not(.item)::details-content{content-visibility:visible;block-size:auto}}
""".strip()
"""The page's style; only classes, so that no text of a run can reach it."""

SCRIPT = """
for(const head of document.querySelectorAll("table.sort th")){head.tabIndex=0;const sort=()=>{
const at=head.cellIndex,body=head.closest("table").tBodies[0],
was=head.getAttribute("aria-sort"),up=was?was==="descending":!head.classList.contains("num"),
key=row=>row.cells[at].dataset.v??row.cells[at].textContent;
for(const one of head.parentNode.cells)one.removeAttribute("aria-sort");
head.setAttribute("aria-sort",up?"ascending":"descending");
const rows=[...body.rows].sort((a,b)=>{const x=key(a),y=key(b),n=x-y;
return(up?1:-1)*(isNaN(n)?x.localeCompare(y):n)});body.append(...rows)};
head.onclick=sort;head.onkeydown=e=>{if(e.key==="Enter"||e.key===" "){e.preventDefault();sort()}}}
const shut=[];addEventListener("beforeprint",()=>{
for(const one of document.querySelectorAll("details:not([open],.item)")){one.open=true;shut.push(one)}});
addEventListener("afterprint",()=>{while(shut.length)shut.pop().open=false});
""".strip()
"""Tables are sorted by a click on a head; for printing all but the questions is unfolded."""


def policy() -> str:
    """The page's content security policy: its own style, this script, and nothing else, from anywhere."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
