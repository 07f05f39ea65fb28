"use strict";
/* A lane and the scale of a timeline go in, its drawing comes out: a function for each kind, the film strip, the ruler.

   `place` is what all of them draw on: {trace, width, long_s, pictures, x_of(time_s), time_of(x), now(), open, picked,
   pick(item, node), show_card(item, x, top), hide_card()}. */

(() => {
  const { svg, clock, share, known, pack } = viewer;
  const PAD_PX = 14;
  const RULER_PX = 32;
  const FILM_PX = 46;
  const ROW_PX = 21;
  const FIRST_ROWS = 6;
  const FIRST_ITEMS = 8; // of a ranking; the others are drawn thin until they are asked for

  /** What an item says in one breath, for those who listen. */
  function spoken(item) {
    const parts = [];
    if (item.rank) parts.push(`rank ${item.rank}${item.was_rank ? `, was ${item.was_rank}` : ""}`);
    if (item.chosen) parts.push("chosen");
    const start = clock(item.start_s);
    parts.push(item.start_s === item.end_s ? `at ${start}` : `${start} to ${clock(item.end_s)}`);
    if (item.label) parts.push(item.label);
    if (known(item.p_yes)) parts.push(`P(Yes) ${share(item.p_yes)}, P(No) ${share(item.p_no)}`);
    if (item.detail) parts.push(item.detail);
    return parts.join(", ");
  }

  /** Where a key leads that walks along `count` items from `at`; undefined where it is no such key. */
  const walked = (key, at, count) => ({ ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: count - 1 })[key];

  /** Makes nodes one stop of the tab key: arrow keys go from item to item, Enter or space chooses one. */
  function walkable(place, nodes, top) {
    nodes.forEach((node, at) => {
      node.setAttribute("tabindex", at ? "-1" : "0");
      node.addEventListener("focus", () => place.show_card(node.item, place.x_of(node.item.start_s), top));
      node.addEventListener("blur", place.hide_card);
      node.addEventListener("keydown", (event) => {
        const to = walked(event.key, at, nodes.length);
        if (to !== undefined && nodes[to]) {
          nodes.forEach((one) => one.setAttribute("tabindex", "-1"));
          nodes[to].setAttribute("tabindex", "0");
          nodes[to].focus();
        } else if (event.key === "Enter" || event.key === " ") place.pick(node.item, node);
        else return;
        event.preventDefault();
        event.stopPropagation();
      });
    });
  }

  function box(place, item) {
    const x = place.x_of(item.start_s);
    return { x, width: Math.max(1, place.x_of(item.end_s) - x) };
  }

  /** Frames as ticks on a strip, which is one slider: its value is the frame that is looked at. */
  function ticks(place, lane, group, top) {
    const items = [...lane.items].sort((a, b) => a.start_s - b.start_s);
    const path = items.map((item) => `M${place.x_of(item.start_s).toFixed(1)} ${top + 4}v12`).join("");
    const cursor = svg("path", { class: "tick-on", d: "" });
    const strip = svg("rect", {
      class: "strip",
      x: PAD_PX - 4,
      y: top,
      width: place.width - 2 * PAD_PX + 8,
      height: 20,
      rx: 4,
      role: "slider",
      tabindex: "0",
      "aria-label": `${lane.title}, ${items.length} frames`,
      "aria-valuemin": 0,
      "aria-valuemax": place.long_s,
      "aria-valuenow": items[0].start_s,
    });
    let at = 0;
    const mark = (to) => {
      at = Math.min(items.length - 1, Math.max(0, to));
      const item = items[at];
      cursor.setAttribute("d", `M${place.x_of(item.start_s).toFixed(1)} ${top + 1}v18`);
      strip.setAttribute("aria-valuenow", item.start_s);
      strip.setAttribute("aria-valuetext", `${clock(item.start_s)}, ${item.label}, ${at + 1} of ${items.length}`);
      place.show_card(item, place.x_of(item.start_s), top);
    };
    const rest = () => {
      cursor.setAttribute("d", "");
      place.hide_card();
    };
    strip.addEventListener("pointermove", (event) => mark(pack.nearest(items, place.time_of(event.offsetX))));
    strip.addEventListener("pointerleave", rest);
    strip.addEventListener("focus", () => {
      if (strip.matches(":focus-visible")) mark(pack.nearest(items, place.now()));
    });
    strip.addEventListener("blur", rest);
    strip.addEventListener("keydown", (event) => {
      const to = walked(event.key, at, items.length);
      if (to !== undefined) mark(to);
      else if (event.key === "Enter" || event.key === " ") place.pick(items[at], null);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    strip.item_at = (time_s) => items[pack.nearest(items, time_s)];
    group.append(svg("path", { class: "ticks", d: path }), cursor, strip);
    return [22, 0];
  }

  /** Bars with words, in as many rows as they need; of a long ranking the best, the others as thin lines. */
  function spans(place, lane, group, top) {
    const ranked = lane.items.every((item) => item.rank);
    const ordered = ranked ? [...lane.items].sort((a, b) => a.rank - b.rank) : lane.items;
    const short = ordered.every((item) => item.chosen);
    const all = place.open.has(lane.id);
    const { placed, left, rows } = pack.rows(
      ordered,
      place.x_of,
      place.width,
      all ? 400 : FIRST_ROWS,
      all || !ranked ? Infinity : FIRST_ITEMS,
      (item) => (lane.kind === "subtitles" ? item.label : pack.words(item, short)),
    );
    const nodes = placed.map(({ item, x, width, from, to, row, text, text_x, anchor, outside }) => {
      const y = top + 3 + row * ROW_PX;
      const strong = known(item.shade) ? 0.1 + 0.6 * item.shade : 0.3;
      const node = svg(
        "g",
        { class: `item${item.chosen ? " chosen" : ""}`, role: "button", "aria-label": spoken(item) },
        // words are as good to click as their bar
        svg("rect", { class: "hit", x: from, y: y - 1, width: to - from, height: 18 }),
        svg("rect", { class: "bar", x, y, width, height: 16, rx: 3, "fill-opacity": strong.toFixed(3) }),
        known(item.p_yes) &&
          svg("rect", { class: "yes", x, y: y + 13, width: Math.max(0.5, width * item.p_yes), height: 3 }),
        text && svg("text", { class: outside ? "out" : null, x: text_x, y: y + 12, "text-anchor": anchor, text }),
      );
      node.item = item;
      if (item === place.picked) node.classList.add("picked");
      return node;
    });
    walkable(place, nodes, top);
    group.append(...nodes);
    const height = rows * ROW_PX + 3;
    if (!left.length) return [height, 0];
    const thin = left
      .map((item) => box(place, item))
      .map(({ x, width }) => `M${x.toFixed(1)} ${top + height}h${Math.max(2, width).toFixed(1)}`);
    group.append(svg("path", { class: "rest", d: thin.join("") }));
    return [height + 6, left.length];
  }

  /** A height for each stretch of time: how far something is so. */
  function levels(place, lane, group, top) {
    const nodes = lane.items.map((item) => {
      const { x, width } = box(place, item);
      const high = known(item.shade) ? Math.max(1, 30 * item.shade) : 15;
      const text = pack.cut(item.label || "", width - 8);
      const node = svg(
        "g",
        { class: "item", role: "button", "aria-label": spoken(item) },
        svg("rect", { class: "field", x, y: top + 3, width, height: 30 }),
        svg("rect", { class: "level", x, y: top + 33 - high, width, height: high }),
        text && svg("text", { x: x + 5, y: top + 14, text }),
      );
      node.item = item;
      return node;
    });
    walkable(place, nodes, top);
    group.append(...nodes);
    return [37, 0];
  }

  /** Pictures of the film side by side, as many as there is room for. */
  function film(place, plane) {
    const { width_px, height_px } = place.trace.video;
    const room = place.width - 2 * PAD_PX;
    const wide = Math.round((FILM_PX - 4) * Math.min(2.4, Math.max(0.5, width_px / height_px || 16 / 9)));
    const many = Math.max(1, Math.floor(room / wide));
    for (let at = 0; at < many; at += 1) {
      const x = PAD_PX + (at * room) / many;
      const picture = place.pictures[pack.nearest(place.pictures, place.time_of(x + room / many / 2))];
      plane.append(
        svg("image", {
          href: picture.thumb,
          x,
          y: RULER_PX,
          width: room / many - 1,
          height: FILM_PX - 4,
          preserveAspectRatio: "xMidYMid slice",
        }),
      );
    }
  }

  /** Times, lines under them, and a shade on what was not asked about. */
  function ruler(place, plane, height) {
    const step = pack.step_s((place.width - 2 * PAD_PX) / place.long_s);
    let grid = "";
    for (let at = 0; at <= Math.floor(place.long_s / step + 1e-6); at += 1) {
      const x = place.x_of(at * step);
      const text = clock(at * step, step < 1 ? 1 : 0);
      grid += `M${x.toFixed(1)} ${RULER_PX - 6}V${height}`;
      plane.append(
        svg("text", { class: "ruler", x, y: 11, "text-anchor": x > place.width - 24 ? "end" : "middle", text }),
      );
    }
    plane.append(svg("path", { class: "grid", d: grid }));
    if (!place.trace.part) return;
    const [start, end] = place.trace.part;
    for (const [from, to] of [
      [0, start],
      [end, place.long_s],
    ]) {
      if (to <= from) continue;
      const { x, width } = box(place, { start_s: from, end_s: to });
      plane.append(svg("rect", { class: "unasked", x, y: RULER_PX, width, height: height - RULER_PX }));
    }
  }

  /** The chosen and the true moments, down through all lanes. */
  function bands(place, plane, height) {
    for (const lane of place.trace.lanes.filter((one) => one.id === "chosen" || one.id === "truth")) {
      for (const item of lane.items) {
        plane.append(
          svg("rect", { class: `band band-${lane.id}`, ...box(place, item), y: RULER_PX, height: height - RULER_PX }),
        );
      }
    }
  }

  const kinds = { ticks, levels, spans, subtitles: spans };
  viewer.lanes = { draw: (kind) => kinds[kind] || spans, film, ruler, bands, PAD_PX, RULER_PX, FILM_PX };
})();
