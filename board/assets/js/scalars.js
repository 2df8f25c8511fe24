// The view of numbers: a card for each tag, in groups by the first part of their names.

/** The most points of a curve in its first drawing. */
const COARSE_POINTS = 500;

const scalars = {
  cards: new Map(),

  get options() {
    return { axis: settings.get("axis"), log: settings.get("log"), smoothing: settings.get("smoothing") };
  },

  controls() {
    const slider = h("input", { type: "range", id: "smoothing", min: 0, max: 0.99, step: 0.01, value: settings.get("smoothing") });
    const output = h("output", { for: "smoothing" }, Number(settings.get("smoothing")).toFixed(2));
    const apply = debounced(60, () => this.redraw());
    slider.addEventListener("input", () => {
      settings.set("smoothing", Number(slider.value));
      output.textContent = Number(slider.value).toFixed(2);
      apply();
    });
    return h("section", {},
      h("h2", {}, "Curves"),
      h("label", { class: "field" }, h("span", {}, "Smoothing ", output), slider),
      h("div", { class: "field" }, h("span", {}, "Horizontal axis"), choice("Horizontal axis", [["step", "Step"], ["relative", "Relative"], ["wall", "Wall time"]], settings.get("axis"), (axis) => {
        settings.set("axis", axis);
        for (const card of this.cards.values()) card.resetZoom();
        this.redraw();
      })),
      toggle("Logarithmic values", settings.get("log"), (log) => {
        settings.set("log", log);
        this.redraw();
      }));
  },

  /** Draws what is there in another way. */
  redraw() {
    for (const card of this.cards.values()) card.draw();
  },

  show(panel) {
    this.cards.forEach((card) => card.destroy());
    this.cards.clear();
    this.list = null;
    this.groups = h("div", { class: "groups" });
    put(panel, tagFilter(() => this.arrange()), this.groups);
    this.arrange();
  },

  arrange() {
    const found = tagsOf("scalar");
    // Cards that are moved lose the focus, so it is only done when there is a reason.
    const list = JSON.stringify(found.map(([tag]) => tag));
    if (list === this.list && found.length > 0) return;
    this.list = list;
    const groups = new Map();
    for (const [tag, about] of found) {
      const group = tag.includes("/") ? tag.slice(0, tag.indexOf("/")) : "";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push([tag, about]);
    }
    const kept = new Set(found.map(([tag]) => tag));
    for (const [tag, card] of this.cards) {
      if (!kept.has(tag)) {
        card.destroy();
        this.cards.delete(tag);
      }
    }
    const sections = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([group, tags]) => {
      const key = `group:${group}`;
      const cards = h("div", { class: "cards" });
      for (const [tag, about] of tags) {
        if (!this.cards.has(tag)) this.cards.set(tag, new ScalarCard(tag, about));
        cards.append(this.cards.get(tag).element);
      }
      const section = h("details", { class: "group", open: !this.closed?.has(key) }, h("summary", {}, h("h2", {}, group === "" ? "Top level" : cutName(group)), h("span", { class: "dim" }, tags.length)), cards);
      section.addEventListener("toggle", () => {
        this.closed ??= new Set();
        if (section.open) this.closed.delete(key);
        else this.closed.add(key);
      });
      return section;
    });
    if (sections.length === 0) sections.push(nothing(emptyReason("numbers")));
    put(this.groups, ...sections);
  },

  /** Other runs are shown, or there is more to show. */
  refresh(grown) {
    this.arrange();
    for (const card of this.cards.values()) card.update(grown);
  },
};

class ScalarCard {
  constructor(tag, about) {
    this.tag = tag;
    this.answer = null;
    const button = (label, text, press) => h("button", { type: "button", class: "icon", title: label, "aria-label": `${label}: ${cutName(tag)}`, onclick: press }, text);
    this.resetButton = h("button", { type: "button", class: "quiet reset", hidden: true, onclick: () => this.chart.zoom(null) }, "Reset zoom");
    this.note = h("p", { class: "note dim" });
    this.tableHost = h("div", { class: "table-host", hidden: true });
    this.chartHost = h("div", { class: "chart-host" });
    const name = tag.includes("/") ? tag.slice(tag.indexOf("/") + 1) || tag : tag;
    const title = about.name && about.name !== tag ? about.name : name;
    this.element = h("article", { class: "card", "aria-label": cutName(tag), "data-tag": tag },
      h("header", {},
        h("h3", { title: about.description ? `${tag}\n${about.description}` : tag }, cutName(title)),
        h("div", { class: "row" }, this.resetButton,
          button("Table of points", "table", () => this.showTable()),
          button("Download as CSV", "csv", () => save(`${tag}.csv`, "text/csv", this.chart.csv())),
          button("Download as SVG", "svg", () => save(`${tag}.svg`, "image/svg+xml", this.chart.svg())),
          button("Larger or smaller", "⤢", () => this.enlarge()))),
      this.chartHost, this.note, this.tableHost);
    this.chart = new Chart(this.chartHost, tag, { ...scalars.options, onZoom: (range) => this.zoomed(range) });
    this.fetchRange = debounced(150, () => this.update(true));
    whenVisible(this.element, () => this.update(false));
  }

  destroy() {
    this.chart.destroy();
    this.element.remove();
  }

  enlarge() {
    this.element.classList.toggle("wide");
    this.chartHost.classList.toggle("wide");
    this.chart.resize();
    this.update(true);
  }

  resetZoom() {
    this.chart.range = null;
    this.zoomed(null);
  }

  zoomed(range) {
    this.resetButton.hidden = range === null;
    // The server has more points of the range than it sent for the whole.
    if (!embedded && this.answer && Object.values(this.answer).some((curve) => curve.sampled)) this.fetchRange();
  }

  /** Fetches the points if the card is in view and they are not the newest. */
  async update(again) {
    if (again) this.stale = true;
    if (!this.element.isInView) return;
    if (this.answer && !this.stale) return this.draw();
    this.stale = false;
    const turn = (this.turn = (this.turn || 0) + 1);
    try {
      // Fewer points while files are being read and once after that, so that all curves are drawn sooner.
      const loaded = embedded || board.state?.loaded;
      if (!this.isDrawn) {
        if (!(await this.fetchAndDraw(COARSE_POINTS, turn)) || !loaded) return;
        this.isDrawn = true;
        if (embedded || !Object.values(this.answer).some((curve) => curve.sampled)) return;
        await nextFrame();
        if (turn !== this.turn) return;
      }
      await this.fetchAndDraw(this.element.classList.contains("wide") ? 3000 : 1000, turn);
    } catch (error) {
      this.note.textContent = error.message;
    }
  }

  /** Draws at most this many points of each curve, of the range that is shown, unless a later turn began. */
  async fetchAndDraw(points, turn) {
    const range = this.chart.range;
    const axis = settings.get("axis");
    const parameters = { tag: this.tag, points };
    if (range && axis !== "relative") Object.assign(parameters, { axis, from: range[0], to: range[1] });
    const answer = await ask("/api/scalars", parameters);
    if (turn !== this.turn) return false;
    this.answer = answer;
    this.draw();
    return true;
  }

  draw() {
    if (!this.answer || !this.element.isInView) {
      // It is drawn when it comes into view.
      return;
    }
    const shown = Object.entries(this.answer).filter(([run]) => runs.isShown(run));
    const curves = shown.map(([run, curve]) => ({
      run, steps: curve.steps, walls: curve.walls.map(toNumber), values: curve.values.map(toNumber),
      total: curve.total, sampled: curve.sampled, start: runs.find(run)?.first_wall ?? toNumber(curve.walls[0]),
    }));
    Object.assign(this.chart.options, scalars.options);
    this.chart.show(curves);
    this.explain(curves);
    if (!this.tableHost.hidden) this.fillTable();
  }

  explain(curves) {
    const notes = [];
    const drawn = curves.reduce((sum, curve) => sum + curve.steps.length, 0);
    const total = curves.reduce((sum, curve) => sum + curve.total, 0);
    if (curves.some((curve) => curve.sampled) && drawn < total) notes.push(`${whole(drawn)} of ${whole(total)} points: the extremes of neighbors`);
    const odd = curves.reduce((sum, curve) => sum + curve.values.filter((value) => !Number.isFinite(value)).length, 0);
    if (odd > 0) notes.push(`${whole(odd)} NaN or infinite`);
    if (settings.get("log") && curves.some((curve) => curve.values.some((value) => value <= 0))) notes.push("values up to 0 have no place on a logarithmic axis");
    if (curves.length === 0) notes.push("no shown run has this tag");
    this.note.textContent = notes.join(" · ");
  }

  showTable() {
    this.tableHost.hidden = !this.tableHost.hidden;
    if (!this.tableHost.hidden) this.fillTable();
  }

  fillTable() {
    const rows = this.chart.table();
    const most = 500;
    const listed = rows.slice(-most).map(([run, step, wall, value]) => h("tr", {}, h("th", { scope: "row" }, cutName(runName({ name: run }))), h("td", {}, step), h("td", {}, moment(wall)), h("td", {}, String(value))));
    put(this.tableHost, h("table", { class: "data" }, h("caption", {}, rows.length > most ? `The last ${most} of ${rows.length} points` : `${rows.length} points`),
        h("thead", {}, h("tr", {}, ["run", "step", "time", "value"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, listed)));
  }
}
