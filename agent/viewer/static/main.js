"use strict";
/* An address goes in, its page comes out; keys and news from the server are passed on to the page that is shown.

   #/?q=..          the list          #/trace/ID?q=..     a trace, with the list's filter kept
   #/compare/A/B    two traces
   An exported file holds its trace in the page (`#exported`) and asks no server. */

(() => {
  const { el, say } = viewer;
  const page = document.getElementById("page");
  const inside = document.getElementById("exported");
  const exported = inside ? JSON.parse(inside.textContent) : null; // {traces: the list, trace: {id: trace}}
  const live = exported ? null : el("span", { class: "live", "data-state": "connecting", text: "connecting" });
  let marked = [];
  let data = null;
  let shown = null; // {kind, id, view, text}
  let turn = 0;

  /** What the server answers, as text: two texts are sooner compared than what they say. */
  async function ask(path) {
    const reply = await fetch(path, { cache: "no-store" });
    if (reply.ok) return reply.text();
    let why = "";
    try {
      why = (await reply.json()).problem;
    } catch {
      /* no JSON: the status must do */
    }
    throw new Error(why || `the server answers ${reply.status} to ${path}`);
  }
  const get_list = async () => exported?.traces ?? JSON.parse(await ask("/api/traces"));
  const get_text = async (id) => {
    if (!exported) return ask(`/api/trace/${encodeURIComponent(id)}`);
    if (exported.trace[id]) return JSON.stringify(exported.trace[id]);
    throw new Error("this trace is not in the exported file");
  };

  // ---- addresses ----------------------------------------------------------------------------------------------------
  function address() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const parts = path
      .split("/")
      .filter(Boolean)
      .map((part) => {
        try {
          return decodeURIComponent(part);
        } catch {
          return part;
        }
      });
    const filter = Object.fromEntries(new URLSearchParams(query || ""));
    if (!parts.length && exported) return { parts: ["trace", Object.keys(exported.trace)[0]], filter };
    return { parts, filter };
  }
  const plain = (filter) => {
    const kept = Object.entries(filter).filter(
      ([name, value]) => value && !(name === "show" && value === "all") && !(name === "sort" && value === "newest"),
    );
    return kept.length ? `?${new URLSearchParams(kept)}` : "";
  };
  const to_list = (filter) => `#/${plain(filter)}`;
  const to_trace = (id, filter) => `#/trace/${encodeURIComponent(id)}${plain(filter)}`;

  // ---- pages --------------------------------------------------------------------------------------------------------
  function put(view, kind, values) {
    if (shown && shown.view && shown.view.close) shown.view.close();
    page.replaceChildren(view.root);
    page.removeAttribute("aria-busy");
    shown = { kind, view, ...values };
    if (view.timeline) view.timeline.draw();
  }

  function show_list(filter, focus_id) {
    const view = viewer.list_page({
      data,
      filter,
      live,
      href: (id) => to_trace(id, address().filter),
      marked: () => marked,
      change: (fresh) => {
        history.replaceState(null, "", to_list(fresh));
        refresh_links();
      },
      mark: (id, on) => {
        marked = on ? [...marked.filter((one) => one !== id), id].slice(-2) : marked.filter((one) => one !== id);
        view.remark();
      },
      compare: () => {
        location.hash = `#/compare/${marked.map(encodeURIComponent).join("/")}`;
      },
    });
    const refresh_links = () => {
      for (const link of view.root.querySelectorAll(".row[data-id]"))
        link.querySelector(".row-link").href = to_trace(link.getAttribute("data-id"), address().filter);
    };
    put(view, "list");
    document.title = `Traces: ${data.folder}`;
    if (focus_id) view.focus(focus_id);
    else page.focus({ preventScroll: true });
  }

  /** Where up and down lead: along the filtered list where one is set, else along the file or the evaluation. */
  function around(trace, filter) {
    const list = plain(filter) ? viewer.chosen_traces(data.traces, filter) : null;
    const at = list ? list.findIndex((one) => one.id === trace.id) : -1;
    const [previous, next] = exported
      ? [null, null]
      : at >= 0
        ? [list[at - 1]?.id, list[at + 1]?.id]
        : [trace.previous, trace.next];
    const others = data.traces
      .filter((one) => one.id !== trace.id && one.question === trace.question && one.video === trace.summary.video)
      .slice(0, 30);
    return {
      previous: previous && to_trace(previous, filter),
      next: next && to_trace(next, filter),
      back: exported ? null : to_list(filter),
      place: at >= 0 ? `${at + 1} of ${list.length} with this filter` : trace.summary.file,
      others: others.map((one) => ({
        href: `#/compare/${encodeURIComponent(trace.id)}/${encodeURIComponent(one.id)}`,
        text: `${viewer.when(one.started_s)} ${one.answer ?? one.status}, ${one.file}`,
      })),
    };
  }

  async function show_trace(id, filter, kept, mine) {
    const text = await get_text(id);
    if (mine !== turn || (kept && shown.text === text)) return;
    const trace = JSON.parse(text);
    const scroll = kept ? window.scrollY : 0;
    const carried = kept ? shown.view.state() : {};
    const playing = carried.video && !carried.video.paused;
    if (carried.url !== trace.video.url) carried.video = null;
    put(viewer.trace_page(trace, around(trace, filter), carried), "trace", { id, text, filter });
    if (playing && carried.video) carried.video.play().catch(() => {});
    document.title = trace.question || "Trace";
    window.scrollTo(0, scroll);
    if (!kept) {
      page.focus({ preventScroll: true });
      say(`Trace: ${trace.question}`);
    }
  }

  async function route() {
    const mine = (turn += 1);
    const { parts, filter } = address();
    const from = shown && shown.kind === "trace" ? shown.id : null;
    page.setAttribute("aria-busy", "true");
    try {
      data ||= await get_list();
      if (parts[0] === "trace" && parts[1]) await show_trace(parts[1], filter, false, mine);
      else if (parts[0] === "compare" && parts[2]) {
        const [a, b] = (await Promise.all([get_text(parts[1]), get_text(parts[2])])).map((text) => JSON.parse(text));
        if (mine !== turn) return;
        put(viewer.compare_page(a, b, { back: to_list({}), href: (id) => to_trace(id, {}) }), "compare");
        document.title = "Two traces";
        window.scrollTo(0, 0);
      } else if (mine === turn) show_list(filter, from);
    } catch (error) {
      if (mine === turn) {
        put(
          {
            root: el(
              "div",
              { class: "trouble" },
              el("a", { class: "button", href: "#/" }, "← All traces"),
              viewer.callout("failed", "This cannot be shown", error.message),
            ),
          },
          "trouble",
        );
      }
    }
  }

  // ---- news from the server ----------------------------------------------------------------------------------------
  let asked = false;
  let again = false;
  async function changed() {
    if (asked) {
      again = true;
      return;
    }
    asked = true;
    try {
      data = await get_list();
      if (shown && shown.kind === "list") shown.view.refresh(data);
      else if (shown && shown.kind === "trace") await show_trace(shown.id, shown.filter, true, turn);
    } catch {
      /* the stream says by itself when the server has gone */
    }
    asked = false;
    if (again) {
      again = false;
      setTimeout(changed, 250);
    }
  }
  function connect() {
    if (exported) return;
    const stream = new EventSource("/events");
    const state = (name, text) => {
      live.dataset.state = name;
      live.textContent = text;
    };
    let lost = false;
    stream.onopen = () => {
      state("live", "live");
      if (lost) changed();
      lost = false;
    };
    stream.onerror = () => {
      lost = true;
      state("lost", "server gone");
    };
    stream.onmessage = changed;
    stream.addEventListener("changed", changed);
    addEventListener("pagehide", () => stream.close());
  }

  // ---- keys --------------------------------------------------------------------------------------------------------
  const KEYS = [
    ["↑ ↓", "walk the list; in a trace, the previous or next question"],
    ["Enter", "open the trace; on a bar or a step, choose it"],
    ["x", "mark a trace of the list to compare"],
    ["/", "search"],
    ["Esc", "back to the list"],
    ["Space", "play, pause"],
    ["← →", "seek one second; with Shift one frame; within a lane, its items"],
    ["[ ]", "previous, next trace"],
    ["1 … 9", "go to the moment of that rank"],
    ["0", "go to the chosen moment"],
    ["+ −", "zoom the timeline; Ctrl and wheel do, too"],
    ["?", "this help"],
  ];
  viewer.help = () => {
    const help = document.getElementById("help");
    help.replaceChildren(
      el("h2", { id: "help-title", text: "Keys" }),
      el(
        "dl",
        {},
        KEYS.map(([key, text]) => el("div", {}, el("dt", {}, el("kbd", { text: key })), el("dd", { text }))),
      ),
      el("form", { method: "dialog" }, el("button", { class: "main", text: "Close" })),
    );
    help.showModal();
  };

  function follow(label) {
    const link = page.querySelector(`a[aria-label="${label}"]`);
    if (link) location.hash = link.getAttribute("href");
  }

  /** What a key does here; false where it is none of ours. */
  function act(event) {
    const { view, kind } = shown;
    const film = view.player;
    if (event.key === "?") return viewer.help();
    if (event.key === "/") {
      if (kind === "list") return view.search.focus();
      location.hash = to_list(address().filter);
      return setTimeout(() => shown.kind === "list" && shown.view.search.focus(), 60);
    }
    if (kind === "list") {
      if (event.key === "ArrowDown") return view.move(1);
      if (event.key === "ArrowUp") return view.move(-1);
      if (event.key === "x") return view.toggle();
      return false;
    }
    if (event.key === "Escape") {
      const back = page.querySelector("nav.top a[href]");
      if (back) location.hash = back.getAttribute("href");
      return true;
    }
    if (!film) return false;
    const frame_s = view.frame_s || 0.04;
    if (event.key === "ArrowLeft") return film.seek(film.time() - (event.shiftKey ? frame_s : 1));
    if (event.key === "ArrowRight") return film.seek(film.time() + (event.shiftKey ? frame_s : 1));
    if (event.key === " ") return film.toggle();
    if (event.key === "ArrowUp" || event.key === "[") return follow("Previous trace");
    if (event.key === "ArrowDown" || event.key === "]") return follow("Next trace");
    if (event.key === "+" || event.key === "=") return view.timeline.zoom(1.6);
    if (event.key === "-") return view.timeline.zoom(1 / 1.6);
    if (/^[0-9]$/.test(event.key)) return view.timeline.best(Number(event.key));
    return false;
  }

  addEventListener(
    "keydown",
    (event) => {
      if (!shown || event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
      const target = event.target;
      if (target.matches("input[type=search]")) {
        if (event.key === "ArrowDown") {
          shown.view.move(1);
          event.preventDefault();
        }
        if (event.key === "Escape") {
          target.blur();
          event.preventDefault();
        }
        return;
      }
      if (target.matches("select, textarea, input:not([type=checkbox])")) return;
      if (target.closest(".lane") && /^(ArrowLeft|ArrowRight|Home|End|Enter| )$/.test(event.key)) return;
      if (target.closest(".scrolls") && /^Arrow/.test(event.key) && !target.closest("svg")) return;
      if (
        (event.key === " " || event.key === "Enter") &&
        target.closest("button, a, summary, label, input, [role=button]")
      )
        return;
      if (act(event) !== false) {
        event.preventDefault();
        event.stopPropagation();
      }
    },
    true,
  );

  addEventListener("hashchange", route);
  connect();
  route();
})();
