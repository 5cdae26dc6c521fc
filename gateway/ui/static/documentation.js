// The side list: filtered while one types, and marked where one reads.

const search = document.querySelector("#find-operation");
const links = [...document.querySelectorAll(".side [data-operation]")];
const groups = [...document.querySelectorAll(".side details")];
const wasOpen = new Map(groups.map((group) => [group, group.open]));

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const link of links) {
    link.closest("li").hidden = !words.every((word) => link.dataset.text.includes(word));
  }
  for (const group of groups) {
    const found = group.querySelector("li:not([hidden]) [data-operation]") !== null;
    group.hidden = !found;
    group.open = words.length ? found : wasOpen.get(group);
  }
  document.querySelector("[data-none]").hidden = groups.some((group) => !group.hidden);
});

const own = new Map(links.filter((link) => link.pathname === location.pathname).map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    own.get(target.id)?.toggleAttribute("data-seen", isIntersecting);
  }
  const first = [...own.values()].find((link) => link.hasAttribute("data-seen"));
  for (const link of own.values()) {
    if (link === first) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-64px 0px -50% 0px" });
for (const article of document.querySelectorAll("article.operation")) reading.observe(article);
