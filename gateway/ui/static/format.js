// Numbers, and times in the reader's zone.

const DAY = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

function date(at) {
  const year = at.getFullYear() === new Date().getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${MONTHS[at.getMonth()]}${year} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

function age(milliseconds) {
  if (milliseconds < 60_000) return "just now";
  if (milliseconds < 3_600_000) return `${Math.floor(milliseconds / 60_000)} min ago`;
  return `${Math.floor(milliseconds / 3_600_000)} h ago`;
}

export const formats = {
  count: new Intl.NumberFormat("en", { maximumFractionDigits: 0 }),
  duration: (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toPrecision(3)} s`),
  money: (usd) => (usd === null ? "–" : usd === 0 ? "$0" : usd >= 1 ? `$${usd.toFixed(2)}` : `$${Number(usd.toPrecision(4))}`),
};

export function showLocalTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-utc])")) {
    const at = new Date(element.dateTime);
    const since = Date.now() - at;
    element.textContent = since >= 0 && since < DAY ? age(since) : date(at);
  }
}
