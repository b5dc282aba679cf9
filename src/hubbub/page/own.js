// The dialogue of the reader's account: what is logged in by it, and how a guest's name becomes one.
import { Invitation, Secret } from "./credentials.js";
import { Device } from "./devices.js";
import { SshKeys } from "./ssh-keys.js";
import { Tokens } from "./tokens.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";

const WIRES = { websocket: "Browser or program", line: "Terminal", irc: "IRC client", ssh: "ssh" };

export function Own({ chat, close }) {
  const node = useRef(null), { account } = chat, isOwner = account.name && !account.busy;
  useLayoutEffect(() => { node.current.showModal(); }, []);
  const keys = (event) => { event.stopPropagation(); }; // the page's own keys do nothing meanwhile
  return html`<dialog ref=${node} class="account" aria-labelledby="account" onClose=${close} onKeyDown=${keys}>
    <h1 id="account">${isOwner ? html`Your account <bdi>${account.name}</bdi>` : html`Make <bdi>${chat.nick}</bdi> yours`}</h1>
    ${isOwner ? html`<${Sessions} chat=${chat} />` : html`<${Register} chat=${chat} />`}
    <form method="dialog"><button>Close</button></form></dialog>`;
}

function Register({ chat }) {
  const secret = useRef(null), invitation = useRef(null);
  const [error, setError] = useState("");
  useLayoutEffect(() => secret.current.focus(), [error]);
  const send = async (event) => {
    event.preventDefault();
    const { failed } = await chat.account.register(chat.nick, secret.current.value, invitation.current?.value);
    setError(failed ?? "");
  };
  return html`<form onSubmit=${send}>
    <p>With a password, nobody else can use your name, and you can use it on all your devices.</p>
    ${chat.account.registration === "invite" && html`<${Invitation} field=${invitation} />`}
    <${Secret} field=${secret} label="New password" fresh=${true} error=${error} />
    <p id="why" role="alert">${error}</p>
    <button class="do">Register</button></form>`;
}

function Sessions({ chat }) {
  const { account } = chat, top = useRef(null);
  const [found, setFound] = useState(null);
  const [told, tell] = useState("");
  const show = (said) => { if (said.failed) tell(said.failed); else setFound(said); };
  useEffect(() => { account.ask("sessions").then(show); }, []);
  const end = async (id, what) => {
    show(await account.ask("sessions/end", { ids: [id] }));
    tell(`${what} has been logged out.`);
    top.current?.focus();
  };
  const date = (seconds) => new Date(seconds * 1000).toLocaleDateString();
  const row = (id, text, what, own) => html`<li key=${id}><span>${text}</span>
    ${own ? html`<i>this one</i>` : html`<button aria-label=${`Log out: ${what}`} onClick=${() => end(id, what)}>Log out</button>`}</li>`;
  return html`<h2 ref=${top} tabindex="-1">Logged in</h2>
    <ul>${found?.browsers.map(({ id, name, created, current }) => row(id, `${name}, since ${date(created)}`, name, current))}</ul>
    <h2>In the chat now</h2>
    <ul>${found?.sessions.map(({ id, wire, node }) => {
      const what = `${WIRES[wire] ?? wire}${node && `, on ${node}`}`;
      return row(id, what, what, id === chat.tag);
    })}</ul>
    <p role="status">${told}</p>
    <p><button onClick=${() => account.logOut()}>Log out here</button></p>
    <${Device} chat=${chat} />
    <${Tokens} account=${account} />
    <${SshKeys} account=${account} />
    <${Closing} account=${account} />`;
}

function Closing({ account }) {
  const secret = useRef(null), takeBack = useRef(null);
  const [error, setError] = useState("");
  const send = async (event) => {
    event.preventDefault();
    setError((await account.unregister(secret.current.value, takeBack.current.checked)).failed ?? "");
  };
  return html`<details><summary>Close this account</summary><form onSubmit=${send}>
    <p>Nobody can ever log in as <bdi>${account.name}</bdi> again.</p>
    <p><label><input type="checkbox" ref=${takeBack} /> Delete all my messages as well</label></p>
    <${Secret} field=${secret} label="Password or code" error=${error} />
    <p id="why" role="alert">${error}</p>
    <button>Close it for ever</button></form></details>`;
}
