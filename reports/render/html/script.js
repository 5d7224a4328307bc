// Conveniences; the page is whole without them.
(() => {
  'use strict';
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const say = (text) => { document.getElementById('said').textContent = text; };
  for (const part of all('button[hidden], .tools[hidden], .find[hidden]')) part.hidden = false;

  // Light and dark: the system's choice, until somebody says otherwise.
  const theme = document.getElementById('theme');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : system.matches;
  const label = () => { theme.textContent = dark() ? 'Light' : 'Dark'; };
  theme.addEventListener('click', () => { root.dataset.theme = dark() ? 'light' : 'dark'; label(); });
  system.addEventListener('change', label);
  label();

  // Copying, also where a page from a file has no clipboard.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      return done;
    }
  };
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('.copy');
    if (!button) return;
    const text = button.dataset.text ?? document.getElementById(button.dataset.copy).textContent;
    const done = await copy(text);
    button.textContent = done ? 'Copied' : 'Not copied';
    say(button.textContent);
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });

  // What a link points to is unfolded.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
    if (target) target.scrollIntoView({ block: 'start' });
  };
  addEventListener('hashchange', reveal);
  reveal();

  const files = all('.file');
  for (const [id, open] of [['unfold', true], ['fold', false]]) {
    document.getElementById(id)?.addEventListener('click', () => { for (const file of files) file.open = open; });
  }

  // Finding a file among many, by a part of its path.
  const find = document.getElementById('find');
  if (find) {
    let leaves; // made when somebody searches: a long page should be there first
    const index = () => all('.leaf').map((leaf) => {
      let path = leaf.children[1].textContent;
      for (let at = leaf.parentElement.closest('details'); at; at = at.parentElement.closest('details')) {
        path = at.firstElementChild.firstChild.textContent.trim() + '/' + path;
      }
      const link = leaf.querySelector('a');
      return { leaf, path: path.toLowerCase(), file: link && document.getElementById(link.hash.slice(1)) };
    });
    const folders = all('.tree details');
    const before = folders.map((folder) => folder.open);
    find.addEventListener('input', () => {
      leaves ??= index();
      const wanted = find.value.trim().toLowerCase();
      let hits = 0;
      for (const { leaf, path, file } of leaves) {
        const hit = path.includes(wanted);
        hits += hit;
        leaf.hidden = !hit;
        if (file) file.hidden = !hit;
      }
      folders.forEach((folder, i) => {
        folder.parentElement.hidden = !folder.querySelector('.leaf:not([hidden])');
        folder.open = wanted ? true : before[i];
      });
      say(hits + ' files');
    });
  }
})();
