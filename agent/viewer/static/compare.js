"use strict";
/* Two traces go in, one page comes out: films and timelines side by side, then facts row by row, differences marked. */

(() => {
  const { el, told, known, share, seconds, count, bytes, range, status } = viewer;
  const MOST_WORDS = 600;

  /** Words of two texts, each with whether it is one of their longest common sequence of words; null for long texts. */
  function words_apart(left, right) {
    const [a, b] = [left.split(/(\s+)/), right.split(/(\s+)/)];
    if (a.length > MOST_WORDS || b.length > MOST_WORDS) return null;
    const wide = b.length + 1;
    const best = new Uint16Array((a.length + 1) * wide);
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) {
        best[i * wide + j] =
          a[i] === b[j] ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
      }
    }
    const out = [[], []];
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        out[0].push([a[i], false]);
        out[1].push([b[j], false]);
        i += 1;
        j += 1;
      } else if (j >= b.length || (i < a.length && best[(i + 1) * wide + j] >= best[i * wide + j + 1])) {
        out[0].push([a[i], true]);
        i += 1;
      } else {
        out[1].push([b[j], true]);
        j += 1;
      }
    }
    return out;
  }
  const marked = (words) =>
    el(
      "bdi",
      { dir: "auto" },
      words.map(([word, apart]) => (apart && word.trim() ? el("mark", { text: word }) : word)),
    );

  /** A row: its name, both values, and a sign with words where they differ. `text` compares as texts, word by word. */
  function row(name, left, right, kind) {
    const plain = (value) => (value instanceof Node ? value.textContent : String(value ?? "–"));
    const same = plain(left) === plain(right);
    let shown = [left, right].map((value) => (value instanceof Node ? value : told(value ?? "–")));
    if (kind === "text" && !same) {
      const apart = words_apart(plain(left), plain(right));
      if (apart) shown = apart.map(marked);
    }
    return el(
      "tr",
      { class: same ? "same" : "differs" },
      el("th", { scope: "row", text: name }),
      shown.map((value) => el("td", { class: kind === "text" ? "long" : null }, value)),
      el(
        "td",
        { class: "sign" },
        same
          ? el("span", { class: "unseen", text: "the same" })
          : [el("b", { "aria-hidden": "true", text: "≠" }), el("span", { class: "sign-word", text: " differs" })],
      ),
    );
  }

  function title(text) {
    return el("tr", { class: "group" }, el("th", { colspan: 4, scope: "colgroup", text }));
  }

  /** The first moment that a trace stands by: its chosen one, else the best of its last ranking. */
  function first(trace) {
    const lane = viewer.rankings(trace)[0];
    return lane ? lane.items.find((one) => one.rank === 1) || lane.items[0] : null;
  }

  function rows(a, b) {
    const both = (name, get, kind) => row(name, get(a), get(b), kind);
    const span = (trace) => {
      const item = first(trace);
      return item ? range(item.start_s, item.end_s) : "none";
    };
    const yes = (right) => (right === null || right === undefined ? "not known" : right ? "right" : "wrong");
    const made = [
      title("Question and answer"),
      both("Question", (t) => t.question, "text"),
      both("Film", (t) => t.video.name),
      both("File", (t) => `${t.summary.file}, question ${t.summary.number + 1}`),
      both("Status", (t) => status(t.summary.status)),
      both("Answer", (t) => t.answer ?? "none", "text"),
      both("Answer is", (t) => yes(t.summary.right)),
      both("First moment", span),
      both("Moment is", (t) => yes(t.summary.span_right)),
      both("IoU", (t) => share(t.summary.iou)),
      both("Confidence", (t) => share(t.summary.confidence)),
      both("Time", (t) => seconds(t.summary.elapsed_s)),
      both("Error", (t) => t.error ?? "none", "text"),
      both("Notes", (t) => t.notes.join("\n") || "none", "text"),
    ];
    const letters = [...new Set([...a.options, ...b.options].map((option) => option.letter))];
    for (const letter of letters) {
      made.push(
        both(
          `Option ${letter}`,
          (t) => {
            const option = t.options.find((one) => one.letter === letter);
            return option
              ? [
                  known(option.prob) ? `${option.text} ${share(option.prob)}` : option.text,
                  ...(option.chosen ? ["chosen"] : []),
                  ...(option.right ? ["right answer"] : []),
                ].join(", ")
              : "none";
          },
          "text",
        ),
      );
    }
    const ids = [...new Set([...a.steps, ...b.steps].map((step) => step.id))].slice(0, 60);
    for (const id of ids) {
      const at = (trace, get) => {
        const step = trace.steps.find((one) => one.id === id);
        return step ? (get(step) ?? "–") : "not called";
      };
      const each = (name, get, kind) => row(name, at(a, get), at(b, get), kind);
      made.push(
        title(`Step ${id}`),
        each("Status", (s) => status(s.status)),
        each("Adapter", (s) => s.adapter),
        each("Asked for", (s) => s.query, "text"),
        each("Prompt", (s) => [...new Set(s.prompt)].join("\n\n"), "text"),
        each("Raw reply", (s) => s.raw, "text"),
        each("Reason", (s) => s.error || s.reason, "text"),
        each("Frames", (s) => count(s.frames)),
        each("Tokens in / out", (s) => `${count(s.usage?.input_tokens)} / ${count(s.usage?.output_tokens)}`),
        each("Time", (s) => seconds(s.elapsed_s)),
        each("Peak memory", (s) => bytes(s.peak_mem_bytes)),
      );
    }
    const flat = (value, path, out) => {
      if (value !== null && typeof value === "object" && !Array.isArray(value))
        for (const [key, one] of Object.entries(value)) flat(one, path ? `${path}.${key}` : key, out);
      else out.set(path, Array.isArray(value) ? JSON.stringify(value) : String(value));
      return out;
    };
    const [left, right] = [flat(a.run || {}, "", new Map()), flat(b.run || {}, "", new Map())];
    const names = [...new Set([...left.keys(), ...right.keys()])].filter((name) => left.get(name) !== right.get(name));
    if (names.length)
      made.push(
        title("The run, where it differs"),
        ...names.slice(0, 80).map((name) => row(name, left.get(name), right.get(name), "text")),
      );
    return made;
  }

  /** Builds the page; `nav` holds {back, href(id)}. Returns {root, player, timeline, close}. */
  viewer.compare_page = (a, b, nav) => {
    const one_film = a.video.name === b.video.name && a.video.duration_s === b.video.duration_s;
    const players = [a, b].map((trace) => viewer.player(trace));
    let busy = false;
    const timelines = [a, b].map((trace, side) =>
      viewer.timeline(trace, {
        seek: (time_s) => {
          players[side].seek(time_s);
          if (one_film) players[1 - side].seek(time_s); // one film: both stand at the same second
        },
      }),
    );
    players.forEach((player, side) =>
      player.listen((time_s) => {
        timelines[side].show(time_s);
        if (one_film && !busy && player.video && !player.video.paused) {
          busy = true;
          timelines[1 - side].show(time_s);
          busy = false;
        }
      }),
    );
    const made = rows(a, b);
    const many = made.filter((node) => node.classList.contains("differs")).length;
    const table = el(
      "table",
      { class: "versus" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, el("span", { class: "unseen", text: "What" })),
          el("th", { scope: "col", text: "A" }),
          el("th", { scope: "col", text: "B" }),
          el("th", { scope: "col" }, el("span", { class: "unseen", text: "Differs" })),
        ),
      ),
      el("tbody", {}, made),
    );
    const only = el("input", {
      type: "checkbox",
      on: { change: () => table.classList.toggle("only-differs", only.checked) },
    });
    const side = (trace, at) =>
      el(
        "section",
        { class: "side", "aria-label": `Trace ${at ? "B" : "A"}` },
        el(
          "h2",
          { class: "side-title" },
          el("span", { class: "badge", text: at ? "B" : "A" }),
          " ",
          el("a", { href: nav.href(trace.id) }, told(trace.question)),
        ),
        el("div", {}, viewer.verdicts(trace), trace.error && viewer.callout("failed", "No answer", trace.error)),
        players[at].root,
        viewer.options(trace),
        timelines[at].root,
      );
    const root = el(
      "article",
      { class: "compare" },
      el(
        "nav",
        { class: "top", "aria-label": "Traces" },
        el("a", { class: "button", href: nav.back }, "← All traces"),
        el("span", { class: "place muted" }),
        el("button", {
          type: "button",
          "aria-label": "Keys",
          title: "Keys (?)",
          text: "?",
          on: { click: () => viewer.help() },
        }),
      ),
      el("h1", { text: "Two traces side by side" }),
      el("p", {
        class: "muted",
        text: one_film ? "One film: what is sought on one side is shown on both." : "Two films.",
      }),
      el("div", { class: "sides" }, side(a, 0), side(b, 1)),
      el(
        "div",
        { class: "versus-head" },
        el("h2", { text: many ? `≠ ${count(many)} things differ` : "Nothing differs" }),
        el("label", {}, only, " show only what differs"),
      ),
      el(
        "div",
        { class: "scrolls table-box", tabindex: "0", role: "group", "aria-label": "Facts side by side" },
        table,
      ),
    );
    const both = (act) => timelines.forEach(act);
    both((timeline) => timeline.show(0));
    return {
      root,
      player: players[0],
      timeline: timelines[0],
      close: () => {
        both((timeline) => timeline.close());
        players.forEach((player) => player.video && player.video.pause());
      },
    };
  };
  viewer.words_apart = words_apart;
})();
