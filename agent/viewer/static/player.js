"use strict";
/* A trace goes in; its film comes out, with a clock that also runs where there is no film, and what stands under it. */

(() => {
  const { el, told, icon } = viewer;

  /** The film with a clock that also runs where there is no film. */
  viewer.player = (trace, kept) => {
    const { url, problem, name } = trace.video;
    const listeners = [];
    let still_s = 0;
    const tell = () => listeners.forEach((listener) => listener(player.time()));
    const player = {
      time: () => (player.video ? player.video.currentTime : still_s),
      seek: (time_s) => {
        still_s = Math.max(0, Math.min(time_s, trace.video.duration_s || time_s));
        if (player.video) player.video.currentTime = still_s;
        tell();
      },
      toggle: () => {
        if (player.video) player.video.paused ? player.video.play().catch(() => {}) : player.video.pause();
      },
      listen: (listener) => listeners.push(listener),
      video: null,
    };
    if (!url) {
      player.root = el(
        "div",
        { class: "no-film" },
        el(
          "p",
          {},
          icon("broken"),
          el("b", { text: "The film is not shown. " }),
          told(problem || `${name} is missing`),
        ),
        el("p", { class: "muted", text: "The timeline below works without it." }),
      );
      return player;
    }
    const video =
      kept ||
      el("video", {
        controls: true,
        preload: "auto",
        playsinline: true,
        muted: false,
        src: url,
        "aria-label": `Film ${name}`,
      });
    const broken = el(
      "p",
      { class: "callout is-failed", hidden: true },
      icon("failed"),
      el("span", { text: "This browser cannot play the film; the timeline works without it." }),
    );
    video.addEventListener("error", () => {
      broken.hidden = false;
    });
    let frame = 0;
    const follow = () => {
      // smoother than timeupdate's four times a second
      tell();
      frame = video.paused || video.ended ? 0 : requestAnimationFrame(follow);
    };
    video.addEventListener("play", () => {
      if (!frame) follow();
    });
    for (const event of ["timeupdate", "seeked", "pause"]) video.addEventListener(event, tell);
    player.video = video;
    player.root = el("div", { class: "film" }, video, broken);
    if (trace.video.width_px && trace.video.height_px)
      video.style.setProperty("--ratio", trace.video.width_px / trace.video.height_px);
    return player;
  };

  /** What stands under the film: the moments and the line of speech that the playhead is in. */
  viewer.caption = (trace) => {
    const node = el("p", { class: "caption", "aria-live": "off" });
    const lanes = trace.lanes.filter((lane) => lane.kind !== "ticks");
    let said = null;
    return {
      node,
      show: (time_s) => {
        const inside = lanes.flatMap((lane) =>
          lane.items
            .filter(
              (item) =>
                item.end_s - item.start_s < 0.9 * trace.video.duration_s &&
                item.start_s <= time_s &&
                time_s < item.end_s &&
                !(item.rank > 5),
            )
            .map((item) => [lane, item]),
        );
        const key = inside.map(([lane, item]) => `${lane.id}${item.start_s}`).join();
        if (key === said) return;
        said = key;
        node.replaceChildren(
          ...inside.map(([lane, item]) =>
            el(
              "span",
              { class: "here" },
              el("span", { class: "muted", text: `${lane.title} ` }),
              told(item.rank ? viewer.pack.words(item, true) : item.label),
            ),
          ),
        );
        if (!inside.length) node.append(el("span", { class: "muted", text: "Nothing is marked here." }));
      },
    };
  };
})();
