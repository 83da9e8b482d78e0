/** The report as one file that needs no other: its data as JSON, its style and its script inside. */
import type { ReportData } from './data.ts';
import { LEAKAGE_SCRIPT } from './leakage-script.ts';
import { SCRIPT } from './script.ts';

export const REPORT_FILE = 'report.html';

export function reportPage(data: ReportData): string {
  // "<" would end the script element; JSON may write it as an escape.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  const title = `${data.plan.name}: how it was cut`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>
<p id="about"></p>
<h2>The chain</h2>
<p>Each segment's time on the device and on the server, its size on the device and how it is stored.</p>
<div id="chain"></div>
<h2>What the device loads</h2>
<p>Bytes of each segment: in full precision, with its weights stored as the recipe says, as the file in the bundle (entropy-coded where
that pays), and as a gateway sends it with brotli to whoever takes a file whole (browsers take it in parts, as it is stored); each with what that step saved. Last, what brotli alone would send.</p>
<div class="wide"><table id="sizes"></table></div>
<h2>Where it could be cut</h2>
<p>Every legal boundary of one tensor (filled) or two (open), by depth; deployed ones are named. Lower is less to send, before encoding.</p>
<div class="wide"><svg id="boundaries" viewBox="0 0 800 300" role="img" aria-label="activation bytes along the depth"></svg></div>
<section id="choice" hidden>
<h2>Why it is cut here</h2>
<p>Every boundary that was considered, with what was measured of it: the head's time on the device, the tail's on the server, the
smallest tier that keeps the answers, its bytes, and the memory of the head.</p>
<div class="wide"><table id="candidates"></table></div>
<p id="expected"></p>
<div class="wide"><table id="sets"></table></div>
</section>
<section id="search" hidden>
<h2>How it was compressed</h2>
<p>Every recipe that was tried on held-out samples: its size against how much worse the model's first metric became with the
whole model on the device. The line is what was allowed, the ring what was taken: verified at every k, slow segments put back.</p>
<div class="wide"><svg id="pareto" viewBox="0 0 800 300" role="img" aria-label="size against loss of the recipes that were tried"></svg></div>
<details><summary>Every layer: the form it got, and what each form would have saved and lost</summary>
<div class="wide"><table id="layers"></table></div></details>
</section>
<h2>What a request takes</h2>
<p id="controls">
  <label>uplink <input id="mbps" type="range" min="-1.3" max="2" step="0.05" value="0.8"> <output id="mbps-out"></output></label>
  <label>round trip <input id="rtt" type="range" min="0" max="300" step="5" value="40"> <output id="rtt-out"></output></label>
  <label>device <input id="device" type="range" min="0" max="3.5" step="0.1" value="1"> <output id="device-out"></output></label>
</p>
<div class="wide"><svg id="times" viewBox="0 0 800 260" role="img" aria-label="time of a request by cut"></svg></div>
<p id="best"></p>
<h2>Accuracy and bytes</h2>
<div class="wide"><table id="accuracy"></table></div>
<section id="leakage" hidden>
<h2>What a boundary gives away</h2>
<p>Two numbers. <strong>The output</strong>: whoever runs the tail learns the answer, at any k &lt; K; only what is never sent protects it.
<strong>The input</strong>: what the best of several decoders, fitted on public samples, gains over the best blind guess, of what there is to
gain in structural similarity: 0 is no better than guessing, 1 is the input itself. No promise: a better decoder may find more.</p>
<p id="attack"></p>
<p id="bar"></p>
<div class="wide"><svg id="trade" viewBox="0 0 800 340" role="img" aria-label="leakage against accuracy and bytes"></svg></div>
<p id="trade-key"></p>
<div id="reconstructions"></div>
<div class="wide"><table id="leaks"></table></div>
</section>
<h2>What the runtime made of it</h2>
<p>Operators of each segment as written, and as onnxruntime runs them: what fused is gone or has another name. On the device:
without the blocked layout, which WebAssembly's kernels do not have.</p>
<div class="wide"><table id="fusions"></table></div>
<h2>What did not fuse on the device, and why</h2>
<div class="wide"><table id="unfused"></table></div>
<section id="dropped" hidden>
<h2>What was dropped, and why</h2>
<ul id="drops"></ul>
</section>
<h2>Where it was timed</h2>
<p>Milliseconds of each segment and of all, at the typical size.</p>
<div class="wide"><table id="places"></table></div>
<script type="application/json" id="data">${json}</script>
<script>${SCRIPT}${LEAKAGE_SCRIPT}</script>
</html>
`;
}

/** Whether a report shows what it is of as one would that was written now. */
export function isAsNow(report: string): boolean {
  return [STYLE, SCRIPT, LEAKAGE_SCRIPT].every((part) => report.includes(part));
}

const STYLE = `
:root { font: 16px/1.45 system-ui, sans-serif; --device: #0f7b6c; --cloud: #3b5998; --net: #c2690f; --line: #8884; }
body { max-width: 860px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; min-width: 640px; height: auto; } svg text { fill: currentColor; font-size: 11px; }
#chain { display: flex; flex-wrap: wrap; gap: 4px; }
#chain div { background: var(--device); color: #fff; border-radius: 4px; padding: .4rem; min-width: 5.2rem; font-size: .75rem; overflow: hidden; }
#chain span { display: block; } #chain span:first-child { font-weight: 700; font-size: 1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; } td, th { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
#reconstructions figure { display: inline-block; margin: .3rem .6rem .3rem 0; max-width: 100%; } #reconstructions img { max-width: 100%; image-rendering: pixelated; }
#reconstructions figcaption { font-size: .75rem; }
td:first-child, th:first-child { text-align: left; } label { display: inline-block; margin-right: 1.2rem; } output { display: inline-block; min-width: 5rem; }
`;
