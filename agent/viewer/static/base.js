"use strict";
/* Values of a trace go in, elements and texts come out: what every part of the page is made with.
   Whatever a file says is set as text, never as markup. */

const viewer = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /** Fills an element: `on` holds listeners, `style` is set by name, `text` as text, the rest as attributes. */
  function filled(node, values, children) {
    for (const [name, value] of Object.entries(values || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
      else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
      else if (name === "text") node.textContent = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined && child !== false) node.append(child);
    }
    return node;
  }

  const el = (tag, values, ...children) => filled(document.createElement(tag), values, children);
  const svg = (tag, values, ...children) => filled(document.createElementNS(SVG, tag), values, children);

  /** Text that a file, a user or a model wrote: kept apart from the text around it whatever its direction. */
  const told = (text, values) => el("bdi", { dir: "auto", text: text ?? "", ...values });

  const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

  /** Seconds of a film as m:ss.t, with hours in front where there are any. */
  function clock(seconds, digits = 1) {
    if (!known(seconds)) return "–";
    const scale = 10 ** digits;
    const whole = Math.round(Math.max(0, seconds) * scale) / scale;
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor((whole % 3600) / 60);
    const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  }
  const range = (start, end) => `${clock(start)}–${clock(end)}`;

  /** How long something took. */
  function seconds(value) {
    if (!known(value)) return "–";
    if (value < 10) return `${value.toFixed(2)} s`;
    if (value < 100) return `${value.toFixed(1)} s`;
    if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
    return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
  }

  /** A share between 0 and 1; what rounds to an end without being there is said so. */
  function share(value) {
    if (!known(value)) return "–";
    if (value > 0 && value < 0.005) return "<0.01";
    if (value < 1 && value >= 0.995) return ">0.99";
    return value.toFixed(2);
  }
  const count = (value) => (known(value) ? Math.round(value).toLocaleString("en") : "–");
  function bytes(value) {
    if (!known(value)) return "–";
    const unit = value >= 1e9 ? [1e9, "GB"] : value >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
    return `${(value / unit[0]).toFixed(value / unit[0] < 10 ? 1 : 0)} ${unit[1]}`;
  }
  function when(unix_s) {
    if (!unix_s) return "–";
    const date = new Date(unix_s * 1000);
    const today = new Date().toDateString() === date.toDateString();
    const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
    return today ? time : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
  }

  /* A shape for each state, so that none is told by its colour alone. */
  const SHAPES = {
    ok: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z", "M5 8.2l2.2 2.2L11.2 6"],
    fallback: ["M8 1.6L15 14H1z", "M8 6v4M8 11.6v.6"],
    failed: ["M2 2h12v12H2z", "M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6"],
    skipped: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z", "M5 8h6"],
    running: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z", "M8 4.5V8l2.5 1.5"],
    waiting: ["M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z", "M4.8 8h.1M8 8h.1M11.2 8h.1"],
    broken: ["M3 1.5h7l3 3v10H3z", "M5 8l2 1.5L9 7.5l2 2"],
    right: ["", "M2.8 8.6l3.4 3.6L13.2 4.4"],
    wrong: ["", "M3.6 3.6l8.8 8.8M12.4 3.6l-8.8 8.8"],
  };
  function icon(name, title) {
    const [outline, sign] = SHAPES[name] || SHAPES.broken;
    return svg(
      "svg",
      { class: `icon is-${name}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": title ? null : "true" },
      title && svg("title", { text: title }),
      outline && svg("path", { d: outline, class: "outline" }),
      svg("path", { d: sign, class: "sign" }),
    );
  }
  const WORDS = {
    ok: "ok",
    fallback: "fell back",
    failed: "failed",
    skipped: "skipped",
    running: "running",
    waiting: "waiting",
    broken: "unreadable",
  };
  const status = (name) => el("span", { class: `status is-${name}` }, icon(name), " ", WORDS[name] || name);

  /** "right answer", "wrong moment" and the like, with its sign; nothing where it is not known. */
  const verdict = (right, what) =>
    right === null || right === undefined
      ? null
      : el(
          "span",
          { class: `verdict is-${right ? "right" : "wrong"}` },
          icon(right ? "right" : "wrong"),
          ` ${right ? "right" : "wrong"} ${what}`,
        );

  const ROLES = ["planner", "grounder", "verifier", "answerer"];
  const hue = (role) => (ROLES.includes(role) ? `hue-${role}` : "hue-other");

  /** Tells those who listen to the page what changed. */
  const say = (text) => {
    document.getElementById("said").textContent = text;
  };

  Object.assign(viewer, {
    el,
    svg,
    told,
    known,
    clock,
    range,
    seconds,
    share,
    count,
    bytes,
    when,
    icon,
    status,
    verdict,
    hue,
    say,
    ROLES,
    WORDS,
  });
})();
