// Pictures, sounds and texts, with a slider over the steps.

class SampleCard {
  constructor(card, body) {
    Object.assign(this, { card, body });
  }

  async update() {
    const { run, tag, kind } = this.card;
    const before = this.samples?.length;
    const follows = !this.slider || Number(this.slider.value) === before - 1;
    const answer = await ask("/api/samples", { run, tag, kind });
    this.samples = answer.samples;
    this.total = answer.total;
    const last = this.samples.length - 1;
    const at = follows ? last : Math.min(Number(this.slider.value), last);
    this.place = h("div", { class: `samples ${kind}` });
    this.caption = h("p", { class: "note dim" });
    this.slider = h("input", { type: "range", min: 0, max: Math.max(0, last), value: at, "aria-label": `Step of ${cutName(tag)}`, hidden: last < 1, oninput: () => this.show(Number(this.slider.value)) });
    put(this.body, this.place, this.slider, this.caption);
    if (last < 0) this.place.append(nothing("Nothing that can be shown."));
    else this.show(at);
  }

  show(index) {
    const { run, tag, kind } = this.card;
    const sample = this.samples[index];
    const parts = [`step ${whole(sample.step)}`, moment(sample.wall)];
    if (this.total > this.samples.length) parts.push(`${this.samples.length} of ${whole(this.total)} samples`);
    this.caption.textContent = parts.join(" · ");
    this.slider.setAttribute("aria-valuetext", `step ${sample.step}`);
    if (sample.error) return put(this.place, h("p", { class: "error" }, sample.error));
    const items = (sample.items || []).map((item, place) => {
      const url = mediaUrl(`/api/${kind}`, { run, tag, at: sample.at, index: place });
      if (!url) return h("p", { class: "dim" }, "left out of the saved page");
      return kind === "image" ? this.picture(url, item, sample.step) : this.sound(url, item);
    });
    put(this.place, ...(items.length ? items : [nothing("Nothing that can be shown.")]));
  }

  picture(url, item, step) {
    // Small pictures are seen pixel by pixel.
    const small = item.width > 0 && item.width <= 128;
    const image = h("img", { src: url, alt: `${cutName(this.card.tag)} at step ${step}`, class: small ? "pixels" : null });
    if (small) image.style.width = `min(100%, ${item.width * Math.max(1, Math.floor(200 / item.width))}px)`;
    image.addEventListener("error", () => image.replaceWith(h("p", { class: "error" }, "The picture cannot be shown: it is damaged or of an unknown format.")));
    return image;
  }

  sound(url, item) {
    const about = [item.rate && `${whole(item.rate)} Hz`, item.channels && `${item.channels} channel${item.channels === 1 ? "" : "s"}`, item.rate && item.frames && seconds(item.frames / item.rate)].filter(Boolean);
    return h("figure", {}, h("audio", { controls: true, preload: "metadata", src: url }), h("figcaption", { class: "dim" }, item.label || "", about.join(" · ")));
  }
}

class TextCard {
  constructor(card, body) {
    Object.assign(this, { card, body });
  }

  async update() {
    const { run, tag, kind } = this.card;
    const answer = await ask("/api/text", { run, tag, ...(kind === "tensor" ? { kind } : {}) });
    const entries = answer.texts.toReversed().map((text) => h("li", {}, h("p", { class: "note dim" }, `step ${whole(text.step)} · ${moment(text.wall)}`), this.content(text.content)));
    const more = answer.total > answer.texts.length ? h("p", { class: "note dim" }, `${answer.texts.length} of ${whole(answer.total)} texts, the newest first`) : null;
    put(this.body, [h("ol", { class: "texts", tabindex: 0, "aria-label": `Texts of ${cutName(tag)}` }, entries), more]);
  }

  content(content) {
    if (content.error) return h("p", { class: "error" }, content.error);
    const cell = (cell) => (Array.isArray(cell) ? [visible(cell[0]), h("em", { class: "dim" }, ` … ${bytes(cell[1])} more`)] : visible(cell));
    const { shape, cells } = content;
    if (shape.length === 2) {
      const rows = [];
      for (let row = 0; row * shape[1] < cells.length; row += 1) rows.push(h("tr", {}, cells.slice(row * shape[1], (row + 1) * shape[1]).map((text) => h("td", {}, cell(text)))));
      return h("div", { class: "scroll" }, h("table", { class: "data" }, h("tbody", {}, rows)));
    }
    return cells.map((text) => h("pre", {}, cell(text)));
  }
}

/** Control characters as pictures of themselves, so that they are seen and do nothing. */
const visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (c) => (c === "\r" ? "" : String.fromCharCode(c === "\u007f" ? 0x2421 : 0x2400 + c.charCodeAt(0))));

const images = new CardView("images", ["image"], (card, body) => new SampleCard(card, body));
const audio = new CardView("sounds", ["audio"], (card, body) => new SampleCard(card, body));
const texts = new CardView("texts", ["text", "tensor"], (card, body) => new TextCard(card, body));
