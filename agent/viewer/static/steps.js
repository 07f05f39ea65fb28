"use strict";
/* The steps of a trace go in; the graph of the plan as executed, their times and one step's insides come out. */

(() => {
  const { el, svg, told, known, seconds, count, bytes, status, icon, hue } = viewer;
  const NODE_W = 150;
  const NODE_H = 48;
  const MOST_NODES = 150; // a larger graph says less than the table under it
  const FIRST_ROWS = 200;
  let made = 0;

  /** Opens on click, Enter and space, as a button does. */
  function pressable(node, id, choose) {
    node.setAttribute("data-step", id);
    node.addEventListener("click", () => choose(id));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      choose(id);
    });
    return node;
  }

  /** From the right side of a box to the left side of the next, or up or down where one stands over the other. */
  function wire(from, to) {
    if (to.x - from.x >= NODE_W) {
      const [x, y, u, v] = [from.x + NODE_W / 2, from.y, to.x - NODE_W / 2 - 7, to.y];
      const bend = (u - x) / 2;
      return `M${x} ${y}C${x + bend} ${y} ${u - bend} ${v} ${u} ${v}`;
    }
    const down = to.y > from.y ? 1 : -1;
    const [x, y, u, v] = [from.x, from.y + (down * NODE_H) / 2, to.x, to.y - down * (NODE_H / 2 + 7)];
    return `M${x} ${y}C${x} ${y + 20 * down} ${u} ${v - 20 * down} ${u} ${v}`;
  }

  viewer.graph = (trace, choose) => {
    const { nodes, edges, width, height } = trace.graph;
    if (!nodes.length) return el("p", { class: "muted", text: "There was no plan." });
    if (nodes.length > MOST_NODES) {
      return el("p", {
        class: "muted",
        text: `A plan of ${count(nodes.length)} calls: too many to draw, see the table.`,
      });
    }
    const number = (made += 1);
    const by_id = new Map(nodes.map((node) => [node.id, node]));
    const left = Math.min(0, ...nodes.map((node) => node.x - NODE_W / 2 - 4));
    const top = Math.min(0, ...nodes.map((node) => node.y - NODE_H / 2 - 4));
    const wide = Math.max(width, ...nodes.map((node) => node.x + NODE_W / 2 + 4)) - left;
    const high = Math.max(height, ...nodes.map((node) => node.y + NODE_H / 2 + 4)) - top;
    const plane = svg("svg", {
      class: "graph",
      viewBox: `${left} ${top} ${wide} ${high}`,
      role: "group",
      "aria-label": "The plan as it was executed",
      style: { width: "100%", "max-width": `${wide}px`, "min-width": `${wide * 0.8}px` },
    });
    plane.append(
      svg(
        "defs",
        {},
        svg(
          "marker",
          {
            id: `arrow-${number}`,
            viewBox: "0 0 8 8",
            refX: 1,
            refY: 4,
            markerWidth: 8,
            markerHeight: 8,
            orient: "auto-start-reverse",
          },
          svg("path", { class: "arrow", d: "M0 0L8 4L0 8z" }),
        ),
      ),
    );
    for (const [from, to] of edges) {
      const ends = [by_id.get(from), by_id.get(to)];
      if (!ends[0] || !ends[1]) continue;
      const idle = ends.some((node) => node.status === "skipped");
      plane.append(
        svg("path", { class: `wire${idle ? " idle" : ""}`, d: wire(...ends), "marker-end": `url(#arrow-${number})` }),
      );
    }
    for (const node of nodes) {
      const word = viewer.WORDS[node.status] || node.status;
      const [x, y] = [node.x - NODE_W / 2, node.y - NODE_H / 2];
      const sign = icon(node.status);
      sign.setAttribute("x", x + 10);
      sign.setAttribute("y", y + 25);
      sign.setAttribute("width", 13);
      sign.setAttribute("height", 13);
      const name = node.role.length > 15 ? `${node.role.slice(0, 14)}…` : node.role;
      plane.append(
        pressable(
          svg(
            "g",
            {
              class: `node is-${node.status} ${hue(node.role)}`,
              role: "button",
              tabindex: "0",
              "aria-pressed": "false",
              "aria-label": `${node.role}: ${word}${known(node.elapsed_s) ? `, ${seconds(node.elapsed_s)}` : ""}`,
            },
            svg("title", { text: node.adapter ? `${node.role}, adapter ${node.adapter}` : node.role }),
            svg("rect", { x, y, width: NODE_W, height: NODE_H, rx: 7 }),
            svg("path", { class: "edge", d: `M${x + 1.5} ${y + 9}v${NODE_H - 18}` }),
            svg("text", { class: "name", x: x + 11, y: y + 18, text: name }),
            sign,
            svg("text", { x: x + 28, y: y + 36, text: word }),
            known(node.elapsed_s) &&
              node.status !== "skipped" &&
              svg("text", {
                class: "num",
                x: x + NODE_W - 9,
                y: y + 36,
                "text-anchor": "end",
                text: seconds(node.elapsed_s),
              }),
          ),
          node.id,
          choose,
        ),
      );
    }
    return el("div", { class: "graph-box scrolls", tabindex: "0", role: "group", "aria-label": "Plan" }, plane);
  };

  /** A row for each step: when it ran, how long, what it read and wrote, what it held in memory. */
  viewer.gantt = (trace, choose) => {
    const steps = trace.steps;
    if (!steps.length) return el("p", { class: "muted", text: "No step was begun." });
    const total = Math.max(
      0.001,
      trace.summary.elapsed_s || 0,
      ...steps.map((step) => step.started_s + (step.elapsed_s || 0)),
    );
    const body = el("tbody");
    const row = (step) => {
      const usage = step.usage || {};
      const part = (value) => `${Math.min(100, Math.max(0, (value / total) * 100))}%`;
      const bar = el("div", {
        class: `gantt-bar is-${step.status} ${hue(step.role)}`,
        style: {
          left: part(step.started_s),
          width: `max(3px, ${part(step.elapsed_s || 0)})`,
        },
      });
      return pressable(
        el(
          "tr",
          { class: `is-${step.status}`, tabindex: "0", "aria-selected": "false" },
          el("th", { scope: "row" }, told(step.role), " ", status(step.status)),
          el("td", { class: "gantt" }, bar),
          el("td", { class: "num", text: seconds(step.elapsed_s) }),
          el("td", {
            class: "num",
            title: "read / written",
            text: known(usage.input_tokens) ? `${count(usage.input_tokens)} / ${count(usage.output_tokens)}` : "–",
          }),
          el("td", { class: "num", text: bytes(step.peak_mem_bytes) }),
        ),
        step.id,
        choose,
      );
    };
    let shown = 0;
    const more = el("button", { type: "button", on: { click: () => grow(1000) } });
    const grow = (many) => {
      body.append(...steps.slice(shown, shown + many).map(row));
      shown = Math.min(steps.length, shown + many);
      more.hidden = shown === steps.length;
      more.textContent = `${count(steps.length - shown)} more steps`;
    };
    grow(FIRST_ROWS);
    const head = ["Step", `0 – ${seconds(total)}`, "Time", "Tokens in / out", "Peak memory"];
    return el(
      "div",
      { class: "scrolls table-box", tabindex: "0", role: "group", "aria-label": "Steps in time" },
      el(
        "table",
        { class: "steps" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((text, at) => el("th", { scope: "col", class: at > 1 ? "num" : null, text })),
          ),
        ),
        body,
      ),
      more,
    );
  };

  /** Prompts as they were sent; what is repeated word by word is shown once. */
  function prompts(step) {
    const kinds = new Map();
    for (const text of step.prompt) kinds.set(text, (kinds.get(text) || 0) + 1);
    return [...kinds].map(([text, times]) => [
      times > 1 && el("p", { class: "muted", text: `sent ${times} times` }),
      el("pre", { class: "scrolls", tabindex: "0", dir: "auto", text }),
    ]);
  }

  /** Where a step's seconds went, as bars with words. */
  function parts(spent) {
    const rows = Object.entries(spent || {}).filter(([, value]) => known(value));
    const most = Math.max(0.001, ...rows.map(([, value]) => value));
    return rows.map(([name, value]) =>
      el(
        "div",
        { class: "spent" },
        told(name),
        el("span", { class: "spent-bar" }, el("i", { style: { width: `${(value / most) * 100}%` } })),
        el("span", { class: "num", text: seconds(value) }),
      ),
    );
  }

  function tokens(usage) {
    const film = known(usage.video_tokens) ? ` (${count(usage.video_tokens)} of film)` : "";
    return `${count(usage.input_tokens)} in${film}, ${count(usage.output_tokens)} out`;
  }

  const block = (title, ...inside) => el("section", { class: "block" }, el("h4", { text: title }), inside);
  const fact = (name, value) =>
    value !== null &&
    value !== undefined &&
    value !== "–" &&
    el("div", {}, el("dt", { text: name }), el("dd", {}, value));

  /** One step, whole. `node` is its place in the graph: a role that was left out has one, and no step. */
  viewer.step_panel = (trace, id) => {
    const step = trace.steps.find((one) => one.id === id);
    const node = trace.graph.nodes.find((one) => one.id === id);
    if (!step) {
      return el(
        "div",
        { class: "panel-in" },
        el("h3", {}, told(node ? node.role : id), " ", status(node ? node.status : "skipped")),
        el("p", { text: "This role was not called for this question." }),
      );
    }
    const usage = step.usage || {};
    return el(
      "div",
      { class: "panel-in" },
      el("h3", {}, told(step.role), " ", status(step.status)),
      step.error &&
        el(
          "p",
          { class: "callout is-failed" },
          icon("failed"),
          el("span", {}, el("b", { text: "Error: " }), told(step.error)),
        ),
      step.reason &&
        el(
          "p",
          { class: `callout is-${step.status === "skipped" ? "skipped" : "fallback"}` },
          icon(step.status),
          el("span", {}, el("b", { text: step.status === "skipped" ? "Skipped: " : "Fell back: " }), told(step.reason)),
        ),
      step.notes.map((note) => el("p", { class: "callout" }, el("span", {}, el("b", { text: "Note: " }), told(note)))),
      el(
        "dl",
        { class: "facts" },
        fact("Asked for", told(step.query)),
        fact("Adapter", step.adapter && told(step.adapter)),
        fact("Frames", step.frames ? count(step.frames) : null),
        fact("Tokens", known(usage.input_tokens) ? tokens(usage) : null),
        fact("Time", `${seconds(step.elapsed_s)}, from ${seconds(step.started_s)}`),
        fact("Peak memory", bytes(step.peak_mem_bytes)),
      ),
      step.prompt.length
        ? block(step.prompt.length > 1 ? `Prompts (${step.prompt.length})` : "Prompt", prompts(step))
        : null,
      step.raw !== null && step.raw !== undefined
        ? block("Raw reply", el("pre", { class: "scrolls", tabindex: "0", dir: "auto", text: step.raw }))
        : step.prompt.length
          ? block(
              "Raw reply",
              el("p", {
                class: "muted",
                text: step.status === "ok" ? "None was written: the step reads probabilities." : "There is none.",
              }),
            )
          : null,
      step.parsed !== null && step.parsed !== undefined
        ? block(
            "What was read from it",
            el("pre", { class: "scrolls parsed", tabindex: "0", text: JSON.stringify(step.parsed, null, 1) }),
          )
        : null,
      usage.seconds && Object.keys(usage.seconds).length ? block("Where the time went", parts(usage.seconds)) : null,
    );
  };
})();
