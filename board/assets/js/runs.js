// The runs: their colors, which are shown, and the list of them.

const runs = {
  all: [],
  /** Hue by hue as far from the last ones as possible; each on light and on dark ground. */
  light: ["#2f6fde", "#d9701c", "#16916a", "#c93f86", "#7a57d1", "#a3820c", "#1693ab", "#c04343", "#5a8f2c", "#8a5a44", "#5f6f94", "#b14fc0"],
  dark: ["#6c9cf5", "#f29a4f", "#45c79c", "#ee7db5", "#a78bf0", "#d8b53a", "#4fc3d9", "#ee7f7f", "#94c55f", "#c39680", "#9fadcd", "#d78be3"],

  color(name) {
    const index = Math.max(0, this.all.findIndex((run) => run.name === name));
    return (isDark() ? this.dark : this.light)[index % this.light.length];
  },

  /** Runs that share a color differ by their dashes. */
  dash(name) {
    const index = Math.max(0, this.all.findIndex((run) => run.name === name));
    return [[], [8, 4], [2, 3], [10, 3, 2, 3]][Math.floor(index / this.light.length) % 4];
  },

  isShown(name) {
    const filter = pattern(settings.get("runFilter"));
    return !settings.get("hidden")[name] && (!filter || filter.test(name));
  },

  shown(test = () => true) {
    return this.all.filter((run) => this.isShown(run.name) && test(run));
  },

  find(name) {
    return this.all.find((run) => run.name === name);
  },

  setShown(names, show) {
    const hidden = { ...settings.get("hidden") };
    for (const name of names) {
      if (show) delete hidden[name];
      else hidden[name] = true;
    }
    settings.set("hidden", hidden);
    changedRuns();
  },
};

/** What there is to do when other runs are shown. */
function changedRuns() {
  paintRuns();
  view.refresh();
}

const runName = (run) => (run.name === "." ? "(this folder)" : run.name);

/** The list in the side bar, made once and painted again at each change. */
const runList = h("ul", { class: "runs", id: "runs" });
const runCount = h("span", { class: "dim" });

function paintRuns() {
  const filter = pattern(settings.get("runFilter"));
  const listed = runs.all.filter((run) => !filter || filter.test(run.name));
  const focused = document.activeElement?.dataset?.run;
  put(runList, ...listed.map((run) => {
      const shown = !settings.get("hidden")[run.name];
      const box = h("input", { type: "checkbox", checked: shown, "data-run": run.name, onchange: () => runs.setShown([run.name], box.checked) });
      const only = h("button", { type: "button", class: "only", title: "Show this run only", onclick: () => {
        settings.set("hidden", Object.fromEntries(runs.all.filter((other) => other !== run).map((other) => [other.name, true])));
        changedRuns();
      } }, "only");
      const swatch = h("span", { class: "swatch", style: { background: shown ? runs.color(run.name) : "transparent", borderColor: runs.color(run.name) } });
      const label = h("label", { title: run.name }, box, swatch, h("span", { class: "name" }, cutName(runName(run))));
      const notes = run.notes.length > 0 && h("details", { class: "notes" }, h("summary", {}, run.notes.length === 1 ? "1 note" : `${run.notes.length} notes`), h("ul", {}, run.notes.map((note) => h("li", {}, note))));
      return h("li", {}, h("div", { class: "run" }, label, runs.all.length > 1 && only), notes);
    }),
  );
  runCount.textContent = runs.all.length > 1 ? `${runs.shown().length} of ${runs.all.length}` : "";
  if (focused !== undefined) [...runList.querySelectorAll("input")].find((box) => box.dataset.run === focused)?.focus();
}

function runControls() {
  const input = h("input", { type: "search", id: "run-filter", value: settings.get("runFilter"), placeholder: "Filter (regular expression)", "aria-label": "Filter runs by a regular expression" });
  input.addEventListener("input", debounced(120, () => {
    input.setAttribute("aria-invalid", pattern(input.value) === null);
    settings.set("runFilter", input.value);
    changedRuns();
  }));
  const listed = () => runs.all.filter((run) => pattern(settings.get("runFilter"))?.test(run.name) ?? true).map((run) => run.name);
  return h("section", {},
    h("h2", {}, "Runs ", runCount),
    input,
    h("div", { class: "row" },
      h("button", { type: "button", class: "quiet", onclick: () => runs.setShown(listed(), true) }, "All"),
      h("button", { type: "button", class: "quiet", onclick: () => runs.setShown(listed(), false) }, "None")),
    runList);
}

/** A menu of the runs that have something to show, for views that show one run at a time. */
function runPicker(candidates, current, choose) {
  if (candidates.length === 1) return h("strong", { class: "one-run" }, cutName(runName(candidates[0])));
  const options = candidates.map((run) => h("option", { value: run.name, selected: run.name === current }, cutName(runName(run))));
  const select = h("select", { "aria-label": "Run", onchange: () => choose(select.value) }, options);
  return select;
}
