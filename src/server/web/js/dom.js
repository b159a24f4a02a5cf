// Elements without markup: text is only ever text.
import {paths} from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

function put(element, key, value) {
    if (value === undefined || value === null || value === false) return;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") for (const name of Object.keys(value)) element.style.setProperty(name, value[name]);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key === "className" ? "class" : key, value === true ? "" : value);
}

// h("button", {class: "x", onclick: f}, "text", otherElement, [more])
export function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const key of Object.keys(attributes || {})) put(element, key, attributes[key]);
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

export function svg(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const key of Object.keys(attributes || {})) element.setAttribute(key, attributes[key]);
    element.append(...children);
    return element;
}

export function icon(name) {
    const lines = paths[name].map((d) => svg("path", {d}));
    return svg("svg", {class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true"}, ...lines);
}

// A button that is an icon: its name is for screen readers and for who points at it.
export function iconButton(name, label, onclick, more) {
    return h("button", {type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...more},
        icon(name));
}

export function textButton(label, onclick, more, iconName) {
    return h("button", {type: "button", class: "button", onclick, ...more}, iconName ? icon(iconName) : null, label);
}

export function fill(element, ...children) {
    element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

let numbers = 0;

export function uniqueId(prefix) {
    numbers += 1;
    return `${prefix}-${numbers}`;
}
