"use strict";
/* Summaries of traces and a filter go in, the list comes out: search, one-click filters, sorting, marks to compare. */

(() => {
  const { el, told, known, share, seconds, when, icon, count, ROLES } = viewer;
  const PAGE = 150;

  const fell = (one) => Object.values(one.steps || {}).includes("fallback");
  const failed = (one) => one.status === "failed" || one.status === "broken";
  /** One-click filters: name in the address, words, test. */
  const SHOWN = [
    ["all", "All", () => true],
    ["split", "Right answer, wrong moment", (one) => one.right === true && one.span_right === false],
    ["wrong", "Wrong answer", (one) => one.right === false],
    ["right", "Right answer", (one) => one.right === true],
    ["off", "Wrong moment", (one) => one.span_right === false],
    ["on", "Right moment", (one) => one.span_right === true],
    ["fell", "Fell back", fell],
    ["failed", "Failed", failed],
    ["running", "Running", (one) => one.status === "running"],
  ];
  const last = (value) => (known(value) ? value : Infinity);
  const SORTS = [
    ["newest", "newest first", null],
    ["oldest", "oldest first", null],
    ["iou", "lowest IoU first", (one) => last(one.iou)],
    ["iou-high", "highest IoU first", (one) => last(known(one.iou) ? -one.iou : null)],
    ["confidence", "lowest confidence first", (one) => last(one.confidence)],
    ["confidence-high", "highest confidence first", (one) => last(known(one.confidence) ? -one.confidence : null)],
    ["slowest", "slowest first", (one) => last(known(one.elapsed_s) ? -one.elapsed_s : null)],
  ];

  /** Whether a summary passes a filter {q, show, role, state}. */
  function passes(one, filter) {
    const shown = SHOWN.find(([name]) => name === filter.show);
    if (shown && !shown[2](one)) return false;
    if (filter.role || filter.state) {
      const states = filter.role ? [(one.steps || {})[filter.role] || "skipped"] : Object.values(one.steps || {});
      if (filter.state ? !states.includes(filter.state) : !(one.steps || {})[filter.role]) return false;
    }
    const text = `${one.question} ${one.key || ""} ${one.video} ${one.file} ${one.answer || ""}`.toLocaleLowerCase();
    return (filter.q || "")
      .toLocaleLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  }

  /** The traces that a filter lets through, in its order; the server's is newest first. */
  viewer.chosen_traces = (traces, filter) => {
    const kept = traces.filter((one) => passes(one, filter));
    if (filter.sort === "oldest") return kept.reverse();
    const by = (SORTS.find(([name]) => name === filter.sort) || SORTS[0])[2];
    return by
      ? kept
          .map((one, at) => [by(one), at, one])
          .sort((a, b) => a[0] - b[0] || a[1] - b[1])
          .map((row) => row[2])
      : kept;
  };

  /** A letter for each role that the plan knows; its shape tells how it went. */
  function chips(one) {
    const steps = one.steps || {};
    const names = [...ROLES, ...Object.keys(steps).filter((role) => !ROLES.includes(role))];
    return el(
      "span",
      { class: "chips" },
      names.slice(0, 8).map((role) => {
        const state = steps[role] || (one.status === "running" ? "waiting" : "skipped");
        const word = viewer.WORDS[state] || state;
        return el(
          "span",
          { class: `chip is-${state}`, title: `${role}: ${word}` },
          ["ok", "skipped", "waiting"].includes(state) ? null : icon(state),
          el("span", { "aria-hidden": "true", text: role[0].toUpperCase() }),
          el("span", { class: "unseen", text: `${role} ${word}. ` }),
        );
      }),
    );
  }

  function mark(right, word) {
    return right === null || right === undefined
      ? null
      : el(
          "span",
          { class: `mark is-${right ? "right" : "wrong"}` },
          icon(right ? "right" : "wrong"),
          el("span", { text: right ? "right" : "wrong" }),
          el("span", { class: "unseen", text: ` ${word}` }),
        );
  }

  function row(one, page) {
    const box = el("input", {
      type: "checkbox",
      "aria-label": `Compare: ${one.question || one.file}`,
      on: { change: (event) => page.mark(one.id, event.target.checked) },
    });
    box.checked = page.marked().includes(one.id);
    const title = one.question || one.file;
    return el(
      "li",
      { class: `row is-${one.status}`, "data-id": one.id },
      el("label", { class: "pick", title: "Mark to compare" }, box),
      el(
        "span",
        { class: "row-status", title: viewer.WORDS[one.status] || one.status },
        icon(one.status, viewer.WORDS[one.status] || one.status),
      ),
      el(
        "span",
        { class: "row-main" },
        el("a", { class: "row-link", href: page.href(one.id) }, told(title)),
        el("span", { class: "row-sub muted" }, told(one.key || one.video), " ", told(one.file, { class: "row-file" })),
        one.problem &&
          el(
            "span",
            { class: "row-problem" },
            icon("broken"),
            told(one.problem.startsWith(`${one.file}, `) ? one.problem.slice(one.file.length + 2) : one.problem),
          ),
      ),
      el(
        "span",
        { class: "row-answer" },
        one.status !== "ok" && one.status !== "fallback" && !one.answer
          ? el("span", { class: "muted", text: viewer.WORDS[one.status] || "" })
          : told(one.answer ?? "–"),
        mark(one.right, "answer"),
      ),
      el(
        "span",
        { class: "row-iou" },
        known(one.iou)
          ? [
              el("span", { class: "meter", "aria-hidden": "true" }, el("i", { style: { width: `${one.iou * 100}%` } })),
              el("span", { class: "num" }, el("span", { class: "unit", text: "IoU " }), share(one.iou)),
              mark(one.span_right, "moment"),
            ]
          : el("span", { class: "muted wide-only", text: "–" }),
      ),
      el(
        "span",
        { class: "row-conf num" },
        known(one.confidence)
          ? [el("span", { class: "unit", text: "conf. " }), share(one.confidence)]
          : el("span", { class: "wide-only", text: "–" }),
      ),
      chips(one),
      el(
        "span",
        { class: "row-time num" },
        el("span", { text: when(one.started_s) }),
        el("span", { class: "muted", text: seconds(one.elapsed_s) }),
      ),
    );
  }

  /**
   * Builds the list.
   * `page` holds {data, filter, change(filter), href(id), marked(), mark(id, on), compare(), live}.
   * Returns {root, refresh(data), move(by), open(), toggle(), search}.
   */
  viewer.list_page = (page) => {
    let filter = { show: "all", sort: "newest", ...page.filter };
    let data = page.data;
    let shown = [];
    let drawn = 0;
    const search = el("input", {
      type: "search",
      placeholder: "Search questions, files, answers",
      "aria-label": "Search",
      value: filter.q || "",
      on: { input: (event) => set({ q: event.target.value }) },
    });
    const select = (label, name, choices) => {
      const node = el(
        "select",
        { "aria-label": label, on: { change: (event) => set({ [name]: event.target.value }) } },
        choices.map(([value, text]) => el("option", { value, text })),
      );
      node.value = filter[name] || choices[0][0];
      return node;
    };
    const tabs = el("div", { class: "tabs", role: "group", "aria-label": "Show" });
    const rows = el("ol", { class: "rows", "aria-label": "Traces" });
    const none = el("p", { class: "none muted", hidden: true });
    const tail = el("div", { class: "tail", "aria-hidden": "true" });
    const problems = el("div", { class: "problems" });
    const total = el("span", { class: "muted" });
    const compare = el("button", { type: "button", class: "main", on: { click: () => page.compare() } });
    const root = el(
      "div",
      { class: "list" },
      el(
        "header",
        { class: "list-head" },
        el("h1", { text: "Traces" }),
        el("span", { class: "folder muted" }, told(data.folder)),
        total,
        page.live,
        el("button", {
          type: "button",
          "aria-label": "Keys",
          title: "Keys (?)",
          text: "?",
          on: { click: () => viewer.help() },
        }),
      ),
      el(
        "div",
        { class: "tools" },
        search,
        el(
          "label",
          {},
          el("span", { text: "Role" }),
          select("Role", "role", [["", "any"], ...ROLES.map((role) => [role, role])]),
        ),
        el(
          "label",
          {},
          el("span", { text: "was" }),
          select("Status of the role", "state", [
            ["", "anything"],
            ["ok", "ok"],
            ["fallback", "fell back"],
            ["failed", "failed"],
            ["skipped", "skipped"],
            ["running", "running"],
          ]),
        ),
        el("label", {}, el("span", { text: "Sort" }), select("Sort", "sort", SORTS)),
        compare,
      ),
      tabs,
      problems,
      el(
        "div",
        { class: "row heads", "aria-hidden": "true" },
        ["", "", "Question", "Answer", "Moment (IoU)", "Conf.", "Roles", "Time"].map((text) => el("span", { text })),
      ),
      rows,
      none,
      tail,
    );

    function set(values) {
      filter = { ...filter, ...values };
      page.change(filter);
      draw();
      viewer.say(`${shown.length} of ${data.traces.length} traces`);
    }
    function grow() {
      rows.append(...shown.slice(drawn, drawn + PAGE).map((one) => row(one, page)));
      drawn = Math.min(shown.length, drawn + PAGE);
    }
    function draw(keep = PAGE) {
      const focused =
        document.activeElement && document.activeElement.closest && document.activeElement.closest(".row[data-id]");
      const judged = data.traces.some((one) => known(one.iou) && known(one.right === null ? null : Number(one.right)));
      shown = viewer.chosen_traces(data.traces, filter);
      rows.replaceChildren();
      drawn = 0;
      do grow();
      while (drawn < Math.min(keep, shown.length));
      tabs.replaceChildren(
        ...SHOWN.map(([name, text, test]) => [name, text, data.traces.filter(test).length])
          .filter(([name, , many]) => name === "all" || name === filter.show || many || (name === "split" && judged))
          .map(([name, text, many]) =>
            el(
              "button",
              {
                type: "button",
                class: "tab",
                "aria-pressed": String(filter.show === name),
                on: { click: () => set({ show: name }) },
              },
              text,
              " ",
              el("span", { class: "num muted", text: count(many) }),
            ),
          ),
      );
      total.textContent =
        shown.length === data.traces.length
          ? `${count(data.traces.length)} questions`
          : `${count(shown.length)} of ${count(data.traces.length)} questions`;
      none.hidden = shown.length > 0;
      none.textContent = data.traces.length
        ? "No trace passes this filter."
        : "No traces here yet. A run that writes into this folder shows up by itself.";
      problems.replaceChildren(
        ...data.problems
          .slice(0, 20)
          .map((one) =>
            el(
              "p",
              { class: "callout is-broken" },
              icon("broken"),
              el(
                "span",
                {},
                el("b", {}, told(one.file)),
                ": ",
                told(one.message.startsWith(`${one.file}, `) ? one.message.slice(one.file.length + 2) : one.message),
              ),
            ),
          ),
        ...(data.problems.length > 20
          ? [el("p", { class: "muted", text: `and ${count(data.problems.length - 20)} more files` })]
          : []),
      );
      remark();
      if (focused) focus(focused.getAttribute("data-id"));
    }
    function remark() {
      const many = page.marked().length;
      compare.disabled = many !== 2;
      compare.textContent =
        many === 2 ? "Compare the two" : many === 1 ? "Mark one more to compare" : "Mark two to compare";
      for (const box of rows.querySelectorAll(".pick input"))
        box.checked = page.marked().includes(box.closest(".row").getAttribute("data-id"));
    }
    function focus(id) {
      const link = [...rows.children].find((one) => one.getAttribute("data-id") === id);
      if (link) link.querySelector(".row-link").focus();
    }
    function move(by) {
      const here = document.activeElement.closest(".row[data-id]");
      const all = [...rows.children];
      const at = here ? all.indexOf(here) + by : by > 0 ? 0 : all.length - 1;
      if (at >= all.length - 1) grow();
      const next = rows.children[Math.min(rows.children.length - 1, Math.max(0, at))];
      if (next) {
        next.querySelector(".row-link").focus();
        next.scrollIntoView({ block: "nearest" });
      }
    }
    new IntersectionObserver(
      (seen) => {
        if (seen.some((one) => one.isIntersecting) && drawn < shown.length) grow();
      },
      { rootMargin: "600px" },
    ).observe(tail);
    draw();
    return {
      root,
      move,
      focus,
      search,
      remark,
      refresh: (fresh) => {
        data = fresh;
        draw(Math.max(PAGE, drawn));
      },
      toggle: () => {
        const box = document.activeElement.closest(".row[data-id]");
        if (box) box.querySelector(".pick input").click();
      },
    };
  };
})();
