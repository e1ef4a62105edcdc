// Making elements.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element. Attributes: `onclick` and the like are listeners, true is an empty attribute,
 * false and null are left out. Children: elements, text, null.
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Put options into a select, unless they are there already. */
export function options(select, names, titles = []) {
  if (names.length === select.length && names.every((name, i) => select.options[i].value === name)) return;
  select.replaceChildren(
    ...names.map((name, i) => {
      const option = new Option(name, name);
      option.title = titles[i] ?? "";
      return option;
    }),
  );
}
