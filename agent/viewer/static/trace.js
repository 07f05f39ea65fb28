"use strict";
/* One trace goes in, its page comes out: film, question, timeline, plan and the step that is looked at. */

(() => {
  const { el, told, known, range, share, seconds, when, icon, status, verdict } = viewer;

  const callout = (kind, title, text) =>
    el(
      "p",
      { class: `callout is-${kind}`, role: kind === "failed" ? "alert" : null },
      icon(kind),
      el("span", {}, el("b", { text: `${title}: ` }), told(text)),
    );

  /** Options with their probabilities; which is chosen and which is right is said in words. */
  function options(trace) {
    if (!trace.options.length) {
      return el(
        "div",
        { class: "answer" },
        el("h2", { text: "Answer" }),
        trace.answer === null
          ? el("p", { class: "muted", text: "None." })
          : el("p", { class: "answer-text" }, told(trace.answer)),
      );
    }
    const extra =
      trace.answer !== null && !trace.options.some((option) => option.chosen && option.text === trace.answer);
    return el(
      "div",
      { class: "answer" },
      el(
        "ol",
        { class: "options", "aria-label": "Options" },
        trace.options.map((option) =>
          el(
            "li",
            { class: `option${option.chosen ? " chosen" : ""}${option.right ? " true" : ""}` },
            el("span", { class: "letter", text: option.letter }),
            el(
              "span",
              { class: "option-text" },
              told(option.text),
              option.chosen &&
                el(
                  "span",
                  { class: `tag${option.right === false ? " is-wrong" : option.right ? " is-right" : ""}` },
                  option.right === null || option.right === undefined ? null : icon(option.right ? "right" : "wrong"),
                  "chosen",
                ),
              option.right && el("span", { class: "tag is-true", text: "right answer" }),
            ),
            el("span", { class: "prob num", text: known(option.prob) ? share(option.prob) : "" }),
            known(option.prob) &&
              el("span", { class: "prob-bar" }, el("i", { style: { width: `${option.prob * 100}%` } })),
          ),
        ),
      ),
      extra && el("p", { class: "reply" }, el("span", { class: "muted", text: "Reply: " }), told(trace.answer)),
    );
  }

  function verdicts(trace) {
    const summary = trace.summary;
    return el(
      "p",
      { class: "verdicts" },
      status(summary.status),
      verdict(summary.right, "answer"),
      verdict(summary.span_right, "moment"),
      known(summary.iou) && el("span", {}, "IoU ", el("span", { class: "num", text: share(summary.iou) })),
      known(summary.confidence) &&
        el("span", {}, "confidence ", el("span", { class: "num", text: share(summary.confidence) })),
      el("span", { class: "num", text: seconds(summary.elapsed_s) }),
      el("span", { class: "muted" }, told(summary.video)),
      summary.key && el("span", { class: "muted" }, told(summary.key)),
      el("span", { class: "muted", text: when(summary.started_s) }),
    );
  }

  /** All moments as a table: the timeline for those who would rather read. */
  function moments(trace, on_seek) {
    const lanes = trace.lanes.filter((lane) => lane.kind === "spans" && lane.items.length);
    if (!lanes.length) return null;
    const rows = lanes.flatMap((lane) =>
      lane.items.slice(0, 100).map((item, at) =>
        el(
          "tr",
          {},
          at ? null : el("th", { scope: "rowgroup", rowspan: Math.min(100, lane.items.length) }, told(lane.title)),
          el("td", { class: "num", text: item.rank ?? "" }),
          el("td", { class: "num", text: item.was_rank ?? "" }),
          el(
            "td",
            {},
            el("button", {
              type: "button",
              class: "link num",
              text: range(item.start_s, item.end_s),
              on: { click: () => on_seek(item.start_s + 0.02) },
            }),
          ),
          el("td", { class: "num", text: known(item.shade) ? share(item.shade) : "" }),
          el("td", { class: "num", text: known(item.p_yes) ? share(item.p_yes) : "" }),
          el("td", { class: "num", text: known(item.p_no) ? share(item.p_no) : "" }),
          el("td", {}, item.chosen ? "chosen" : ""),
        ),
      ),
    );
    const head = ["Lane", "Rank", "Was", "Moment", "Confidence", "P(Yes)", "P(No)", ""];
    return el(
      "details",
      { class: "fold" },
      el("summary", { text: "Moments as a table" }),
      el(
        "div",
        { class: "scrolls table-box", tabindex: "0" },
        el(
          "table",
          { class: "moments" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              head.map((text) => el("th", { scope: "col", text })),
            ),
          ),
          el("tbody", {}, rows),
        ),
      ),
    );
  }

  function about(run) {
    const rows = Object.entries(run || {})
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) =>
        el(
          "div",
          {},
          el("dt", {}, told(name)),
          el(
            "dd",
            {},
            el("pre", {
              dir: "auto",
              text: typeof value === "object" ? JSON.stringify(value, null, 1) : String(value),
            }),
          ),
        ),
      );
    return el(
      "details",
      { class: "fold" },
      el("summary", { text: "The run: versions, model, command" }),
      el("dl", { class: "run" }, rows),
    );
  }

  /**
   * Builds the page of a trace.
   * `nav` holds {back, previous, next, place, others}; `kept` what a live update carries over: {video, step, time_s}.
   * Returns {root, player, timeline, close, state()}.
   */
  viewer.trace_page = (trace, nav, kept = {}) => {
    const player = viewer.player(trace, kept.video);
    const line = viewer.caption(trace);
    const timeline = viewer.timeline(trace, { seek: (time_s) => player.seek(time_s), step: (id) => choose(id) });
    player.listen((time_s) => {
      timeline.show(time_s);
      line.show(time_s);
    });
    const panel = el("aside", { class: "panel", "aria-label": "The selected step", "aria-live": "polite" });
    let chosen = null;
    const troubles = trace.steps.filter((step) => ["fallback", "failed"].includes(step.status));
    const steps = el("section", { class: "plan", "aria-label": "Plan and steps" });

    function choose(id) {
      chosen = id;
      for (const node of steps.querySelectorAll("[data-step]")) {
        const on = node.getAttribute("data-step") === id;
        node.classList.toggle("selected", on);
        node.setAttribute(
          node.tagName === "tr" || node.tagName === "TR" ? "aria-selected" : "aria-pressed",
          String(on),
        );
      }
      panel.replaceChildren(viewer.step_panel(trace, id));
    }

    const link = (label, target, sign) =>
      target
        ? el("a", { class: "button", href: target, "aria-label": label, title: label }, sign)
        : el("span", { class: "button off", "aria-hidden": "true" }, sign);
    steps.append(
      el(
        "div",
        { class: "plan-left" },
        el(
          "div",
          { class: "card" },
          el("h2", { text: "Plan as executed" }),
          viewer.graph(trace, choose),
          viewer.gantt(trace, choose),
        ),
        moments(trace, (time_s) => player.seek(time_s)),
        about(trace.run),
      ),
      panel,
    );
    const root = el(
      "article",
      { class: "trace" },
      el(
        "nav",
        { class: "top", "aria-label": "Traces" },
        nav.back && el("a", { class: "button", href: nav.back }, "← All traces"),
        el("span", { class: "place muted", text: nav.place || "" }),
        nav.others && nav.others.length
          ? el(
              "label",
              { class: "others" },
              el("span", { class: "unseen", text: "Compare with" }),
              el(
                "select",
                {
                  on: {
                    change: (event) => {
                      location.hash = event.target.value;
                    },
                  },
                },
                el("option", { value: "", text: "Compare with …" }),
                nav.others.map((other) => el("option", { value: other.href, text: other.text })),
              ),
            )
          : null,
        (nav.previous || nav.next) && link("Previous trace", nav.previous, "↑ Previous"),
        (nav.previous || nav.next) && link("Next trace", nav.next, "↓ Next"),
        el("button", {
          type: "button",
          "aria-label": "Keys",
          title: "Keys (?)",
          text: "?",
          on: { click: () => viewer.help() },
        }),
      ),
      el("h1", {}, told(trace.question)),
      verdicts(trace),
      trace.error && callout("failed", "No answer", trace.error),
      trace.summary.problem && callout("broken", "The file", trace.summary.problem),
      trace.summary.status === "running" &&
        el(
          "p",
          { class: "callout is-running" },
          icon("running"),
          el("span", { text: "Not ended: the run goes on, or was killed here." }),
        ),
      trace.notes.map((note) => callout("fallback", "Note", note)),
      trace.part &&
        el("p", { class: "callout" }, el("span", { text: `Asked about ${range(...trace.part)} of the film only.` })),
      el(
        "div",
        { class: "stage" },
        el("div", { class: "stage-film" }, player.root, line.node),
        el(
          "div",
          { class: "stage-words" },
          options(trace),
          troubles.length > 0 &&
            el(
              "div",
              { class: "troubles" },
              el("h2", { text: "What did not go as planned" }),
              troubles
                .slice(0, 8)
                .map((step) =>
                  el(
                    "p",
                    {},
                    icon(step.status),
                    el(
                      "span",
                      {},
                      el("b", {}, told(step.role)),
                      ` ${viewer.WORDS[step.status] || step.status}: `,
                      told(step.error || step.reason),
                    ),
                  ),
                ),
            ),
        ),
      ),
      timeline.root,
      steps,
    );
    const first =
      trace.steps.find((step) => step.id === kept.step) ||
      trace.steps.find((step) => step.status === "failed") ||
      trace.steps.find((step) => step.status === "fallback") ||
      trace.steps[0];
    if (kept.step || first) choose(kept.step || first.id);
    if (kept.time_s) player.seek(kept.time_s);
    else timeline.show(0);
    line.show(player.time());
    return {
      root,
      player,
      timeline,
      frame_s: 1 / (trace.video.fps || 25),
      close: () => {
        timeline.close();
        if (player.video) player.video.pause();
      },
      state: () => ({ video: player.video, url: trace.video.url, step: chosen, time_s: player.time() }),
    };
  };

  Object.assign(viewer, { options, verdicts, callout });
})();
