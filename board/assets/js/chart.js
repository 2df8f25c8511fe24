// A chart of curves over steps or time, by uPlot, with tooltip, zoom, keys and a table of its points.

const charts = new Map();

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const cssVariable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The running mean that TensorBoard draws: exponential, without the pull of its beginning. Gaps are passed over. */
function smoothed(values, weight) {
  let mean = 0;
  let count = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    mean = mean * weight + (1 - weight) * value;
    count += 1;
    return mean / (1 - weight ** count);
  });
}

/** Returns true for ends that no axis can keep apart. */
const isOne = (low, high) => high - low <= Math.max(Math.abs(low), Math.abs(high)) * 1e-9;

/** The x values of a curve. */
function xOf(curve, axis) {
  if (axis === "step") return curve.steps;
  return axis === "wall" ? curve.walls : curve.walls.map((wall) => wall - curve.start);
}

/** One table for all curves: an x of any has a place; where a curve has no point the value is undefined, where it has one
 * that cannot be drawn, null. */
function joined(curves, axis) {
  const columns = curves.map((curve) => {
    const x = xOf(curve, axis);
    const order = [...x.keys()].filter((index) => Number.isFinite(x[index])).sort((a, b) => x[a] - x[b] || a - b);
    return { x: order.map((index) => x[index]), y: order.map((index) => (Number.isFinite(curve.values[index]) ? curve.values[index] : null)), order };
  });
  const all = columns.length === 1 ? columns[0].x : [...new Set(columns.flatMap((column) => column.x))].sort((a, b) => a - b);
  const place = new Map(all.map((x, index) => [x, index]));
  const rows = columns.map(({ x, y }) => {
    if (columns.length === 1) return y;
    const row = new Array(all.length);
    x.forEach((value, index) => {
      row[place.get(value)] = y[index];
    });
    return row;
  });
  return { x: all, rows };
}

class Chart {
  /** `host` is filled; `options` are the axis, logarithmic or not, smoothing, and what to call on zoom. */
  constructor(host, title, options) {
    this.title = title;
    this.options = options;
    this.curves = [];
    this.range = null;
    this.tip = h("div", { class: "tip", role: "presentation", hidden: true });
    this.plotHost = h("div", { class: "plot", tabindex: 0, role: "group", "aria-roledescription": "chart" });
    this.plotHost.addEventListener("keydown", (event) => this.key(event));
    this.plotHost.addEventListener("blur", () => this.hideTip());
    host.append(this.plotHost, this.tip);
    this.host = host;
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(this.plotHost);
    charts.set(title, this);
  }

  destroy() {
    this.resizer.disconnect();
    this.plot?.destroy();
    if (charts.get(this.title) === this) charts.delete(this.title);
  }

  size() {
    const width = Math.max(120, this.plotHost.clientWidth);
    return { width, height: this.host.classList.contains("wide") ? 420 : 230 };
  }

  resize() {
    const size = this.size();
    if (this.plot && (size.width !== this.plot.width || size.height !== this.plot.height)) this.plot.setSize(size);
  }

  /** Shows curves: `{run, steps, walls, values, start, total, sampled}`. */
  show(curves) {
    this.curves = curves;
    const { axis, smoothing } = this.options;
    const { x, rows } = joined(curves, axis);
    const weight = smoothing;
    this.lines = [];
    const data = [x];
    curves.forEach((curve, index) => {
      if (weight > 0) {
        this.lines.push({ curve, faint: true });
        data.push(rows[index]);
      }
      this.lines.push({ curve, faint: false });
      data.push(weight > 0 ? smoothed(rows[index], weight) : rows[index]);
    });
    this.data = data;
    this.rows = rows;
    // Which point of a curve stands at a place of the table, looked up with each move of the pointer.
    this.points = rows.map(() => null);
    const shape = JSON.stringify([curves.map((curve) => curve.run), axis, this.options.log, weight > 0, isDark()]);
    if (this.plot && shape === this.shape) {
      this.plot.batch(() => {
        this.plot.setData(data, false);
        this.fit();
      });
    } else {
      this.shape = shape;
      this.make(data);
    }
    this.describe();
  }

  fit() {
    const x = this.data[0];
    if (!this.plot || x.length === 0) return;
    const pad = x.length === 1 ? Math.max(1, Math.abs(x[0]) * 0.05) : 0;
    const [min, max] = this.range || [x[0] - pad, x[x.length - 1] + pad];
    this.plot.setScale("x", { min, max });
  }

  make(data) {
    this.plot?.destroy();
    const { axis, log } = this.options;
    const grid = { stroke: cssVariable("--grid"), width: 1 };
    const font = `11px ${cssVariable("--font")}`;
    const look = { stroke: cssVariable("--dim"), grid, ticks: { ...grid, size: 4 }, font, labelFont: font };
    const texts = { step: (value) => (Math.abs(value) >= 1e6 ? short(value) : whole(value)), relative: seconds, wall: null };
    const series = this.lines.map(({ curve, faint }) => {
      const color = runs.color(curve.run);
      const single = curve.values.length === 1;
      return { label: curve.run, stroke: faint ? `${color}55` : color, width: faint ? 1 : 1.75, dash: faint ? [] : runs.dash(curve.run), points: { show: single || undefined, size: 5, fill: color }, spanGaps: false };
    });
    const x = { ...look, values: axis === "wall" ? undefined : (_, ticks) => ticks.map(texts[axis]), space: 70, size: 32 };
    // Numbers are as wide as the widest of them needs.
    const y = { ...look, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))), size: (plot, labels, index, cycle) => {
      // The numbers change with the size; once is enough.
      const known = plot.axes[index]._size;
      return cycle > 1 && known ? known : 16 + Math.max(20, ...(labels || []).map((label) => label.length * 6.6));
    } };
    const self = this;
    const options = {
      ...this.size(),
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 7, show: true }, drag: { x: true, y: false, setScale: false }, focus: { prox: -1 } },
      scales: { x: { time: axis === "wall" }, y: { distr: log ? 3 : 1, range: log ? undefined : (_, low, high) => self.yRange(low, high) } },
      axes: [x, y],
      series: [{}, ...series],
      hooks: {
        setCursor: [(plot) => self.moveTip(plot)],
        setSelect: [(plot) => self.select(plot)],
      },
    };
    this.plot = new uPlot(options, data, this.plotHost);
    this.fit();
    this.plot.over.addEventListener("dblclick", () => this.zoom(null));
    this.plot.over.addEventListener("mouseleave", () => this.hideTip());
  }

  yRange(low, high) {
    if (low === null || high === null) return [0, 1];
    // Means of a constant differ in the last digit, which no ticks can tell apart.
    if (isOne(low, high)) {
      const half = low === 0 ? 1 : Math.abs(low) * 0.1;
      return [low - half, high + half];
    }
    const room = (high - low) * 0.06;
    return [low - room, high + room];
  }

  select(plot) {
    const { left, width } = plot.select;
    if (width > 6) this.zoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  zoom(range) {
    if (range && isOne(range[0], range[1])) return;
    this.range = range;
    this.fit();
    this.options.onZoom?.(range);
  }

  /** Returns the points of a tooltip at a place: of each curve the one nearest to it. */
  at(index) {
    const x = this.data[0][index];
    const found = this.curves.map((curve, place) => {
      const row = this.rows[place];
      // The nearest place at which this curve has a point.
      let near = index;
      for (let distance = 0; distance < row.length; distance += 1) {
        if (row[index - distance] !== undefined) near = index - distance;
        else if (row[index + distance] !== undefined) near = index + distance;
        else continue;
        break;
      }
      if (row[near] === undefined) return null;
      this.points[place] ??= new Map(xOf(curve, this.options.axis).map((value, point) => [value, point]));
      const own = this.points[place].get(this.data[0][near]);
      const line = this.options.smoothing > 0 ? 2 * place + 1 : place;
      return { curve, step: curve.steps[own], wall: curve.walls[own], value: curve.values[own], smooth: this.data[line + 1][near] };
    });
    return { x, points: found.filter((point) => point) };
  }

  moveTip(plot) {
    const { idx, left, top } = plot.cursor;
    if (idx === null || idx === undefined || left < 0) return this.hideTip();
    const { points } = this.at(idx);
    if (points.length === 0) return this.hideTip();
    const smoothing = this.options.smoothing > 0;
    const height = top < 0 ? plot.over.clientHeight / 2 : top;
    const pointer = plot.posToVal(height, "y");
    const distance = (point) => Math.abs((smoothing ? point.smooth : point.value) - pointer) || 0;
    const sorted = [...points].sort((a, b) => distance(a) - distance(b)).slice(0, 12);
    const nearest = sorted[0];
    const rows = sorted.sort((a, b) => b.value - a.value).map((point) =>
      h("tr", { class: point === nearest && points.length > 1 ? "nearest" : null },
        h("td", {}, h("span", { class: "swatch", style: { background: runs.color(point.curve.run) } })),
        h("th", { scope: "row" }, cutName(runName({ name: point.curve.run }))),
        smoothing && h("td", {}, Number.isFinite(point.smooth) ? short(point.smooth) : ""),
        h("td", { class: smoothing ? "dim" : null }, short(point.value)),
        h("td", {}, whole(point.step)),
        h("td", { class: "dim" }, seconds(point.wall - point.curve.start))));
    const heads = ["", "run", ...(smoothing ? ["smooth"] : []), "value", "step", "time"];
    put(this.tip, h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)),
      h("div", { class: "dim when" }, moment(nearest.wall), points.length > 12 ? ` · ${points.length - 12} more runs` : ""));
    this.tip.hidden = false;
    const over = plot.over.getBoundingClientRect();
    const box = this.host.getBoundingClientRect();
    const x = over.left - box.left + left;
    const room = document.documentElement.clientWidth - box.left - 8;
    const wide = this.tip.offsetWidth;
    const place = x + 16 + wide > room ? x - 16 - wide : x + 16;
    this.tip.style.left = `${Math.max(8 - box.left, place)}px`;
    this.tip.style.top = `${over.top - box.top + over.height + 14}px`;
  }

  hideTip() {
    this.tip.hidden = true;
  }

  key(event) {
    if (!this.plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const x = this.data[0];
    const [min, max] = [this.plot.scales.x.min, this.plot.scales.x.max];
    const width = max - min;
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
    if (event.shiftKey && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      const by = (event.key === "ArrowRight" ? 0.2 : -0.2) * width;
      this.zoom([min + by, max + by]);
    } else if (event.key in steps || event.key === "Home" || event.key === "End") {
      const inside = x.map((value, index) => index).filter((index) => x[index] >= min && x[index] <= max);
      if (inside.length === 0) return;
      const now = inside.indexOf(this.plot.cursor.idx);
      const to = event.key === "Home" ? 0 : event.key === "End" ? inside.length - 1 : now < 0 ? 0 : now + steps[event.key];
      const index = inside[Math.max(0, Math.min(inside.length - 1, to))];
      this.plot.setCursor({ left: this.plot.valToPos(x[index], "x"), top: this.plot.over.clientHeight / 2 });
      const { points } = this.at(index);
      announce(points.slice(0, 4).map((point) => `${runName({ name: point.curve.run })}: step ${point.step}, ${short(point.value)}`).join("; "));
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const cursor = this.plot.cursor.left >= 0 ? this.plot.posToVal(this.plot.cursor.left, "x") : (min + max) / 2;
      const factor = event.key === "-" ? 2 : 0.5;
      this.zoom([cursor - (cursor - min) * factor, cursor + (max - cursor) * factor]);
    } else if (event.key === "0" || (event.key === "Escape" && this.range)) {
      this.zoom(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Describes the chart for screen readers. */
  describe() {
    const described = this.curves.slice(0, 6).map((curve) => {
      const values = curve.values.filter(Number.isFinite);
      if (values.length === 0) return `${runName({ name: curve.run })}: no finite values`;
      const last = values[values.length - 1];
      return `${runName({ name: curve.run })}: ${curve.total} points, from ${short(values[0])} to ${short(last)} at step ${curve.steps[curve.steps.length - 1]}`;
    });
    const more = this.curves.length > 6 ? `; and ${this.curves.length - 6} more runs` : "";
    this.plotHost.setAttribute("aria-label", `${cutName(this.title)}. ${described.join("; ")}${more}. Arrow keys go from point to point, plus and minus zoom.`);
  }

  /** The points as they came, for a file or a table. */
  table() {
    return this.curves.flatMap((curve) => curve.steps.map((step, index) => [curve.run, step, curve.walls[index], curve.values[index]]));
  }

  csv() {
    // A field that a spreadsheet would take for a formula is text.
    const field = (value) => {
      const text = typeof value === "string" && /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [["run", "step", "wall_time", "value"], ...this.table()].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
  }

  svg() {
    const { width, height } = this.plot;
    const { left, top, width: inner, height: tall } = this.plot.bbox;
    const ratio = devicePixelRatio;
    const box = { left: left / ratio, top: top / ratio, right: (left + inner) / ratio, bottom: (top + tall) / ratio };
    const legend = 18 * this.curves.length;
    const root = s("svg", { xmlns: SVG, width, height: height + legend + 8, viewBox: `0 0 ${width} ${height + legend + 8}`, "font-family": "system-ui, sans-serif", "font-size": 11, fill: "#555" });
    root.append(s("rect", { width: "100%", height: "100%", fill: "#fff" }), s("clipPath", { id: "in" }, s("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })));
    const ticks = (axis, scale) => (this.plot.axes[axis]._splits || []).map((value, index) => [this.plot.valToPos(value, scale), this.plot.axes[axis]._values[index]]).filter(([, text]) => text !== null && text !== "");
    for (const [at, text] of ticks(0, "x")) {
      const x = box.left + at;
      if (x < box.left - 1 || x > box.right + 1) continue;
      root.append(s("line", { x1: x, x2: x, y1: box.top, y2: box.bottom, stroke: "#e3e6ec" }), s("text", { x, y: box.bottom + 16, "text-anchor": "middle" }, text));
    }
    for (const [at, text] of ticks(1, "y")) {
      const y = box.top + at;
      if (y < box.top - 1 || y > box.bottom + 1) continue;
      root.append(s("line", { x1: box.left, x2: box.right, y1: y, y2: y, stroke: "#e3e6ec" }), s("text", { x: box.left - 6, y: y + 4, "text-anchor": "end" }, text));
    }
    this.lines.forEach(({ curve, faint }, line) => {
      let path = "";
      let pen = "M";
      this.data[line + 1].forEach((value, index) => {
        if (value === undefined) return;
        if (value === null) {
          pen = "M";
          return;
        }
        const y = this.plot.valToPos(value, "y");
        if (!Number.isFinite(y)) return;
        path += `${pen}${(box.left + this.plot.valToPos(this.data[0][index], "x")).toFixed(1)} ${(box.top + y).toFixed(1)}`;
        pen = "L";
      });
      root.append(s("path", { d: path, fill: "none", stroke: runs.color(curve.run), "stroke-opacity": faint ? 0.3 : 1, "stroke-width": faint ? 1 : 1.75, "clip-path": "url(#in)" }));
    });
    this.curves.forEach((curve, index) => {
      const y = height + 12 + 18 * index;
      root.append(s("rect", { x: box.left, y: y - 9, width: 10, height: 10, rx: 2, fill: runs.color(curve.run) }), s("text", { x: box.left + 16, y }, runName({ name: curve.run })));
    });
    return new XMLSerializer().serializeToString(root);
  }
}
