// Times as people type them, in commands and in searches.
import { dayOf, timeOf } from "./text.js";

const TIME = /^(?:(\d{4})-(\d\d?)-(\d\d?))?[ t]*(?:(\d\d?):(\d\d)(?::(\d\d))?(?:\s*([ap])\.?m\.?)?)?$/i;

// The words of a search, with the times of its filters as the same ones in every zone.
export const search = (words) => words.replace(/(?<!\S)(before|after):("[^"]+"|\S+)/gi, (all, name, time) => {
  const at = everywhere(time.replaceAll('"', ""));
  return at ? `${name}:${at}` : all;
});

// A time as people here type it, as one that is the same in every zone; "" if it is not of the reader's clock ("2h").
// `known` are times that are on the screen: one may be typed as it is shown.
export function everywhere(typed, known = [], now = new Date()) {
  const text = typed.trim().toLowerCase(), found = TIME.exec(text);
  const at = new Date(now);
  if (text === "today" || text === "yesterday") at.setHours(text === "today" ? 0 : -24, 0, 0, 0);
  else if (text && found) {
    const [, year, month, date, hour = "0", minute = "0", second = "0", half] = found;
    if (half && (hour < 1 || hour > 12)) return "";
    if (hour > 23 || minute > 59 || second > 59) return "";
    if (year) at.setFullYear(year, month - 1, date);
    if (year && at.getDate() !== Number(date)) return "";
    at.setHours(half ? (hour % 12) + (half === "p" ? 12 : 0) : hour, minute, second, 0);
    if (!year && at > now) at.setDate(at.getDate() - 1);
  } else {
    const day = known.find((seconds) => dayOf(seconds).toLowerCase() === text);
    const time = known.findLast?.((seconds) => timeOf(seconds).toLowerCase() === text);
    if (!day && !time) return "";
    at.setTime((day ?? time) * 1000);
    if (day) at.setHours(0, 0, 0, 0); else at.setSeconds(0, 0);
  }
  return `${at.toISOString().slice(0, 19)}+00:00`;
}
