// Numbers and times for people.

/** A number in about five significant digits. */
function short(value) {
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "∞");
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e7) return value.toExponential(3);
  return String(+value.toPrecision(5));
}

const whole = (value) => Math.round(value).toLocaleString("en-US");

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? count : count.toPrecision(3)} ${units[unit]}`;
}

function seconds(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0 s";
  if (size < 1e-6) return `${short(value * 1e9)} ns`;
  if (size < 1e-3) return `${short(+(value * 1e6).toPrecision(3))} µs`;
  if (size < 1) return `${short(+(value * 1e3).toPrecision(3))} ms`;
  if (size < 60) return `${+value.toFixed(size < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(size / 60);
  const sign = value < 0 ? "-" : "";
  if (minutes < 60) return `${sign}${minutes} min ${Math.floor(size % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${sign}${hours} h ${minutes % 60} min`;
  return `${sign}${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A moment in local time. */
function moment(wall) {
  if (!Number.isFinite(wall)) return "no time";
  const date = new Date(wall * 1000);
  if (Number.isNaN(date.getTime())) return short(wall);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

/** A name that may be as long as a book. */
const cutName = (name) => (name.length > 120 ? `${name.slice(0, 117)}…` : name);
