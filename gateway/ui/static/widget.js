// <gateway-feedback>: see "Widget" in docs/feedback-tokens.md
(() => {
const { origin } = new URL(document.currentScript?.src || location);
const TEXTS = {
	question: "How was this answer?", up: "👍 Good", down: "👎 Bad", star: "of 5 stars",
	reason: "What was it?", comment: "Anything to add?", edit: "Improve this answer", send: "Send", retry: "Try again",
	thanks: "Thank you, your feedback is saved.",
	401: "This answer can no longer be rated.",
	429: "Please wait a minute.",
	blocked: "This page may not send feedback.",
	failed: "Your feedback was not sent.",
};
const sheet = new CSSStyleSheet();
sheet.replaceSync(`:host{display:block;font:14px/1.4 system-ui;--a:light-dark(#2563eb,#60a5fa)}
pre:has(+[open]),:host([hidden]){display:none}
fieldset,legend{border:0;margin:0;padding:0 0 4px}
div{display:flex;flex-wrap:wrap;gap:8px}
button{min-width:44px;min-height:44px}
button,textarea{padding:8px 12px;font:inherit;color:inherit;background:none;border:1px solid;border-radius:8px}
[aria-pressed=true]{color:var(--a);box-shadow:inset 0 0 0 2px}
label,summary{line-height:44px}
label{width:44px;font-size:28px;text-align:center}
label:after{content:"☆"}
label:has(:checked,~*>:checked):after{content:"★";color:var(--a)}
input{position:absolute;opacity:0}
:focus-visible,label:has(:focus-visible){outline:3px solid var(--a);outline-offset:2px}
textarea{display:block;box-sizing:border-box;width:100%;height:7em;margin:4px 0}
pre{font:inherit;white-space:pre-wrap}
.error{color:light-dark(#b91c1c,#f87171)}`);

const el = (name, props, ...children) => {
	const node = Object.assign(document.createElement(name), props);
	node.append(...children);
	return node;
};

const start = async (host) => {
	const get = (name) => host.getAttribute(name) ?? "";
	const text = (name) => host.getAttribute("text-" + name) ?? TEXTS[name];
	const url = (path) => (get("gateway") || origin) + path;
	const call = (path, body) => fetch(url("/api/v1/feedback" + path), {
		method: body && "POST", body, keepalive: body?.length < 3e4,
		headers: { "content-type": "application/json", "x-gateway-feedback-token": get("token") },
	});
	const type = get("type"), isEdit = type == "edit", given = {};
	const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
	const show = () => root.querySelectorAll("*").forEach((node) => node.refresh?.());

	// One call at a time; of those that wait, the last.
	let latest, queue = Promise.resolve();
	const give = (change) => {
		const body = (latest = JSON.stringify(Object.assign(given, change)));
		show();
		queue = queue.then(() => body == latest && send(body));
	};
	const send = async (body) => {
		let problem;
		try {
			const reply = await call("?rule=upsert", body);
			if (!reply.ok) problem = text(reply.status) ?? text("failed");
		} catch {
			problem = await fetch(url("/widget.js"), { mode: "no-cors" }).then(() => text("blocked"), () => text("failed"));
		}
		status.className = problem ? "error" : "";
		status.replaceChildren(problem ?? text("thanks"), problem ? button("retry", () => give()) : "");
		problem || host.dispatchEvent(new CustomEvent("feedback", { bubbles: true, detail: JSON.parse(body) }));
	};

	const button = (name, onclick) => el("button", { textContent: text(name), onclick });
	// A default leaves alone what is being written.
	const area = (name, value) => el("textarea", { ariaLabel: text(name), refresh() { this.defaultValue = value(); } });
	const group = (name, items, props) => el("fieldset", props, el("legend", {}, text(name)), el("div", {}, ...items));
	const toggle = (textContent, field, change) => el("button", {
		textContent, onclick: () => give(change),
		refresh() { this.ariaPressed = given[field] == change[field]; },
	});
	const thumb = (thumb) => toggle(text(thumb), "thumb", { thumb, rating: null });
	const star = (rating) => el("label", {}, el("input", {
		type: "radio", name: "star", ariaLabel: rating + " " + text("star"), onchange: () => give({ rating, thumb: null }),
		refresh() { this.checked = given.rating == rating; },
	}));
	const rate = () => {
		const comment = area("comment", () => given.comment ?? "");
		const more = el("section", {
			refresh() { this.hidden = type != "reasons" && !given.thumb && !given.rating; },
		}, text("comment"), comment, button("send", () => give({ comment: comment.value })));
		const reasons = get("reasons").match(/[^,\s]([^,]*[^,\s])?/g);
		if (reasons) more.prepend(group("reason", reasons.map((label) => toggle(label, "label", { label }))));
		if (type == "reasons") return [more];
		const score = type == "stars" ? group("question", [1, 2, 3, 4, 5].map(star), { role: "radiogroup" })
			: group("question", [thumb("up"), thumb("down")]);
		return [score, more];
	};
	const edit = () => {
		const original_text = get("answer") || host.textContent.trim(), current = () => given.edited_text ?? original_text;
		const better = area("edit", current);
		const editor = el("details", {}, el("summary", {}, text("edit")), better, button("send", () => {
			give({ original_text, edited_text: better.value });
			editor.open = false;
		}));
		return [el("pre", { refresh() { this.textContent = current(); } }), editor];
	};

	const status = el("p", { role: "status" });
	root.adoptedStyleSheets = [sheet];
	root.replaceChildren(...(isEdit ? edit() : rate()), status);
	show();
	if (!get("token") || host.hasAttribute("fresh")) return;
	const earlier = await (await call("/current")).json();
	// What was chosen meanwhile counts more.
	if (!latest) Object.assign(given, earlier[isEdit ? "edit" : "rating"]), show();
};

customElements.get("gateway-feedback") || customElements.define("gateway-feedback", class extends HTMLElement {
	static observedAttributes = ["token", "type", "gateway", "reasons", "answer"];
	connectedCallback() {
		start(this).catch(() => {}); // An earlier feedback may stay unknown.
	}
	attributeChangedCallback() {
		if (this.shadowRoot) this.connectedCallback();
	}
});
})();
