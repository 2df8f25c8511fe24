// Parameters of runs with their last numbers: a table, and axes side by side.

const hparams = {
  rows: [],
  sort: { key: "run", down: false },
  metrics: null,

  show(panel) {
    this.panel = panel;
    this.refresh();
  },

  columns() {
    const names = (part) => [...new Set(this.rows.flatMap((row) => Object.keys(row[part])))];
    const metrics = names("metrics");
    // Of many numbers those that look like results.
    this.metrics ??= new Set([...metrics.filter((name) => /loss|acc|error|auc|score|hparam/i.test(name)), ...metrics].slice(0, 4));
    return { parameters: names("hparams"), metrics };
  },

  refresh() {
    const { parameters, metrics } = this.columns();
    const rows = this.rows.filter((row) => runs.isShown(row.run));
    if (rows.length === 0) return put(this.panel, nothing(emptyReason("runs with parameters")));
    const chosen = metrics.filter((name) => this.metrics.has(name));
    const columns = [...parameters.map((name) => ({ name, part: "hparams" })), ...chosen.map((name) => ({ name, part: "metrics" }))];
    const valueOf = (row, key) => {
      if (key === "run") return row.run;
      const column = columns.find((column) => `${column.part} ${column.name}` === key);
      return column ? toNumberIfNumber(row[column.part][column.name]) : undefined;
    };
    const order = (a, b) => {
      const [x, y] = [valueOf(a, this.sort.key), valueOf(b, this.sort.key)];
      const result = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
      return this.sort.down ? -result : result;
    };
    const sorted = [...rows].sort(order);
    const head = (key, text, part) => {
      const on = this.sort.key === key;
      const press = () => {
        this.sort = { key, down: on && !this.sort.down };
        this.refresh();
      };
      return h("th", { scope: "col", class: part, "aria-sort": on ? (this.sort.down ? "descending" : "ascending") : "none" }, h("button", { type: "button", onclick: press }, cutName(text), on ? (this.sort.down ? " ↓" : " ↑") : ""));
    };
    const boxes = metrics.map((name) => toggle(cutName(name), this.metrics.has(name), (on) => {
      if (on) this.metrics.add(name);
      else this.metrics.delete(name);
      this.refresh();
    }));
    const body = sorted.map((row) => h("tr", { "data-run": row.run, onmouseenter: () => this.mark(row.run), onmouseleave: () => this.mark(null) },
      h("th", { scope: "row" }, h("span", { class: "swatch", style: { background: runs.color(row.run) } }), cutName(runName({ name: row.run }))),
      columns.map((column) => h("td", { class: column.part }, shownValue(row[column.part][column.name])))));
    put(this.panel, this.axes(rows, columns),
      h("details", { class: "picker" }, h("summary", {}, "Numbers to compare"), h("div", { class: "boxes" }, boxes)),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Parameters" }, h("table", { class: "data hparams" }, h("thead", {}, h("tr", {}, head("run", "run"), columns.map((column) => head(`${column.part} ${column.name}`, column.name, column.part)))), h("tbody", {}, body))));
  },

  mark(run) {
    this.panel.querySelectorAll("[data-run]").forEach((element) => {
      element.classList.toggle("on", element.dataset.run === run);
      element.classList.toggle("off", run !== null && element.dataset.run !== run);
    });
  },

  axes(rows, columns) {
    const used = columns.slice(0, 10);
    if (used.length < 2) return h("div");
    const [width, height, top, side] = [Math.max(used.length * 130, this.panel.clientWidth - 60), 280, 46, 60];
    const root = s("svg", { class: "parallel", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Parallel coordinates of ${rows.length} runs over ${used.map((column) => cutName(column.name)).join(", ")}; the table below has the same values` });
    const scales = used.map((column, index) => {
      const values = rows.map((row) => toNumberIfNumber(row[column.part][column.name])).filter((value) => value !== undefined);
      const x = side + (index * (width - 2 * side)) / (used.length - 1);
      const numeric = values.length > 0 && values.every((value) => typeof value === "number" && Number.isFinite(value));
      if (numeric) {
        const [low, high] = [Math.min(...values), Math.max(...values)];
        // Learning rates and the like span orders of magnitude.
        const log = low > 0 && high / low > 50;
        const map = (value) => (log ? Math.log(value) : value);
        const share = (value) => (high > low ? (map(value) - map(low)) / (map(high) - map(low)) : 0.5);
        return { x, marks: high > low ? [[low, 0], [high, 1]] : [[low, 0.5]], share, log };
      }
      const names = [...new Set(values.map(String))].sort();
      return { x, marks: names.slice(0, 12).map((name, place) => [name, names.length > 1 ? place / (names.length - 1) : 0.5]), share: (value) => (names.length > 1 ? names.indexOf(String(value)) / (names.length - 1) : 0.5) };
    });
    const y = (share) => height - 20 - share * (height - top - 30);
    for (const row of rows) {
      const points = used.map((column, index) => [scales[index], toNumberIfNumber(row[column.part][column.name])]).filter(([, value]) => value !== undefined && !(typeof value === "number" && !Number.isFinite(value)));
      const path = points.map(([scale, value], index) => {
        const at = y(scale.share(value));
        if (index === 0) return `M${scale.x} ${at}`;
        const middle = (points[index - 1][0].x + scale.x) / 2;
        return `C${middle} ${y(points[index - 1][0].share(points[index - 1][1]))} ${middle} ${at} ${scale.x} ${at}`;
      }).join("");
      root.append(s("path", { d: path, stroke: runs.color(row.run), "data-run": row.run, onmouseenter: () => this.mark(row.run), onmouseleave: () => this.mark(null) }, s("title", {}, row.run)));
    }
    scales.forEach((scale, index) => {
      const column = used[index];
      const name = column.name.length > 18 ? `${column.name.slice(0, 17)}…` : column.name;
      root.append(s("line", { class: "axis", x1: scale.x, x2: scale.x, y1: y(0), y2: y(1) }), s("text", { class: `name ${column.part}`, x: scale.x, y: 18, "text-anchor": "middle" }, name, scale.log ? " (log)" : ""));
      for (const [value, share] of scale.marks) root.append(s("text", { class: "tick", x: scale.x + 5, y: y(share) + (share === 0 ? 14 : share === 1 ? -6 : 4) }, typeof value === "number" ? short(value) : value.slice(0, 14)));
    });
    return h("div", { class: "scroll card" }, root);
  },
};

const toNumberIfNumber = (value) => (value === "NaN" || value === "Infinity" || value === "-Infinity" ? Number(value) : value);
const shownValue = (value) => (value === undefined ? "–" : typeof value === "number" ? short(value) : String(value));
