"use strict";
/* Items of a lane and a scale go in, places come out: a bar's row, where its words stand, where the ruler ticks. */

(() => {
  const CHAR_PX = 6.3; // of the timeline's 11 px digits and letters, on average
  const GAP_PX = 6;
  const MIN_BAR_PX = 3;

  /** Steps of a ruler that people count in; the smallest that leaves `room_px` between two labels. */
  const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  function step_s(px_per_s, room_px = 64) {
    return STEPS_S.find((step) => step * px_per_s >= room_px) || STEPS_S[STEPS_S.length - 1];
  }

  /** What a bar says: its rank, how that changed, its confidence, the verifier's word. */
  function words(item, short = false) {
    const parts = [];
    if (item.rank !== null && item.rank !== undefined) {
      let rank = `#${item.rank}`;
      if (item.was_rank !== null && item.was_rank !== undefined) {
        const up = item.was_rank - item.rank;
        rank += up > 0 ? ` ↑${up}` : up < 0 ? ` ↓${-up}` : "";
      }
      parts.push(rank);
    }
    if (viewer.known(item.p_yes)) parts.push(`Yes ${viewer.share(item.p_yes)}`);
    else if (item.rank !== null && item.rank !== undefined && viewer.known(item.shade))
      parts.push(viewer.share(item.shade));
    if (item.chosen && !short) parts.push("✓ chosen");
    return parts.length ? parts.join("  ") : item.label || "";
  }

  /** Cuts a text to what fits. */
  function cut(text, room_px) {
    const most = Math.floor(room_px / CHAR_PX);
    if (text.length <= most) return text;
    return most >= 4 ? `${text.slice(0, most - 1)}…` : "";
  }

  /**
   * Puts bars into rows, best first, so that neither they nor their words overlap.
   * Returns {placed: [{item, x, width, row, text, text_x, anchor}], left: [item], rows}.
   */
  function rows(items, x_of, width_px, most_rows, most_items, say = words) {
    const ends = []; // for each row the stretches that are taken
    const placed = [];
    const left = [];
    for (const [at, item] of items.entries()) {
      if (at >= most_items) {
        left.push(item);
        continue;
      }
      const x = x_of(item.start_s);
      const width = Math.max(MIN_BAR_PX, x_of(item.end_s) - x);
      let text = say(item);
      const needed = text.length * CHAR_PX + 10;
      let from = x;
      let to = x + width;
      let text_x = x + 6;
      let anchor = "start";
      if (needed > width) {
        if (to + needed < width_px) {
          text_x = to + 5;
          to += needed;
        } else if (x - needed > 0) {
          text_x = x - 5;
          anchor = "end";
          from -= needed;
        } else text = cut(text, width - 10);
      }
      const free = (row) => !(ends[row] || []).some(([a, b]) => from < b + GAP_PX && to > a - GAP_PX);
      let row = 0;
      while (row < most_rows && !free(row)) row += 1;
      if (row === most_rows) {
        left.push(item);
        continue;
      }
      (ends[row] ||= []).push([from, to]);
      placed.push({ item, x, width, from, to, row, text, text_x, anchor, outside: text_x < x || text_x > x + width });
    }
    return { placed, left, rows: ends.length };
  }

  /** The item whose start lies nearest; `items` are in order of time. */
  function nearest(items, time_s) {
    let low = 0;
    let high = items.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (items[middle].start_s < time_s) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && time_s - items[low - 1].start_s < items[low].start_s - time_s) low -= 1;
    return low;
  }

  Object.assign(viewer, { pack: { step_s, words, cut, rows, nearest, CHAR_PX } });
})();
