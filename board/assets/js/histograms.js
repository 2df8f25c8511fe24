// Distributions over steps: ridges, one behind the other, or a map of heat.

/** Cards of tags and runs that are filled when they come into view; for all views but that of numbers. */
class CardView {
  constructor(what, kinds, makeCard) {
    Object.assign(this, { what, kinds, makeCard });
  }

  show(panel) {
    this.cards = h("div", { class: "cards" });
    put(panel, tagFilter(() => this.refresh()), this.cards);
    this.list = null;
    this.refresh();
  }

  refresh(grown) {
    const found = this.kinds.flatMap((kind) => tagsOf(kind).flatMap(([tag, about]) => Object.keys(about.runs).filter((run) => runs.isShown(run)).map((run) => ({ kind, tag, about, run, name: `${kind}\n${tag}\n${run}` }))));
    const list = JSON.stringify(found.map((card) => [card.name, runs.color(card.run)]));
    if (list !== this.list) {
      this.list = list;
      this.shown = found.map((card) => {
        const body = h("div", { class: "card-body" }, h("p", { class: "dim" }, "Reading…"));
        const element = h("article", { class: "card", "aria-label": `${cutName(card.tag)}, ${card.run}`, "data-tag": card.tag, "data-run": card.run },
          h("header", {}, h("h3", { title: card.about.description ? `${card.tag}\n${card.about.description}` : card.tag }, cutName(card.about.name || card.tag)),
            h("span", { class: "of-run" }, h("span", { class: "swatch", style: { background: runs.color(card.run) } }), cutName(runName({ name: card.run })))), body);
        const filled = this.makeCard(card, body);
        const update = async () => {
          const values = (board.tags[card.kind]?.[card.tag]?.runs[card.run] || [0])[0];
          if (!element.isInView || filled.values === values) return;
          filled.values = values;
          try {
            await filled.update();
          } catch (error) {
            put(body, h("p", { class: "error" }, error.message));
          }
        };
        whenVisible(element, update);
        return { element, update, filled };
      });
      put(this.cards, ...(this.shown.length ? this.shown.map((card) => card.element) : [nothing(emptyReason(this.what))]));
    } else if (grown) {
      this.shown.forEach((card) => card.update());
    }
    // Colors follow the theme.
    for (const card of this.shown || []) card.filled.repaint?.();
  }
}

class HistogramCard {
  constructor(card, body) {
    Object.assign(this, { card, body });
  }

  async update() {
    const { run, tag } = this.card;
    this.answer = await ask("/api/histograms", { run, tag });
    this.repaint();
  }

  repaint() {
    if (!this.answer) return;
    const { histograms: rows, from, to, total } = this.answer;
    if (rows.length === 0) return put(this.body, nothing("Nothing that can be drawn."));
    const caption = h("p", { class: "note dim" }, total > rows.length ? `${rows.length} of ${whole(total)} histograms` : `${total} histogram${total === 1 ? "" : "s"}`);
    this.caption = h("p", { class: "reading", role: "status" });
    put(this.body, this.draw(rows, from, to), this.caption, caption);
    this.tell(rows.length - 1);
  }

  tell(index) {
    const row = this.answer.histograms[index];
    const mean = row.mean === null ? "" : ` · mean ${short(toNumber(row.mean))}`;
    this.caption.textContent = `step ${whole(row.step)} · ${whole(toNumber(row.count))} values · ${short(toNumber(row.min))} to ${short(toNumber(row.max))}${mean}`;
    this.body.querySelectorAll("[data-row]").forEach((element) => element.classList.toggle("on", element.dataset.row === String(index)));
  }

  draw(rows, from, to) {
    const [width, left, right, top, bottom] = [420, 8, 46, 12, 26];
    const heat = settings.get("ridges") === "heat";
    const height = 250;
    const inner = width - left - right;
    const color = runs.color(this.card.run);
    const x = (value) => (to > from ? left + ((value - from) / (to - from)) * inner : left + inner / 2);
    const root = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "histogram", tabindex: 0, role: "img", "aria-label": `Distributions of ${cutName(this.card.tag)} over ${rows.length} steps, values from ${short(from)} to ${short(to)}. Up and down go from step to step.` });
    // The highest ridge is as high as there is room; one that towers above all others, as of equal values, is cut.
    const peaks = rows.map((row) => Math.max(...row.counts)).sort((a, b) => a - b);
    const usual = peaks[Math.floor(peaks.length / 2)] * 4;
    const most = Math.max(...peaks.filter((peak) => peak <= usual), 1e-9);
    const space = height - top - bottom;
    const rise = heat ? 0 : space * 0.24;
    const step = (space - rise) / rows.length;
    rows.forEach((row, index) => {
      const base = top + rise + step * (index + 1);
      const group = s("g", { "data-row": index, onmouseenter: () => this.tell(index) });
      if (heat) {
        const bin = inner / row.counts.length;
        const peak = Math.max(...row.counts, 1e-9);
        row.counts.forEach((count, place) => {
          if (count > 0) group.append(s("rect", { x: left + place * bin, y: base - step, width: bin + 0.3, height: step + 0.3, fill: color, "fill-opacity": (0.06 + 0.94 * Math.sqrt(count / peak)).toFixed(3) }));
        });
        group.append(s("rect", { class: "row", x: left, y: base - step, width: inner, height: step }));
      } else {
        const bin = inner / row.counts.length;
        const points = row.counts.map((count, place) => `L${(left + (place + 0.5) * bin).toFixed(1)} ${(base - Math.min(1, count / most) * rise).toFixed(1)}`).join("");
        const age = rows.length > 1 ? index / (rows.length - 1) : 1;
        group.append(s("path", { class: "ridge", d: `M${left} ${base.toFixed(1)}${points}L${left + inner} ${base.toFixed(1)}Z`, fill: color, "fill-opacity": (0.12 + 0.5 * age).toFixed(2), stroke: color, "stroke-opacity": (0.45 + 0.55 * age).toFixed(2) }));
      }
      root.append(group);
      const every = Math.ceil(rows.length / 6);
      if (index === rows.length - 1 || (index % every === 0 && index < rows.length - every / 2)) root.append(s("text", { class: "tick", x: width - right + 6, y: base + (heat ? -step / 2 + 4 : 3) }, compact(row.step)));
    });
    const marks = 4;
    for (let mark = 0; mark <= marks; mark += 1) {
      const value = from + ((to - from) * mark) / marks;
      if (to === from && mark !== 2) continue;
      root.append(s("text", { class: "tick", x: x(value), y: height - 8, "text-anchor": mark === 0 ? "start" : mark === marks ? "end" : "middle" }, short(+value.toPrecision(3))));
    }
    let at = rows.length - 1;
    root.addEventListener("keydown", (event) => {
      const move = { ArrowUp: -1, ArrowDown: 1, Home: -rows.length, End: rows.length }[event.key];
      if (!move) return;
      event.preventDefault();
      at = Math.max(0, Math.min(rows.length - 1, at + move));
      this.tell(at);
    });
    return root;
  }
}

/** A step in a few characters. */
function compact(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${+(value / 1e9).toPrecision(3)}G`;
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(value);
}

const histograms = new CardView("histograms", ["histogram"], (card, body) => new HistogramCard(card, body));
histograms.controls = () =>
  h("section", {}, h("h2", {}, "Histograms"),
    h("div", { class: "field" }, h("span", {}, "Shown as"), choice("Shown as", [["ridges", "Ridges"], ["heat", "Heat map"]], settings.get("ridges"), (shape) => {
      settings.set("ridges", shape);
      histograms.refresh();
    })));
