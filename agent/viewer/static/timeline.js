"use strict";
/* A trace goes in, its timeline comes out: one scale of seconds under which every lane of the trace is drawn.
   Lanes are data: a kind says how one is drawn, an id that is known gives it a look of its own. */

(() => {
  const { el, svg, clock, range, share, known, pack, lanes: parts } = viewer;
  const { PAD_PX, RULER_PX, FILM_PX } = parts;
  const FIRST_LANES = 40;
  const LOOKS = ["chosen", "clip", "truth", "subtitles"];
  let made = 0;

  /** A look for the ids that it knows, else the hue of the role whose step the lane came from. */
  function look(lane, trace) {
    if (LOOKS.includes(lane.id)) return `look-${lane.id}`;
    const step = lane.items.length && trace.steps.find((one) => one.id === lane.items[0].step);
    return step ? viewer.hue(step.role) : "look-other";
  }

  /** Lanes of moments, the one that the answer stands by first, then from the last step that ranked to the first. */
  viewer.rankings = (trace) => {
    const number = (lane) => trace.steps.findIndex((step) => step.id === lane.items[0].step);
    const order = (lane) => (lane.id === "chosen" ? Infinity : number(lane));
    return trace.lanes
      .filter((lane) => lane.kind === "spans" && lane.items.length && lane.items[0].rank)
      .sort((a, b) => (order(b) > order(a) ? 1 : -1));
  };

  /** What is known of an item, line by line, under a picture of the film there. */
  function card_of(item, picture) {
    const lines = [];
    const title = item.rank ? pack.words(item) : item.label;
    if (picture && picture.thumb) lines.push(el("img", { src: picture.thumb, alt: "", decoding: "async" }));
    if (title) lines.push(viewer.told(title, { class: "tl-card-title" }));
    const where = item.start_s === item.end_s ? clock(item.start_s) : range(item.start_s, item.end_s);
    lines.push(el("span", { class: "num", text: where }));
    if (item.rank && item.was_rank && item.rank !== item.was_rank) {
      lines.push(el("span", { text: `moved from #${item.was_rank} to #${item.rank}` }));
    }
    if (known(item.shade) && item.rank && !known(item.p_yes)) {
      lines.push(el("span", { text: `confidence ${share(item.shade)}` }));
    }
    if (known(item.p_yes)) {
      lines.push(
        el(
          "span",
          { class: "yesno" },
          el("i", { style: { width: `${item.p_yes * 100}%` } }),
          el("span", { text: `P(Yes) ${share(item.p_yes)}` }),
          el("span", { text: `P(No) ${share(item.p_no)}` }),
        ),
      );
    }
    if (item.detail) lines.push(viewer.told(item.detail, { class: "muted" }));
    return lines;
  }

  /**
   * Builds a timeline.
   * `on.seek(time_s)` is called when a time is chosen, `on.step(id)` when an item that came from a step is.
   * Returns {root, show(time_s), draw(), zoom(factor), fit(), best(rank), close()}.
   */
  viewer.timeline = (trace, on) => {
    const number = (made += 1);
    const ends = trace.lanes.flatMap((lane) => lane.items.map((item) => item.end_s));
    const long_s = trace.video.duration_s || ends.reduce((most, end_s) => Math.max(most, end_s), 1);
    const film = trace.lanes
      .filter((lane) => lane.kind === "ticks" && lane.items.some((item) => item.thumb))
      .sort((a, b) => b.items.length - a.items.length)[0];
    const pictures = film ? film.items.filter((item) => item.thumb) : [];
    const filled = trace.lanes.filter((lane) => lane.items.length);
    let lanes = filled.slice(0, FIRST_LANES);
    let magnified = 1;
    let now_s = 0;
    let head = null;

    const titles = el("div", { class: "tl-titles" });
    const scroller = el("div", { class: "tl-scroll", tabindex: "-1" });
    const card = el("div", { class: "tl-card", hidden: true });
    const readout = el("output", { class: "tl-now", "aria-live": "off" });
    const button = (label, sign, act) =>
      el("button", { type: "button", "aria-label": label, title: label, on: { click: act }, text: sign });
    const body = el("div", { class: "tl-body" }, titles, scroller, card);
    const root = el(
      "section",
      { class: "timeline", "aria-label": "Timeline of the film" },
      el(
        "div",
        { class: "tl-bar" },
        el("h2", { text: "Timeline" }),
        readout,
        el(
          "span",
          { class: "tl-zoom" },
          button("Zoom out", "−", () => zoom(1 / 1.6)),
          button("Zoom in", "+", () => zoom(1.6)),
          button("Show the whole film", "Fit", () => fit()),
        ),
      ),
      body,
    );

    const place = {
      trace,
      long_s,
      pictures,
      width: 0,
      picked: null,
      open: new Set(), // lanes shown with all their rows
      now: () => now_s,
      x_of: (time_s) => PAD_PX + (Math.min(Math.max(time_s, 0), long_s) / long_s) * (place.width - 2 * PAD_PX),
      time_of: (x) => Math.min(long_s, Math.max(0, ((x - PAD_PX) / (place.width - 2 * PAD_PX)) * long_s)),
      /** Chooses an item: the film goes just inside it, where its first picture is sure to be its own. */
      pick: (item, node) => {
        place.picked = item;
        for (const old of root.querySelectorAll(".picked")) old.classList.remove("picked");
        if (node) node.classList.add("picked");
        on.seek(item.start_s + Math.min(0.05, (item.end_s - item.start_s) / 4));
        if (item.step && on.step) on.step(item.step);
      },
      show_card: (item, x, top) => {
        const middle_s = (item.start_s + item.end_s) / 2;
        const near = pictures.length ? pictures[pack.nearest(pictures, middle_s)] : null;
        card.replaceChildren(...card_of(item, item.thumb ? item : near));
        card.hidden = false;
        const around = body.getBoundingClientRect();
        const left = scroller.getBoundingClientRect().left - around.left + x - scroller.scrollLeft;
        const most = around.width - card.offsetWidth - 4;
        card.style.left = `${Math.min(Math.max(4, left - card.offsetWidth / 2), most)}px`;
        card.style.top = `${top - card.offsetHeight - 8}px`;
      },
      hide_card: () => {
        card.hidden = true;
      },
    };

    function more_button(lane, left) {
      const open = place.open.has(lane.id);
      if (!left && !open) return null;
      const turn = () => {
        if (!place.open.delete(lane.id)) place.open.add(lane.id);
        draw();
      };
      const text = open ? "fewer" : `${left} more`;
      return el("button", { type: "button", class: "more", "aria-expanded": String(open), text, on: { click: turn } });
    }

    function title(lane, height, left) {
      return el(
        "div",
        { class: `tl-title ${look(lane, trace)}`, style: { height: `${height}px` } },
        el("i", { class: `swatch kind-${lane.kind}` }),
        viewer.told(lane.title, { title: lane.title }),
        lane.kind === "ticks" && el("span", { class: "muted num", text: lane.items.length }),
        more_button(lane, left),
      );
    }

    function hatch() {
      const size = { width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
      return svg(
        "defs",
        {},
        svg(
          "pattern",
          { id: `hatch-${number}`, ...size },
          svg("rect", { class: "hatch-back", width: 6, height: 6 }),
          svg("path", { class: "hatch", d: "M0 0v6" }),
        ),
      );
    }

    function draw() {
      const narrow = root.clientWidth < 680; // lanes then carry their titles above them
      root.classList.toggle("narrow", narrow);
      const room = scroller.clientWidth;
      if (!room) return;
      place.width = Math.max(200, Math.floor(room * magnified));
      const [back, marks, bodies] = [svg("g"), svg("g"), svg("g")];
      const above = narrow ? 15 : 0;
      let top = RULER_PX + (pictures.length ? FILM_PX : 0);
      if (pictures.length) parts.film(place, bodies);
      const names = [
        el(
          "div",
          { class: "tl-title", style: { height: `${top}px` } },
          el("span", { class: "muted", text: pictures.length ? "Film" : "" }),
        ),
      ];
      for (const lane of lanes) {
        const group = svg("g", {
          class: `lane kind-${lane.kind} ${look(lane, trace)}`,
          role: "group",
          "aria-label": lane.title,
          "data-lane": lane.id,
        });
        const [high, left] = parts.draw(lane.kind)(place, lane, group, top + above);
        const height = high + above + 5;
        bodies.append(group);
        names.push(title(lane, height, left));
        marks.append(svg("path", { class: "between", d: `M0 ${top + height - 3}H${place.width}` }));
        top += height;
      }
      parts.bands(place, marks, top);
      parts.ruler(place, back, top);
      head = svg(
        "g",
        { class: "head" },
        svg("path", { d: `M0 ${RULER_PX - 6}V${top}` }),
        svg("path", { class: "grip", d: "M-5 15h10v7l-5 6l-5-6z" }),
      );
      const plane = svg(
        "svg",
        { class: "tl-plane", width: place.width, height: top, "aria-label": "Lanes", role: "group" },
        hatch(),
        back,
        marks,
        bodies,
        head,
      );
      plane.style.setProperty("--hatch", `url(#hatch-${number})`);
      listen(plane);
      if (lanes.length < filled.length) {
        const grow = () => {
          lanes = filled.slice(0, lanes.length + 500);
          draw();
        };
        const text = `${filled.length - lanes.length} more lanes`;
        names.push(
          el("div", { class: "tl-title" }, el("button", { type: "button", class: "more", text, on: { click: grow } })),
        );
      }
      titles.replaceChildren(...names);
      scroller.replaceChildren(plane);
      show(now_s);
    }

    /** A click seeks, a drag scrubs, ctrl + wheel zooms. */
    function listen(plane) {
      let held = null;
      const x_at = (event) => event.clientX - plane.getBoundingClientRect().left;
      plane.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        const [node, strip] = [event.target.closest(".item"), event.target.closest(".strip")];
        held = { x: event.clientX, moved: false, node, strip, touch: event.pointerType === "touch" };
      });
      plane.addEventListener("pointermove", (event) => {
        if (held && !held.touch && (held.moved || Math.abs(event.clientX - held.x) > 3)) {
          if (!held.moved) plane.setPointerCapture(event.pointerId);
          held.moved = true;
          place.hide_card();
          on.seek(place.time_of(x_at(event)));
          return;
        }
        const over = event.target.closest(".item");
        const time_s = place.time_of(x_at(event));
        if (over && over.item) {
          place.show_card(
            over.item,
            (place.x_of(over.item.start_s) + place.x_of(over.item.end_s)) / 2,
            over.getBBox().y,
          );
        } else if (pictures.length && event.offsetY < RULER_PX + FILM_PX && event.offsetY > 0) {
          place.show_card({ start_s: time_s, end_s: time_s }, x_at(event), RULER_PX);
        } else if (!event.target.closest(".strip")) place.hide_card();
      });
      plane.addEventListener("pointerup", (event) => {
        const was = held;
        held = null;
        if (!was || was.moved) return;
        if (was.node && was.node.item) {
          place.pick(was.node.item, was.node);
          was.node.focus({ preventScroll: true });
        } else if (was.strip) place.pick(was.strip.item_at(place.time_of(x_at(event))), null);
        else on.seek(place.time_of(x_at(event)));
      });
      plane.addEventListener("pointercancel", () => {
        held = null;
      });
      plane.addEventListener("pointerleave", place.hide_card);
      plane.addEventListener(
        "wheel",
        (event) => {
          if (!event.ctrlKey) return;
          event.preventDefault();
          zoom(event.deltaY < 0 ? 1.25 : 0.8, x_at(event));
        },
        { passive: false },
      );
    }

    /** Zooms about a place, which stays where it is; without one, about the playhead. */
    function zoom(factor, about_x) {
      const most = Math.min(60, Math.max(1, (long_s * 240) / Math.max(1, scroller.clientWidth)));
      const time_s = about_x === undefined ? now_s : place.time_of(about_x);
      const shown_x = place.x_of(time_s) - scroller.scrollLeft;
      magnified = Math.min(most, Math.max(1, magnified * factor));
      draw();
      scroller.scrollLeft = place.x_of(time_s) - shown_x;
    }
    function fit() {
      magnified = 1;
      draw();
    }

    /** Moves the playhead and keeps it in view. */
    function show(time_s) {
      now_s = time_s;
      readout.textContent = `${clock(time_s)} of ${clock(long_s)}`;
      if (!head || !place.width) return;
      const x = place.x_of(time_s);
      head.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
      const seen = x >= scroller.scrollLeft && x <= scroller.scrollLeft + scroller.clientWidth;
      if (magnified > 1 && !seen) scroller.scrollLeft = x - scroller.clientWidth / 3;
    }

    /** Goes to the moment of a rank in the last ranking; 0 is the chosen one. */
    function best(rank) {
      for (const lane of viewer.rankings(trace)) {
        const item = rank ? lane.items.find((one) => one.rank === rank) : lane.items.find((one) => one.chosen);
        if (!item || (rank && lane.id === "chosen")) continue;
        place.pick(
          item,
          [...root.querySelectorAll(".item")].find((node) => node.item === item),
        );
        return true;
      }
      return false;
    }

    let drawn = 0;
    const watcher = new ResizeObserver(() => {
      if (scroller.clientWidth === drawn) return;
      drawn = scroller.clientWidth;
      draw();
    });
    watcher.observe(scroller);
    return { root, show, draw, zoom, fit, best, close: () => watcher.disconnect() };
  };
})();
