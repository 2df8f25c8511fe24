// Scopes opened in place: the picture of a scope, with those of opened scopes inside their boxes.

/** The room in an opened box: to the sides of its content, and above it for the name. */
const INSET = 10;
const HEADING = 26;
/** The room around a picture. */
const MARGIN = 20;

/** The picture of a scope in which the scopes that `isOpen` names are opened, at any depth. */
async function nestedPicture(fetchScope, scope, isOpen) {
  const { boxes, edges, ...picture } = await fetchScope(scope);
  // A copy: answers may be part of a saved page.
  Object.assign(picture, { boxes: boxes.map((box) => ({ ...box })), edges: edges.map((edge) => ({ ...edge, points: edge.points.map(([x, y]) => [x, y]) })) });
  for (const [index, box] of picture.boxes.entries()) {
    if (box.kind === "scope" && isOpen(box.name)) openBox(picture, index, await nestedPicture(fetchScope, box.name, isOpen));
  }
  fitPicture(picture);
  return picture;
}

/** Enlarges a box for the picture inside; its row makes room to both sides, and what is below moves down. */
function openBox(picture, index, inner) {
  const box = picture.boxes[index];
  const { x, y, width, height } = box;
  const center = x + width / 2;
  const isInRow = (other) => other.y < y + height && other.y + other.height > y;
  const bottom = Math.max(...picture.boxes.filter(isInRow).map((other) => other.y + other.height));
  const grown = { width: Math.max(width, inner.width + 2 * INSET), height: HEADING + inner.height + INSET };
  const aside = (grown.width - width) / 2;
  const down = Math.max(0, y + grown.height - bottom);
  const moved = (px, py) => (py > bottom + 0.5 ? [px, py + down] : py < y - 0.5 || px === center ? [px, py] : [px + (px < center ? -aside : aside), py]);
  picture.boxes.forEach((other, place) => {
    if (place === index) return;
    const [middle, top] = moved(other.x + other.width / 2, other.y);
    Object.assign(other, { x: middle - other.width / 2, y: top });
  });
  for (const edge of picture.edges) {
    const isDownward = edge.points[0]?.[1] <= edge.points.at(-1)?.[1];
    edge.points = edge.points.flatMap(([px, py], place) => {
      const end = place === 0 ? edge.from : place === edge.points.length - 1 ? edge.to : null;
      // Where a line leaves the box, at its lower side.
      if (end === index) return [py > y + 0.5 ? [center, y + grown.height] : [px, py]];
      const point = moved(px, py);
      if (py <= y + 0.5 || py > bottom + 0.5) return [point];
      // It leaves the row: straight down to where the row ends now, so that it does not cross the box.
      const below = [point[0], py + down];
      return isDownward ? [point, below] : [below, point];
    });
  }
  if (picture.aside !== null && picture.aside > y) picture.aside += down;
  Object.assign(box, { x: center - grown.width / 2, ...grown, inner });
}

/** Moves a picture to its corner and measures it. */
function fitPicture(picture) {
  const { boxes, edges } = picture;
  if (boxes.length === 0) return;
  const xs = [...boxes.flatMap((box) => [box.x, box.x + box.width]), ...edges.flatMap((edge) => edge.points.map(([x]) => x))];
  const [left, right] = xs.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
  const by = MARGIN - left;
  boxes.forEach((box) => (box.x += by));
  edges.forEach((edge) => edge.points.forEach((point) => (point[0] += by)));
  picture.width = right - left + 2 * MARGIN;
  picture.height = boxes.reduce((most, box) => Math.max(most, box.y + box.height), 0) + MARGIN;
}

/** Where the inside of an opened box begins. */
const insideOf = (box) => [box.x + (box.width - box.inner.width) / 2, box.y + HEADING];
