// Parts of the page that are fetched when they are first needed: what most readers never open.
import { html, useEffect, useState } from "./vendor/htm-preact.js";

export const FAILED = "This part of the page did not arrive. Try again later, or reload the page.";
const STYLE = new URL("dialogues.css", import.meta.url).href;
const all = [];
let styled = null; // a promise of the style sheet of these parts

const styleSheet = () => (styled ??= new Promise((done, fail) => {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: STYLE, onload: done });
  link.onerror = () => { styled = null; link.remove(); fail(); };
  document.head.append(link);
}));

// A module that is fetched later: `load` imports it.
export function later(load) {
  all.push(load);
  return load;
}

// A component of such a module. Its properties have the chat, and `close` if it is opened by a button.
export function lazy(load, name) {
  let Part = null;
  const loadAll = later(async () => {
    const [found] = await Promise.all([load(), styleSheet()]);
    Part = found[name];
  });
  return (props) => {
    const [, draw] = useState(Boolean(Part));
    useEffect(() => {
      let gone = Part; // there is nothing to be drawn later
      if (!Part) loadAll().then(() => { if (!gone) draw(true); }, () => { if (!gone) { props.close?.(); props.chat.trouble(FAILED); } });
      return () => { gone = true; };
    }, []);
    return Part && html`<${Part} ...${props} />`;
  };
}

// Fetch all of them, so that they can be opened without a connection.
export const fetchAll = () => { for (const load of all.splice(0)) load().catch(() => {}); };
