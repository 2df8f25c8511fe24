// The page as a whole: its views, what is new, the theme and the keys.

const board = { state: null, tags: {}, charts, settings, runs };
window.board = board;

/** The tags of a kind that pass the filter and that a shown run has, by name. */
function tagsOf(kind) {
  const filter = pattern(settings.get("tagFilter"));
  const has = (about) => Object.keys(about.runs).some((run) => runs.isShown(run));
  return Object.entries(board.tags[kind] || {}).filter(([tag, about]) => has(about) && (!filter || filter.test(tag)));
}

function emptyReason(what) {
  if (!board.state?.loaded) return "Reading…";
  if (settings.get("tagFilter") || settings.get("runFilter") || Object.keys(settings.get("hidden")).length) return `No ${what} in what the filters and chosen runs show.`;
  return `There are no ${what} yet.`;
}

function tagFilter(apply) {
  const input = h("input", { type: "search", id: "tag-filter", value: settings.get("tagFilter"), placeholder: "Filter tags (regular expression)", "aria-label": "Filter tags by a regular expression" });
  input.addEventListener("input", debounced(120, () => {
    input.setAttribute("aria-invalid", pattern(input.value) === null);
    settings.set("tagFilter", input.value);
    apply();
  }));
  return h("div", { class: "filter" }, input);
}

const hasTags = (kind) => Object.keys(board.tags[kind] || {}).length > 0;

const views = {
  scalars: { label: "Scalars", view: scalars, there: () => hasTags("scalar") },
  histograms: { label: "Histograms", view: histograms, there: () => hasTags("histogram") },
  images: { label: "Images", view: images, there: () => hasTags("image") },
  audio: { label: "Audio", view: audio, there: () => hasTags("audio") },
  text: { label: "Text", view: texts, there: () => hasTags("text") || hasTags("tensor") },
  hparams: { label: "HParams", view: hparams, there: () => hparams.rows.length > 0 },
  graph: { label: "Graph", view: graph, there: () => runs.all.some((run) => run.graph) },
  checkpoints: { label: "Checkpoints", view: checkpoints, there: () => runs.all.some((run) => run.checkpoints) },
  story: { label: "Story", view: story, there: () => runs.all.some((run) => run.story > 0) },
};

const view = {
  name: "",

  current() {
    return views[this.name]?.view;
  },

  /** Shows a view; without a name the one in the address, else the last one, else the first that has something. */
  open(name) {
    const there = Object.keys(views).filter((key) => views[key].there());
    const wanted = [name, location.hash.slice(1), settings.get("tab")].find((key) => there.includes(key));
    const next = wanted || there[0] || "";
    if (name && wanted === name) settings.set("tab", name);
    if (next === this.name) return;
    this.name = next;
    if (name) history.replaceState(null, "", `#${next}`);
    this.paintTabs();
    const panel = byId("panel");
    panel.setAttribute("aria-label", views[next]?.label || "Nothing");
    const controls = this.current()?.controls?.();
    put(byId("side"), sideToggle(), h("div", { class: "side-body" }, controls, runControls()));
    paintRuns();
    // A place of its own: an answer that arrives after the reader has moved on is painted into a detached element.
    const place = h("div");
    if (this.current()) {
      put(panel, place);
      this.current().show(place);
    } else put(panel, nothing(board.state?.loaded ? "There is nothing to show yet: no event files and no checkpoints were found." : "Reading…"));
  },

  paintTabs() {
    const focused = document.activeElement?.role === "tab";
    const there = Object.keys(views).filter((key) => views[key].there());
    put(byId("tabs"), ...there.map((key) => h("button", {
      type: "button", role: "tab", id: `tab-${key}`, "aria-selected": String(key === this.name), "aria-controls": "panel", tabindex: key === this.name ? 0 : -1,
      onclick: () => this.open(key),
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        this.open(there[(there.indexOf(key) + step + there.length) % there.length]);
        byId(`tab-${this.name}`).focus();
      },
    }, views[key].label)));
    const tab = byId(`tab-${this.name}`);
    if (focused) tab?.focus();
    tab?.scrollIntoView({ inline: "nearest", block: "nearest" });
  },

  /** Paints again, as other runs are shown, or since there is more (`grown`). */
  refresh(grown = false) {
    this.current()?.refresh?.(grown);
  },
};

function sideToggle() {
  const button = h("button", { type: "button", class: "side-toggle", "aria-expanded": "false", onclick: () => {
    const open = byId("side").classList.toggle("open");
    button.setAttribute("aria-expanded", open);
  } }, "Runs and settings");
  return button;
}

// ---- what is new ----------------------------------------------------------------------------------

let version = -1;
/** When the board was painted last. */
let painted = 0;

async function look() {
  const state = await ask("/api/state");
  const grown = state.version !== version;
  paintLive(state);
  if (!grown && board.state?.loaded === state.loaded) return;
  // Reading changes the board with every chunk: what is there meanwhile is painted now and then.
  if (board.state && !state.loaded && performance.now() - painted < 1000) return;
  painted = performance.now();
  version = state.version;
  const [tags, parameters] = await Promise.all([ask("/api/tags"), ask("/api/hparams")]);
  board.state = state;
  board.tags = tags;
  hparams.rows = parameters.rows;
  const before = JSON.stringify(runs.all);
  runs.all = state.runs;
  document.title = `${state.title.split("/").pop() || "monitored"} · board`;
  if (!view.current()) {
    view.name = null;
    view.open();
  } else {
    if (JSON.stringify(runs.all) !== before) paintRuns();
    view.paintTabs();
    view.refresh(true);
  }
}

function paintLive(state) {
  const live = byId("live");
  const text = state.embedded ? "saved page" : state.loaded ? "live" : "reading…";
  const title = state.embedded && state.left_out ? "This page was saved with its data; what did not fit is left out." : state.title;
  if (live.textContent !== text) live.textContent = text;
  live.title = title;
  live.classList.toggle("on", !state.embedded && state.loaded);
  const notes = state.notes.join("\n");
  if (notes) live.title = `${title}\n${notes}`;
}

async function keepLooking() {
  try {
    await look();
  } catch (error) {
    const live = byId("live");
    live.textContent = "not connected";
    live.title = error.message;
    live.classList.remove("on");
  }
  if (embedded) return;
  // While the files are being read, so that the first picture does not wait for the next look.
  const reading = board.state === null || !board.state.loaded;
  setTimeout(keepLooking, document.hidden ? 5000 : reading ? 100 : 1000);
}

// ---- theme and keys -------------------------------------------------------------------------------

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  settings.set("theme", theme);
  byId("theme").textContent = isDark() ? "☀" : "☾";
}

function repaint() {
  byId("theme").textContent = isDark() ? "☀" : "☾";
  paintRuns();
  view.refresh();
}

const KEYS = [
  ["1 – 9", "go to a view"],
  ["/", "filter tags"],
  ["r", "filter runs"],
  ["t", "light or dark"],
  ["← →", "in a chart: from point to point; with Shift: pan"],
  ["+ − 0", "in a chart: zoom in, out, reset"],
  ["drag", "in a chart: zoom; double click resets"],
  ["?", "these keys"],
];

function showKeys() {
  const dialog = byId("keys");
  put(dialog, h("h2", { id: "keys-title" }, "Keys"),
    h("dl", {}, KEYS.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    h("form", { method: "dialog" }, h("button", { class: "quiet" }, "Close")));
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input[type=search], input[type=text], select, textarea");
  if (event.key === "Escape" && typing) return typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const there = [...byId("tabs").children];
  if (/^[1-9]$/.test(event.key) && there[event.key - 1]) there[event.key - 1].click();
  else if (event.key === "/" && byId("tag-filter")) byId("tag-filter").focus();
  else if (event.key === "r" && byId("run-filter")) {
    byId("side").classList.add("open");
    byId("run-filter").focus();
  } else if (event.key === "t") byId("theme").click();
  else if (event.key === "?") showKeys();
  else return;
  event.preventDefault();
});

byId("theme").addEventListener("click", () => {
  setTheme(isDark() ? "light" : "dark");
  repaint();
});
byId("help").addEventListener("click", showKeys);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
window.addEventListener("hashchange", () => view.open(location.hash.slice(1)));

setTheme(settings.get("theme"));
keepLooking();
